/** A screen on a wall: no frame, large type, one page after another, and honest about how fresh it is. */

import { html, nothing, repeat } from "../../vendor/lit.js";
import { View, placed } from "../element.js";
import { age, clock, number, some } from "../format.js";
import { LOOKS, abnormal, tally } from "../heat.js";
import { rotationOf } from "../rotation.js";
import { isUnseen } from "./announcer.js";
import "./heat-grid.js";
import { lookMark } from "./heat-legend.js";
import { severityMark, toneMark } from "./marks.js";
import { notice } from "./notice.js";
import { TILES, asOf, countsShown } from "./tiles.js";

/**
 * @import {Rotation, WallPage} from "../rotation.js"
 * @import {Counts} from "./tiles.js"
 */

/** Rows of a list: so many pixels of the screen for each, to begin with, and never fewer rows than that. */
const ROW_PX = 95;
const ROWS_MIN = 3;
/** The last line with what is above and below it. */
const FOOT_SHARE = 3;
/** Below it columns stand under each other, and somebody scrolls. */
const COLUMNS_PX = 800;
/** How much of the screen's height is left for the grid. */
const GRID_SHARE = 0.7;
/** Large figures of a page. */
const OVERVIEW_TILES = ["online", "offline", "open", "maintenance", "unacked", "critical", "high"];
const SITE_TILES = ["online", "offline", "open", "maintenance", "critical", "high"];
/** Everything moves a little with every page, so that nothing burns in. */
const SHIFTS_PX = [0, 4, 8, 4, 0, -4, -8, -4];
/** The pointer and the controls go when nobody has moved it for so long. */
const IDLE_MS = 5000;

export class Wall extends View {
  static properties = { held: { state: true }, idle: { state: true } };

  constructor() {
    super();
    /** Whether the rotation stands still. */
    this.held = false;
    this.idle = true;
  }

