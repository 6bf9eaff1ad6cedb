/** Whether the alarms themselves can be dealt with: how many come, what stands, what chatters, what is held back. */

import { html, nothing, svg } from "../../../vendor/lit.js";
import { typeWords } from "../../alarm-words.js";
import { Refusal } from "../../api.js";
import { View, placed } from "../../element.js";
import { SEVERITIES, SEVERITY_WORDS, clock, number, some } from "../../format.js";
import { severityMark, toneMark } from "../marks.js";
import { refused } from "../more.js";
import { notice } from "../notice.js";
import { alarmAddress } from "./row.js";
import { alarmTabs } from "./tabs.js";

/** @import {Problem} from "../../types.js" */

/** The bars of a day are asked for so often; the numbers come live. */
const HISTORY_EVERY_MS = 60_000;
const CHART = { width: 720, height: 120 };
const NAMED_MAX = 10;
/** Shares of the severities that were found good, by EEMUA 191. */
const TARGETS = [
  { name: "Low", severities: ["low"], target: 0.8 },
  { name: "Medium", severities: ["medium"], target: 0.15 },
  { name: "High and critical", severities: ["high", "critical"], target: 0.05 },
];

export class AlarmHealth extends View {
  static properties = { asked: { state: true }, problem: { state: true } };

  #timer = 0;

  constructor() {
    super();
    /** @type {any} */
    this.asked = null;
    /** @type {Problem | null} */
    this.problem = null;
  }

  connectedCallback() {
    super.connectedCallback();
    this.#timer = setInterval(() => void this.#ask(), HISTORY_EVERY_MS);
    queueMicrotask(() => void this.#ask());
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this.#timer);
  }

  render() {
    const health = this.app.store.list("alarms").health ?? this.asked;
    return html`${alarmTabs("/alarms/health")}
      <div class="page-head"><h1>Alarm health</h1>
        <p class="quiet">One person can deal with about one alarm in ten minutes. What is above that is missed.</p></div>
      ${health ? this.#page(health) : this.problem ? refused(this.problem, () => void this.#ask()) : notice("Loading…", "", "loading")}`;
  }

  /** @param {any} health */
  #page(health) {
    const above = health.rate_10min > health.rate_target;
    return html`
      <dl class="alarm-figures">
        ${figure("In the last ten minutes", number(health.rate_10min), `the target is ${number(health.rate_target)}`, above ? "caution" : "")}
        ${figure("Most in ten minutes today", number(health.peak_10min), "")}
        ${figure("Flood", health.flood ? "Yes" : "No", health.flood && health.flood_since ? `since ${clock(health.flood_since)}` : "more than 10 in ten minutes", health.flood ? "serious" : "")}
        ${figure("Open", number(health.open), `${number(health.unacked)} not acknowledged`)}
        ${figure("Active for over a day", number(health.standing), "", health.standing > 0 ? "caution" : "")}
        ${figure("Chattering", number(health.chattering.length), "three or more in a minute", health.chattering.length > 0 ? "caution" : "")}
      </dl>
      <section class="panel" aria-labelledby="rate-title">
        <div class="panel-head"><h2 id="rate-title">Alarms per ten minutes, the last 24 hours</h2></div>
        ${this.asked?.history ? this.#chart(this.asked.history, health.rate_target) : this.problem ? refused(this.problem, () => void this.#ask()) : notice("Loading…", "", "loading")}
      </section>
      <div class="alarm-health-columns">
        ${this.#top(health.top)} ${this.#shares(health)} ${this.#suppressed(health.suppressed)}
        ${this.#named("Stale: active for over a day", health.stale)} ${this.#named("Chattering", health.chattering)}
      </div>`;
  }

