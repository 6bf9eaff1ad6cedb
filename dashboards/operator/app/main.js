/** The composition root: builds the parts, ties them together, draws at most once a frame. */

import { Acts } from "./acts.js";
import { Api } from "./api.js";
import { Keys } from "./keys.js";
import { Live } from "./live.js";
import { momentOf } from "./moment.js";
import { Past } from "./past.js";
import { Router, viewsOf } from "./router.js";
import { NO_FILTER, filterFrom, filterProblems } from "./select.js";
import { Sound } from "./sound.js";
import { Store } from "./store.js";
import { watchSystemTheme } from "./theme.js";
import "./views/shell.js";

/** @import {Alarm, Locker, Role} from "./types.js" */

/**
 * @typedef {object} Fleet the fleet that is shown, live or of the past
 * @property {"loading" | "ready" | "failed"} phase
 * @property {string} detail what failed, in a sentence
 * @property {ReadonlyMap<string, Locker>} lockers
 * @property {string} key another one whenever anything in it changes
 */

/** @type {readonly Role[]} */
const ROLES = ["viewer", "operator", "admin"];

export class Operator {
  store = new Store();
  api = new Api(() => this.#signedOut());
  router = new Router(() => this.#routed());
  live = new Live({
    url: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`,
    store: this.store,
    changed: () => this.#draw(),
    refused: () => void this.checkSession(),
  });

  past = new Past({ get: (path) => this.api.get(path), changed: () => this.#draw() });
  keys = new Keys();
  acts = new Acts();
  sound = new Sound();

  /** The moment that is looked at; null is now. @type {Date | null} */
  at = null;
  /** What is wrong with the moment in the address; the page then shows now. */
  atProblem = "";

  /** What sign-in asks for: nothing yet, a token, or nothing. @type {"checking" | "needed" | "open" | "unreachable"} */
  access = "checking";
  /** Who this page works for, and what they may do. */
  operator = "";
  /** @type {Role} */
  role = "viewer";
  /** Whether there is a session to end. */
  canSignOut = false;
  /** When pausing began, by the hub's wall clock; 0 when not paused. */
  pausedAtMs = 0;
  filter = { ...NO_FILTER };
  /** What in the list's address makes no sense, as sentences. @type {string[]} */
  filterProblems = [];

  /** @type {Set<() => void>} */
  #watchers = new Set();
  #drawing = false;

  async start() {
    this.#read();
    watchSystemTheme(() => this.#draw());
    addEventListener("online", () => this.live.retry());
    setInterval(() => this.#second(), 1000);
    await this.checkSession();
  }

  /** The hub's wall clock, as well as it is known here. */
  now() {
    return Date.now() + this.live.skewMs;
  }

  /** Whether something that takes this role can be done here and now. @param {Role} role */
  can(role) {
    return this.refusal(role) === "";
  }

  /** Why it cannot: nothing is done in the past, whoever asks. @param {Role} role @returns {"" | "history" | "role"} */
  refusal(role) {
    if (this.at) return "history";
    return ROLES.indexOf(this.role) >= ROLES.indexOf(role) ? "" : "role";
  }

  /** The same as a sentence for a title; "" when it can be done. @param {Role} role */
  why(role) {
    const refusal = this.refusal(role);
    if (refusal === "history") return "This is the past. Go back to now to act.";
    return refusal && `This takes the role ${role}; yours is ${this.role}.`;
  }

  /** The fleet that is shown. @returns {Fleet} */
  get fleet() {
    if (this.at) {
      const { phase, detail, lockers } = this.past.fleet;
      return { phase, detail, lockers, key: `${phase} ${this.at.toISOString()}` };
    }
    const { phase: known, detail } = this.store.status("fleet");
    // What has come and is not published yet is drawn in the next frame.
    const phase = known === "ready" && this.store.fleetRevision === 0 ? "loading" : known;
    return { phase, detail, lockers: this.store.lockers, key: `${phase} ${this.store.fleetRevision}` };
  }

  /** Open alarms that are shown, by the moment that is looked at. @returns {Iterable<Alarm>} */
  get openAlarms() {
    return this.at ? this.past.alarms.alarms : this.store.list("alarms").items.values();
  }

  /** Be called at every redraw. @param {() => void} watcher @returns {() => void} stops it */
  watch(watcher) {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** @param {boolean} paused */
  setPaused(paused) {
    this.pausedAtMs = paused ? this.now() : 0;
    this.#draw();
  }

  /** Find out whether this page may see anything, and start or stop the live connection accordingly. */
  async checkSession() {
    try {
      const session = await this.api.session();
      this.canSignOut = session.needed && session.signed_in;
      this.operator = session.operator ?? "";
      this.role = session.role ?? "viewer";
      this.access = session.needed && !session.signed_in ? "needed" : "open";
    } catch {
      if (this.access === "checking") this.access = "unreachable";
    }
    if (this.access === "open") {
      this.live.start();
      this.#routed();
    } else if (this.access === "needed") {
      this.live.stop();
    }
    this.#draw();
  }

  #signedOut() {
    this.access = "needed";
    this.canSignOut = false;
    this.live.stop();
    this.#draw();
  }

  #routed() {
    this.#read();
    if (this.access === "open") this.live.want(viewsOf(this.router.route, this.at !== null, location.hash));
    this.#draw();
  }

  /** Take over what the address says. */
  #read() {
    const { at, problem } = momentOf(this.router.at, this.now());
    this.at = at;
    this.past.at = at;
    this.atProblem = problem;
    if (this.router.route.name !== "lockers") return;
    const asked = new URLSearchParams(location.search);
    this.filter = filterFrom(asked);
    this.filterProblems = filterProblems(asked);
  }

  #second() {
    if (this.access === "unreachable") void this.checkSession();
    this.live.tick();
    this.#draw();
  }

  /** Everything that happens before the next frame is drawn once. */
  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.store.publish(this.pausedAtMs !== 0);
      for (const watcher of this.#watchers) watcher();
    });
  }
}

const operator = new Operator();
const shell = document.querySelector("lh-shell");
if (shell) Object.assign(shell, { app: operator });
void operator.start();