  /** @type {Rotation} */
  #rotation = { pages: [], everyS: 20, problems: [] };
  #search = "";
  #n = 0;
  #turnedAtMs = performance.now();
  #movedAtMs = -IDLE_MS;
  /** Rows that this page had no room for. */
  #dropped = 0;
  #heightPx = 0;
  #stir = () => {
    this.#movedAtMs = performance.now();
    this.idle = false;
  };
  /** The theme that was chosen before; a wall is dark unless its address says otherwise. @type {string | undefined} */
  #themeBefore;

  connectedCallback() {
    super.connectedCallback();
    const root = document.documentElement.dataset;
    this.#themeBefore = root.theme;
    root.theme = new URLSearchParams(location.search).get("theme") === "light" ? "light" : "dark";
    addEventListener("pointermove", this.#stir);
    addEventListener("keydown", this.#stir);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    const root = document.documentElement.dataset;
    if (this.#themeBefore) root.theme = this.#themeBefore;
    else delete root.theme;
    removeEventListener("pointermove", this.#stir);
    removeEventListener("keydown", this.#stir);
  }

  shortcuts() {
    return {
      title: "Wallboard",
      shortcuts: [
        { keys: "j", what: "Next page", run: () => this.#turn(1) },
        { keys: "k", what: "Previous page", run: () => this.#turn(-1) },
        { keys: "p", what: "Hold or go on", run: () => this.#hold() },
      ],
    };
  }

  render() {
    const { app } = this;
    this.#tick();
    const page = this.#rotation.pages[this.#n];
    const shift = SHIFTS_PX[this.#n % SHIFTS_PX.length];
    const { atMs, fresh } = asOf(app);
    const phase = app.fleet.phase;
    return html`<div class="wall" data-idle=${this.idle ? "yes" : "no"} data-fresh=${fresh ? "yes" : "no"} ${placed({ transform: `translate(${shift}px, ${shift / 2}px)` })}>
      <header class="wall-head">
        <h1>${titleOf(page)}</h1>
        <span class="quiet">${this.#n + 1} of ${this.#rotation.pages.length}${this.held ? ", held" : ""}</span>
        <span class="spring"></span>
        <span class="wall-controls">
          <button class="button" aria-pressed=${this.held} @click=${this.#hold}>${this.held ? "Go on" : "Hold"}</button>
          <button class="button" @click=${() => this.#turn(1)}>Next</button>
          <a class="button" href="/">Leave</a>
        </span>
        <time class="wall-clock">${clock(app.now())}</time>
      </header>
      ${fresh
        ? nothing
        : html`<p class="wall-stale" role="alert">${toneMark("caution")}<span>${app.live.heardAt ? html`Not up to date. No word from the hub since <strong>${clock(atMs)}</strong>.` : "Not connected to the hub yet."}</span></p>`}
      ${this.#rotation.problems.map((problem) => html`<p class="wall-stale">${toneMark("caution")}<span>${problem}</span></p>`)}
      ${phase === "failed"
        ? notice("The hub does not show its fleet", app.fleet.detail, "failed")
        : phase === "loading"
          ? notice("Loading the fleet…", "", "loading")
          : this.#page(page)}
      <footer class="wall-foot quiet">${fresh ? `Live, as of ${clock(atMs)}` : `As of ${app.live.heardAt ? clock(atMs) : "never"}`}</footer>
    </div>`;
  }

  /** Nobody scrolls a wall: rows that would go over its lower edge are counted and not shown. */
  updated() {
    const lists = this.querySelector(".wall-columns > :last-child, .wall > section");
    const foot = this.querySelector(".wall-foot");
    if (!lists || !foot || innerWidth <= COLUMNS_PX || this.#rows <= ROWS_MIN) return;
    const over = lists.getBoundingClientRect().bottom + FOOT_SHARE * foot.getBoundingClientRect().height - innerHeight;
    if (over <= 0) return;
    this.#dropped += Math.max(1, Math.floor(over / ROW_PX));
    this.requestUpdate();
  }

  get #rows() {
    return Math.max(ROWS_MIN, Math.floor(innerHeight / ROW_PX) - this.#dropped);
  }

  #tick() {
    if (innerHeight !== this.#heightPx) {
      this.#heightPx = innerHeight;
      this.#dropped = 0;
    }
    if (location.search !== this.#search || this.#rotation.pages.length === 0) {
      this.#search = location.search;
      this.#rotation = rotationOf(new URLSearchParams(location.search));
      this.#n = 0;
      this.#turnedAtMs = performance.now();
    }
    const now = performance.now();
    if (now - this.#movedAtMs >= IDLE_MS) this.idle = true;
    if (!this.held && this.#rotation.pages.length > 1 && now - this.#turnedAtMs >= this.#rotation.everyS * 1000) {
      this.#n = (this.#n + 1) % this.#rotation.pages.length;
      this.#turnedAtMs = now;
      this.#dropped = 0;
    }
  }

  /** @param {number} step */
  #turn(step) {
    const { length } = this.#rotation.pages;
    this.#n = (this.#n + step + length) % length;
    this.#turnedAtMs = performance.now();
    this.#dropped = 0;
    this.requestUpdate();
  }

  #hold() {
    this.held = !this.held;
    this.#turnedAtMs = performance.now();
  }

  /** @param {WallPage} page */
  #page(page) {
    const rows = this.#rows;
    const fit = Math.round(innerHeight * GRID_SHARE);
    if (page.kind === "alarms") return this.#alarms(null, rows + 2);
    const { lockers } = this.app.fleet;
    if (page.kind === "overview") {
      const counts = countsShown(this.app);
      return html`${figures(OVERVIEW_TILES, counts)}
        <div class="wall-columns"><lh-heat-grid .app=${this.app} .site=${null} .scale=${scaleOf(lockers.size)} .fit=${fit}></lh-heat-grid>${this.#alarms(null, rows)}</div>`;
    }
    const here = [...lockers.values()].filter((locker) => locker.site === page.site);
    if (here.length === 0) return notice("There is no such site", `No locker belongs to ${page.site}.`, "failed");
    const found = abnormal(here);
    const few = Math.ceil(rows / 2);
    return html`${figures(SITE_TILES, tally(here))}
      <div class="wall-columns"><lh-heat-grid .app=${this.app} .site=${page.site} .scale=${scaleOf(here.length)} .fit=${fit}></lh-heat-grid>
        <div>${this.#alarms(page.site, Math.ceil(rows / 2))}
          <h2>Not normal</h2>
          ${found.length === 0
            ? html`<p class="quiet">Every locker is as it should be.</p>`
            : html`<ul class="wall-list">${found.slice(0, few).map(({ locker, look }) => html`<li>${lookMark(this.app, look)}<span><strong>${LOOKS[look]}</strong> ${locker.name}</span></li>`)}</ul>
                ${found.length > few ? html`<p class="quiet">and ${number(found.length - few)} more</p>` : nothing}`}
        </div></div>`;
  }

  /** @param {string | null} site @param {number} most */
  #alarms(site, most) {
    const status = this.app.store.status("alarms");
    if (status.phase === "failed") return notice("The hub does not show its alarms", status.detail, "failed");
    if (status.phase === "loading") return notice("Loading alarms…", "", "loading");
    const open = [...this.app.openAlarms].filter((alarm) => isUnseen(alarm) && (site === null || alarm.site === site));
    open.sort((a, b) => (a.raised_at < b.raised_at ? 1 : -1));
    return html`<section aria-label="Unacknowledged alarms"><h2>${open.length === 0 ? "No unacknowledged alarm" : some(open.length, "unacknowledged alarm")}</h2>
      <ul class="wall-list">${repeat(
        open.slice(0, most),
        (alarm) => alarm.id,
        (alarm) => html`<li data-severity=${alarm.severity}>${severityMark(alarm.severity)}
          <span><strong>${alarm.what}</strong> <span class="quiet">${alarm.severity}, ${alarm.where}</span></span>
          <time datetime=${alarm.raised_at}>${age(alarm.raised_at, this.app.now())}</time></li>`,
      )}</ul>
      ${open.length > most ? html`<p class="quiet">and ${number(open.length - most)} more</p>` : nothing}</section>`;
  }
}

/** @param {WallPage} page */
function titleOf(page) {
  return { overview: "Fleet", alarms: "Alarms", site: page.site }[page.kind];
}

/** Cells of a small fleet can be seen from afar; a large one has to have room. @param {number} lockers */
function scaleOf(lockers) {
  const screen = Math.max(1, Math.min(2, innerWidth / 1280));
  return lockers <= 60 ? 1.7 * screen : lockers <= 400 ? 1.3 * screen : screen;
}

/** @param {readonly string[]} names @param {Counts | null} counts */
function figures(names, counts) {
  return html`<dl class="figures">
    ${TILES.filter(({ name }) => names.includes(name)).map(({ name, label, mark, count, quiet }) => {
      const n = counts ? (count(counts) ?? 0) : 0;
      return html`<div class="kpi-${name}" data-abnormal=${!quiet && n > 0 ? "yes" : "no"}><dt>${mark()}${label}</dt><dd class="kpi-count">${counts ? number(n) : "–"}</dd></div>`;
    })}
  </dl>`;
}

customElements.define("lh-wall", Wall);