  /** @param {{at: string, raised: number}[]} history @param {number} target */
  #chart(history, target) {
    const most = Math.max(4, ...history.map(({ raised }) => raised));
    const step = CHART.width / Math.max(1, history.length);
    const y = (/** @type {number} */ n) => CHART.height - (n / most) * (CHART.height - 6);
    const total = history.reduce((sum, { raised }) => sum + raised, 0);
    const above = history.filter(({ raised }) => raised > target).length;
    const words = `${some(total, "alarm")} in 24 hours, at most ${number(Math.max(0, ...history.map(({ raised }) => raised)))} in ten minutes; above the target in ${above} of ${history.length} times of ten minutes.`;
    return html`<figure class="rate-chart">
      <svg viewBox="0 0 ${CHART.width} ${CHART.height}" role="img" aria-label=${words} preserveAspectRatio="none">
        ${history.map(({ at, raised }, n) =>
          raised > 0
            ? svg`<rect class=${raised > target ? "rate-above" : "rate-bar"} x=${n * step + 0.5} y=${y(raised)} width=${Math.max(1, step - 1)} height=${CHART.height - y(raised)}><title>${clock(at).slice(0, 5)}: ${raised}</title></rect>`
            : nothing,
        )}
        <line class="rate-target" x1="0" x2=${CHART.width} y1=${y(target)} y2=${y(target)}></line>
        <line class="rate-base" x1="0" x2=${CHART.width} y1=${CHART.height - 0.5} y2=${CHART.height - 0.5}></line>
      </svg>
      <div class="rate-times" aria-hidden="true">${[0, 0.25, 0.5, 0.75].map((part) => html`<span>${history.length > 0 ? clock(history[Math.floor(part * history.length)].at).slice(0, 5) : ""}</span>`)}<span>now</span></div>
      <figcaption class="quiet">${words} The dashed line is the target of ${number(target)}.</figcaption>
    </figure>`;
  }

  /** @param {{type: string, locker: string | null, door: number | null, count: number}[]} top */
  #top(top) {
    const most = Math.max(1, ...top.map(({ count }) => count));
    return html`<section class="panel" aria-labelledby="top-title">
      <div class="panel-head"><h2 id="top-title">What alarms most</h2></div>
      ${top.length === 0
        ? html`<p class="alarms-none quiet">Nothing was raised in 24 hours.</p>`
        : html`<ol class="top-ten">
            ${top.map(({ type, locker, door, count }) => {
              const query = new URLSearchParams({ open: "false", type, ...(locker ? { locker } : {}) });
              return html`<li><a href=${`/alarms?${query}`}>${typeWords(type)}${locker ? `, ${locker}` : ""}${door === null ? "" : `, door ${door}`}</a>
                <span class="share"><i ${placed({ width: `${(100 * count) / most}%` })}></i></span><span class="right">${number(count)}</span></li>`;
            })}
          </ol>`}
    </section>`;
  }

  /** @param {any} health */
  #shares(health) {
    return html`<section class="panel" aria-labelledby="shares-title">
      <div class="panel-head"><h2 id="shares-title">Severities of what was raised</h2></div>
      <ul class="shares">
        ${TARGETS.map(({ name, severities, target }) => {
          const share = severities.reduce((sum, severity) => sum + (health.shares[severity] ?? 0), 0);
          return html`<li><span>${name}</span>
            <span class="share"><i ${placed({ width: `${100 * share}%` })}></i><b ${placed({ left: `${100 * target}%` })}></b></span>
            <span class="right">${percent(share)} <span class="quiet">of ${percent(target)}</span></span></li>`;
        })}
      </ul>
      <p class="alarms-none quiet">The mark is what is usual where alarms can be trusted: 80, 15 and 5 of 100.</p>
      <ul class="share-now" aria-label="Open now">
        ${SEVERITIES.map((severity) => html`<li>${severityMark(severity)} ${SEVERITY_WORDS[severity]} <strong>${number(health.by_severity[severity])}</strong></li>`)}
      </ul>
    </section>`;
  }

  /** @param {Record<string, number>} suppressed */
  #suppressed(suppressed) {
    const words = { shelved: "Shelved", maintenance: "In maintenance", out_of_service: "Doors out of service", folded: "Part of an outage" };
    return html`<section class="panel" aria-labelledby="suppressed-title">
      <div class="panel-head"><h2 id="suppressed-title">Suppressed now</h2><a href="/alarms?suppressed=shown">Show</a></div>
      <dl class="facts">${Object.entries(words).map(([name, word]) => html`<div><dt>${word}</dt><dd>${number(suppressed[name] ?? 0)}</dd></div>`)}</dl>
    </section>`;
  }

  /** @param {string} title @param {readonly string[]} ids */
  #named(title, ids) {
    const { items } = this.app.store.list("alarms");
    return html`<section class="panel">
      <div class="panel-head"><h2>${title}</h2></div>
      ${ids.length === 0
        ? html`<p class="alarms-none quiet">None.</p>`
        : html`<ul class="top-ten">
            ${ids.slice(0, NAMED_MAX).map((id) => {
              const alarm = items.get(id);
              return html`<li><a href=${alarmAddress(id)}>${alarm ? alarm.what : id}</a><span class="quiet">${alarm?.where ?? ""}</span></li>`;
            })}
          </ul>
          ${ids.length > NAMED_MAX ? html`<p class="alarms-none quiet">and ${ids.length - NAMED_MAX} more</p>` : nothing}`}
    </section>`;
  }

  async #ask() {
    if (!this.app) return;
    try {
      this.asked = await this.app.api.get("/api/v1/alarms/health");
      this.problem = null;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.problem = error.problem;
    }
  }
}

/** @param {string} name @param {string} value @param {string} more @param {"" | "caution" | "serious"} [tone] */
function figure(name, value, more, tone = "") {
  return html`<div class="alarm-figure" data-tone=${tone || "normal"}><dt>${tone ? toneMark(tone) : nothing}${name}</dt>
    <dd><span class="figure-value">${value}</span> <span class="quiet">${more}</span></dd></div>`;
}

/** @param {number} share */
function percent(share) {
  return `${Math.round(100 * share)} %`;
}

customElements.define("lh-alarm-health", AlarmHealth);
