/** The fleet at a glance: counts, a cell for every locker, the newest alarms, what is the matter, sites. */

import { html, nothing, repeat } from "../../vendor/lit.js";
import { View } from "../element.js";
import { age, moment, number, some } from "../format.js";
import { LOOKS, abnormal, siteRows } from "../heat.js";
import { lockerAddress } from "../router.js";
import { NO_FILTER, addressOf, worst } from "../select.js";
import { isUnseen } from "./announcer.js";
import "./heat-grid.js";
import { legend, lookMark } from "./heat-legend.js";
import { severityMark } from "./marks.js";
import { notice } from "./notice.js";
import { tiles } from "./tiles.js";

/**
 * @import {SiteRow, Look} from "../heat.js"
 * @import {Alarm, Locker} from "../types.js"
 */

/** Lists and sums are made anew at most this often; the grid is not waiting for them. */
const SUM_EVERY_MS = 1000;
const ALARMS_MAX = 8;
const ABNORMAL_MAX = 10;
const SITES_PAGE = 50;

export class Overview extends View {
  static properties = { sitesShown: { state: true } };

  constructor() {
    super();
    this.sitesShown = SITES_PAGE;
  }

  #summed = { key: "", alarmsOf: /** @type {unknown} */ (null), atMs: -SUM_EVERY_MS };
  /** @type {SiteRow[]} */
  #sites = [];
  /** @type {{locker: Locker, look: Look}[]} */
  #abnormal = [];
  /** @type {Alarm[]} */
  #alarms = [];
  /** Somebody points at the lists or has the focus in them: their rows stay where they are. */
  #held = false;

  acts() {
    const { app } = this;
    return [
      { name: "Show what is offline", run: () => app.router.go(addressOf({ ...NO_FILTER, state: "offline" })) },
      { name: "Show lockers with alarms", run: () => app.router.go(addressOf({ ...NO_FILTER, alarms: "any" })) },
    ];
  }

  render() {
    const { app } = this;
    const { phase, detail, lockers } = app.fleet;
    if (phase === "ready") this.#sum();
    return html`
      <h1 class="unseen">Fleet</h1>
      ${tiles(app)}
      ${phase === "failed"
        ? notice(app.at ? "The hub does not know that moment" : "The hub does not show its fleet", detail, "failed")
        : phase === "loading"
          ? notice("Loading the fleet…", "", "loading")
          : lockers.size === 0
            ? notice("No lockers yet", "A locker appears here when it is entered, or when its agent connects for the first time.")
            : this.#content()}
    `;
  }

