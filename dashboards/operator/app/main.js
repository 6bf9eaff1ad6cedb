/** The composition root: builds the parts, ties them together, draws at most once a frame. */

import { Api } from "./api.js";
import { Live } from "./live.js";
import { Router, viewsOf } from "./router.js";
import { NO_FILTER, filterFrom } from "./select.js";
import { Store } from "./store.js";
import { watchSystemTheme } from "./theme.js";
import "./views/shell.js";

/** @import {Role} from "./types.js" */

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

  /** @type {Set<() => void>} */
  #watchers = new Set();
  #drawing = false;

  async start() {
    this.#readFilter();
    watchSystemTheme(() => this.#draw());
    addEventListener("online", () => this.live.retry());
    setInterval(() => this.#second(), 1000);
    await this.checkSession();
  }

  /** The hub's wall clock, as well as it is known here. */
  now() {
    return Date.now() + this.live.skewMs;
  }

  /** Whether who is signed in may do what takes this role. @param {Role} role */
  can(role) {
    return ROLES.indexOf(this.role) >= ROLES.indexOf(role);
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
    this.#readFilter();
    if (this.access === "open") this.live.want(viewsOf(this.router.route, location.hash));
    this.#draw();
  }

  #readFilter() {
    if (this.router.route.name === "lockers") this.filter = filterFrom(new URLSearchParams(location.search));
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
