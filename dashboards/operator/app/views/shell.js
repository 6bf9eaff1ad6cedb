/** The frame around every view: name, navigation, how live the page is, pause, theme. */

import { html, nothing } from "../../vendor/lit.js";
import { View } from "../element.js";
import { clock, some } from "../format.js";
import { Live } from "../live.js";
import { theme, toggleTheme } from "../theme.js";
import "./alarms/alarm.js";
import "./alarms/health.js";
import "./alarms/list.js";
import "./alarms/maintenance.js";
import "./alarms/rules.js";
import "./audit.js";
import "./commands/command.js";
import "./commands/list.js";
import "./events.js";
import "./health.js";
import "./jobs/job.js";
import "./jobs/list.js";
import "./jobs/new.js";
import "./label.js";
import "./locker.js";
import "./lockers.js";
import { icon, logo, toneMark } from "./marks.js";
import { notice } from "./notice.js";
import "./overview.js";
import "./sign-in.js";
import "./statistics.js";
import "./wall.js";

/**
 * @import {Phase} from "../live.js"
 * @import {Operator} from "../main.js"
 * @import {RouteName} from "../router.js"
 */

export class Shell extends View {
  /** What sticks to the top grows with banners; what sticks below it follows. */
  #heights = new ResizeObserver(([entry]) => {
    const height = entry.borderBoxSize[0].blockSize;
    document.documentElement.style.setProperty("--top-height", `${height}px`);
  });
  /** @type {Element | null} */
  #measured = null;
  /** The last time at which the page was live, by the hub's clock. */
  #liveUntilMs = 0;

  render() {
    const app = this.app;
    if (!app) return nothing;
    if (app.access === "needed") return html`<main class="centre"><lh-sign-in .app=${app}></lh-sign-in></main>`;
    if (app.access === "checking") return html`<main class="centre">${notice("Asking the hub…", "", "loading")}</main>`;
    if (app.access === "unreachable") {
      return html`<main class="centre">
        ${notice("The hub does not answer", "This page tries again every second.", "failed")}
      </main>`;
    }
    const { phase } = app.live;
    if (phase === "live") this.#liveUntilMs = app.now();
    document.body.dataset.fresh = phase === "live" ? "yes" : "no";
    return html`
      <a class="skip" href="#content" @click=${this.#skip}>Skip to the content</a>
      <div class="top"><header class="bar">
        <a class="name" href="/" aria-label="Lockerhub, fleet">${logo()}<span>Lockerhub</span></a>
        ${this.#navigation()}
        <span class="spring"></span>
        ${this.#connection()} ${this.#pause()}
        <button class="button button-icon" @click=${this.#theme} title="Light or dark"
          aria-label=${theme() === "dark" ? "Use the light theme" : "Use the dark theme"}>
          ${icon(theme() === "dark" ? "sun" : "moon")}
        </button>
        ${app.canSignOut ? html`<button class="button quiet-button" @click=${this.#signOut}>Sign out</button>` : nothing}
      </header>
      ${this.#strips()}</div>
      <p class="unseen" role="status" aria-live="polite">${SPOKEN[phase]}</p>
      <main id="content" tabindex="-1">${this.#view()}</main>
    `;
  }

  updated() {
    const top = this.querySelector(".top");
    if (top !== this.#measured) {
      this.#heights.disconnect();
      this.#measured = top;
      if (top) this.#heights.observe(top);
    }
    const route = this.app?.router.route;
    if (!route) return;
    const place = route.name === "locker" ? (this.app.store.detail(route.id)?.locker.name ?? route.id) : TITLES[route.name];
    const title = this.app.access === "open" ? `${place} · Lockerhub` : "Lockerhub";
    if (document.title !== title) document.title = title;
  }

  #navigation() {
    const { name } = this.app.router.route;
    return html`<nav aria-label="Pages">
      ${PAGES.map(
        ([address, word, routes]) => html`<a href=${address}
          aria-current=${routes[0] === name ? "page" : routes.includes(name) ? "true" : "false"}>${word}</a>`,
      )}
    </nav>`;
  }

  #words() {
    const { live } = this.app;
    return {
      live: "Live",
      connecting: "Connecting…",
      stale: `No data for ${live.silentS} s`,
      waiting: `Reconnecting in ${Math.max(0, Math.ceil((live.retryAt - Live.clock()) / 1000))} s`,
      incompatible: "Page too old",
      stopped: "Not connected",
    }[live.phase];
  }

  #connection() {
    const { live } = this.app;
    const tone = live.phase === "live" || live.phase === "connecting" ? "normal" : "caution";
    return html`<span class="connection" data-phase=${live.phase} title=${live.hubVersion ? `Hub ${live.hubVersion}` : ""}>
      ${toneMark(tone)}<span class="connection-words">${this.#words()}</span>
    </span>`;
  }

  #pause() {
    const paused = this.app.pausedAtMs !== 0;
    return html`<button class="button pause" aria-pressed=${paused} @click=${this.#togglePause}
      title=${paused ? "Show what has changed, and go on" : "Hold the page still"}>
      ${icon(paused ? "play" : "pause")}<span class="pause-word">${paused ? "Resume" : "Pause"}</span>
      ${paused ? html`<span class="badge">${this.app.store.waiting}</span>` : nothing}
    </button>`;
  }

  #strips() {
    const { live, pausedAtMs, store } = this.app;
    const since = this.#liveUntilMs ? ` What you see is from ${clock(this.#liveUntilMs)}.` : "";
    return html`
      ${live.phase === "waiting" || live.phase === "stale" || (live.phase === "connecting" && this.#liveUntilMs)
        ? html`<p class="banner banner-caution">${toneMark("caution")}
            <span>${live.phase === "stale" ? "The hub is silent." : "The connection is lost."}${since}
              <span class="narrow-only">${this.#words()}.</span></span>
            <button class="button" @click=${() => live.retry()}>Try now</button>
          </p>`
        : nothing}
      ${live.phase === "incompatible"
        ? html`<p class="banner banner-caution">${toneMark("caution")}
            <span>The hub speaks a newer language than this page.</span>
            <button class="button" @click=${() => location.reload()}>Load the page again</button>
          </p>`
        : nothing}
      ${pausedAtMs
        ? html`<p class="banner">
            <span>Paused at ${clock(pausedAtMs)}. ${some(store.waiting, "change")} waiting.</span>
            <button class="button" @click=${this.#togglePause}>Resume</button>
          </p>`
        : nothing}
    `;
  }

  #view() {
    const { app } = this;
    const { route } = app.router;
    const draw = DRAWN[route.name];
    if (draw) return draw(app, route.id);
    return notice("There is no such page", html`<a href="/">Go to the fleet</a>`, "failed");
  }

  #togglePause() {
    this.app.setPaused(this.app.pausedAtMs === 0);
  }

  #theme() {
    toggleTheme();
    this.requestUpdate();
  }

  async #signOut() {
    await this.app.api.signOut().catch(() => null);
    await this.app.checkSession();
  }

  /** @param {Event} event */
  #skip(event) {
    event.preventDefault();
    document.getElementById("content")?.focus();
  }
}

/** @type {Record<Phase, string>} */
const SPOKEN = {
  live: "Live",
  connecting: "Connecting",
  stale: "The hub is silent. The page is not up to date.",
  waiting: "The connection is lost. Reconnecting.",
  incompatible: "The page is too old for the hub.",
  stopped: "Not connected",
};

/** The navigation: address, word, the page itself and those below it. @type {ReadonlyArray<[string, string, RouteName[]]>} */
const PAGES = [
  ["/", "Overview", ["overview"]],
  ["/lockers", "Lockers", ["lockers", "locker", "label"]],
  ["/alarms", "Alarms", ["alarms", "alarm", "alarm-health", "alarm-rules", "maintenance"]],
  ["/commands", "Commands", ["commands", "command"]],
  ["/jobs", "Jobs", ["jobs", "job", "job-new"]],
  ["/events", "Events", ["events", "audit"]],
  ["/statistics", "Statistics", ["statistics"]],
  ["/health", "Health", ["health"]],
];

/** @type {Partial<Record<RouteName, (app: Operator, id: string) => unknown>>} */
const DRAWN = {
  overview: (app) => html`<lh-overview .app=${app}></lh-overview>`,
  lockers: (app) => html`<lh-lockers .app=${app}></lh-lockers>`,
  locker: (app, id) => html`<lh-locker .app=${app} .lockerId=${id}></lh-locker>`,
  label: (app, id) => html`<lh-label .app=${app} .lockerId=${id}></lh-label>`,
  alarms: (app) => html`<lh-alarms .app=${app}></lh-alarms>`,
  alarm: (app, id) => html`<lh-alarm .app=${app} .alarmId=${id}></lh-alarm>`,
  "alarm-health": (app) => html`<lh-alarm-health .app=${app}></lh-alarm-health>`,
  "alarm-rules": (app) => html`<lh-alarm-rules .app=${app}></lh-alarm-rules>`,
  maintenance: (app) => html`<lh-maintenance .app=${app}></lh-maintenance>`,
  commands: (app) => html`<lh-commands .app=${app}></lh-commands>`,
  command: (app, id) => html`<lh-command-page .app=${app} .commandId=${id}></lh-command-page>`,
  jobs: (app) => html`<lh-jobs .app=${app}></lh-jobs>`,
  "job-new": (app) => html`<lh-job-new .app=${app}></lh-job-new>`,
  job: (app, id) => html`<lh-job .app=${app} .jobId=${id}></lh-job>`,
  events: (app) => html`<lh-events .app=${app}></lh-events>`,
  audit: (app) => html`<lh-audit .app=${app}></lh-audit>`,
  statistics: (app) => html`<lh-statistics .app=${app}></lh-statistics>`,
  health: (app) => html`<lh-health .app=${app}></lh-health>`,
  wall: (app) => html`<lh-wall .app=${app}></lh-wall>`,
};

/** @type {Record<RouteName, string>} */
const TITLES = {
  overview: "Fleet",
  lockers: "Lockers",
  locker: "Locker",
  label: "Label",
  alarms: "Alarms",
  alarm: "Alarm",
  "alarm-health": "Alarm health",
  "alarm-rules": "Alarm rules",
  maintenance: "Maintenance",
  commands: "Commands",
  command: "Command",
  jobs: "Jobs",
  "job-new": "New job",
  job: "Job",
  events: "Events",
  audit: "Audit",
  statistics: "Statistics",
  health: "Health",
  wall: "Wallboard",
  missing: "No such page",
};

customElements.define("lh-shell", Shell);