  #content() {
    return html`<div class="overview">
      <div class="overview-side" @pointerenter=${() => (this.#held = true)} @pointerleave=${() => (this.#held = false)}
        @focusin=${() => (this.#held = true)} @focusout=${() => (this.#held = false)}>
        ${this.#alarmPanel()} ${this.#abnormalPanel()}
      </div>
      <div class="overview-main">
        <section class="panel" aria-labelledby="grid-title">
          <div class="panel-head"><h2 id="grid-title">Lockers by site</h2><a href="/lockers">List</a></div>
          <div class="overview-heat"><lh-heat-grid .app=${this.app}></lh-heat-grid></div>
          ${legend(this.app)}
        </section>
        ${this.#sitePanel()}
      </div>
    </div>`;
  }

  #sum() {
    const { app } = this;
    const { key, lockers } = app.fleet;
    const alarmsOf = app.at ? app.past.alarms.alarms : app.store.list("alarms").items;
    const now = performance.now();
    const before = this.#summed;
    if (key === before.key && alarmsOf === before.alarmsOf) return;
    const first = this.#sites.length === 0 || Boolean(app.at);
    if (!first && (this.#held || now - before.atMs < SUM_EVERY_MS)) return;
    this.#summed = { key, alarmsOf, atMs: now };
    this.#sites = siteRows(lockers.values());
    this.#abnormal = abnormal(lockers.values());
    this.#alarms = [...app.openAlarms].filter(isUnseen).sort((a, b) => (a.raised_at < b.raised_at ? 1 : -1));
  }

  #alarmPanel() {
    const shown = this.#alarms.slice(0, ALARMS_MAX);
    const status = this.app.at ? this.app.past.alarms : this.app.store.status("alarms");
    return html`<section class="panel" aria-labelledby="newest-title">
      <div class="panel-head"><h2 id="newest-title">Unacknowledged alarms</h2><a href="/alarms">${this.#alarms.length > shown.length ? `All ${number(this.#alarms.length)}` : "Alarms"}</a></div>
      ${status.phase === "failed"
        ? html`<p class="panel-note serious">${status.detail || "The hub does not show its alarms."}</p>`
        : shown.length === 0
          ? html`<p class="panel-note quiet">${status.phase === "loading" ? "Loading…" : "Every alarm is acknowledged."}</p>`
          : html`<ul class="brief">${repeat(shown, (alarm) => alarm.id, (alarm) => this.#alarm(alarm))}</ul>`}
    </section>`;
  }

  /** @param {Alarm} alarm */
  #alarm(alarm) {
    return html`<li><a class="brief-link" href=${`/alarms/${encodeURIComponent(alarm.id)}`} data-severity=${alarm.severity}>
      ${severityMark(alarm.severity)}<span class="brief-text"><span class="unseen">${alarm.severity}: </span><strong>${alarm.what}</strong><span class="quiet">${alarm.where}</span></span>
      <time datetime=${alarm.raised_at} title=${moment(alarm.raised_at)}>${age(alarm.raised_at, this.#nowMs)}</time>
    </a></li>`;
  }

  #abnormalPanel() {
    const shown = this.#abnormal.slice(0, ABNORMAL_MAX);
    return html`<section class="panel" aria-labelledby="abnormal-title">
      <div class="panel-head"><h2 id="abnormal-title">Not normal</h2><a href="/lockers">${some(this.#abnormal.length, "locker")}</a></div>
      ${shown.length === 0
        ? html`<p class="panel-note quiet">Every locker is as it should be.</p>`
        : html`<ul class="brief">${repeat(shown, ({ locker }) => locker.id, ({ locker, look }) => this.#thing(locker, look))}</ul>`}
    </section>`;
  }

  /** @param {Locker} locker @param {Look} look */
  #thing(locker, look) {
    return html`<li><a class="brief-link" href=${lockerAddress(locker.id)}>${lookMark(this.app, look)}
      <span class="brief-text"><strong>${LOOKS[look]}</strong><span class="quiet">${locker.name}</span></span>
      ${look === "offline" && locker.state_changed_at ? html`<time datetime=${locker.state_changed_at} title=${moment(locker.state_changed_at)}>${age(locker.state_changed_at, this.#nowMs)}</time>` : nothing}
    </a></li>`;
  }

  /** Ages are those of the moment that is shown. */
  get #nowMs() {
    return this.app.at ? this.app.at.getTime() : this.app.now();
  }

  #sitePanel() {
    const shown = this.#sites.slice(0, this.sitesShown);
    const more = this.#sites.length - shown.length;
    return html`<section class="panel" aria-labelledby="sites-title">
      <div class="panel-head"><h2 id="sites-title">Sites</h2><span class="quiet">${some(this.#sites.length, "site")}</span></div>
      <table class="sites">
        <thead><tr><th scope="col">Site</th><th scope="col">Lockers</th><th scope="col">Offline</th><th scope="col">Doors open</th><th scope="col">Maintenance</th><th scope="col">Worst alarm</th></tr></thead>
        <tbody>${repeat(shown, (row) => row.site, (row) => this.#site(row))}</tbody>
      </table>
      ${more > 0 ? html`<p class="panel-note"><button class="button" @click=${() => (this.sitesShown += SITES_PAGE)}>${some(Math.min(more, SITES_PAGE), "more site")}</button></p>` : nothing}
    </section>`;
  }

  /** @param {SiteRow} row */
  #site(row) {
    const at = { ...NO_FILTER, site: row.site };
    const grade = worst(row);
    const alarms = Object.values(row.alarms).reduce((sum, n) => sum + n, 0);
    /** @param {number} n @param {string} href @param {string} [tone] */
    const cell = (n, href, tone = "") => html`<td class="number">${n === 0 ? html`<span class="quiet">0</span>` : html`<a class=${tone} href=${href}>${number(n)}</a>`}</td>`;
    return html`<tr>
      <th scope="row"><a href=${addressOf(at)}>${row.site || "No site"}</a></th>
      <td class="number">${number(row.total)}</td>
      ${cell(row.offline, addressOf({ ...at, state: "offline" }), "serious")}
      ${cell(row.open, addressOf({ ...at, state: "open" }), "open")}
      ${cell(row.maintenance, addressOf({ ...at, maintenance: true }))}
      <td>${grade ? html`<a class="site-alarm" href=${addressOf({ ...at, alarms: "any" })}>${severityMark(grade)}${grade}<span class="quiet">of ${alarms}</span></a>` : html`<span class="quiet">none</span>`}</td>
    </tr>`;
  }
}

customElements.define("lh-overview", Overview);
