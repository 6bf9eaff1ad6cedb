/** Telemetry of one locker over an hour, a day, a year or any time between, with what is normal shaded. */

import { html, nothing } from "../../../vendor/lit.js";
import { Asked } from "../../asked.js";
import { View } from "../../element.js";
import { clock, moment } from "../../format.js";
import { MEASURES, RANGES, bandOf, columns, hasAny } from "../../series.js";
import { notice } from "../notice.js";
import "../plot.js";
import { rulesPath, spanPath } from "./paths.js";

/** @import {Band, Columns, Plot} from "../../series.js" */

const POINTS = 500;
const SPAN_MAX_MS = 10 * 366 * 86_400_000;
/** Young spans are asked for again this often, long ones a tenth as often. */
const AGAIN_MS = 60_000;

/** @type {Record<string, string>} */
const MADE_OF = {
  raw: "samples as they came",
  minute: "buckets of minutes",
  hour: "buckets of hours",
  day: "buckets of days",
};

/** @typedef {{range: string, sinceMs: number, untilMs: number, problem: string}} Wanted */

export class Telemetry extends View {
  static properties = { lockerId: { attribute: false }, at: { attribute: false } };

  #plot = new Asked(() => this.requestUpdate());
  #rules = new Asked(() => this.requestUpdate());
  /** Columns and bands by measure, made once for each answer. @type {{of: unknown, rules: unknown, made: Map<string, {columns: Columns, band: Band}>}} */
  #made = { of: null, rules: null, made: new Map() };
  /** When the span ends that nobody has entered yet: it stands still, or each redraw would take what is typed away. */
  #endMs = 0;

  constructor() {
    super();
    this.lockerId = "";
    this.at = "";
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    super.willUpdate(changed);
    if (!this.app || !this.lockerId) return;
    const wanted = this.#wanted();
    const key = wanted.problem ? "" : `${this.lockerId} ${this.at} ${wanted.range} ${wanted.range === "custom" ? `${wanted.sinceMs} ${wanted.untilMs}` : ""}`;
    const again = this.at || wanted.range === "custom" ? 0 : wanted.range === "1h" || wanted.range === "24h" ? AGAIN_MS : AGAIN_MS * 10;
    this.#plot.want(this.app, key, () => spanPath(this.lockerId, wanted.sinceMs, wanted.untilMs, POINTS), again);
    this.#rules.want(this.app, "rules", rulesPath);
  }

  updated() {
    const asked = new URLSearchParams(location.search).get("measure");
    if (!asked || !this.#plot.data) return;
    const figure = this.querySelector(`[data-measure="${CSS.escape(asked)}"]`);
    this.#rename({ measure: null });
    figure?.scrollIntoView({ block: "start" });
  }

  render() {
    const wanted = this.#wanted();
    return html`<section class="panel" aria-labelledby="telemetry-title">
      <div class="panel-head telemetry-head"><h2 id="telemetry-title">Telemetry</h2>${this.#ranges(wanted)}</div>
      ${wanted.range === "custom" || wanted.problem ? this.#custom(wanted) : nothing}
      ${wanted.problem ? notice("That is no span of time", wanted.problem, "failed") : this.#plots()}
    </section>`;
  }

  /** @param {Wanted} wanted */
  #ranges(wanted) {
    const choices = [...Object.entries(RANGES).map(([name, { label }]) => [name, label]), ["custom", "Other…"]];
    return html`<div class="segments" role="group" aria-label="Span of time">
      ${choices.map(([name, label]) => html`<button class="segment" type="button" aria-pressed=${wanted.range === name}
        @click=${() => this.#choose(name)}>${label}</button>`)}
    </div>`;
  }

  /** @param {Wanted} wanted */
  #custom(wanted) {
    return html`<form class="span-form" @submit=${this.#take}>
      <label>From <input type="datetime-local" name="since" required .value=${local(wanted.sinceMs)} /></label>
      <label>To <input type="datetime-local" name="until" required .value=${local(wanted.untilMs)} /></label>
      <button class="button" type="submit">Show</button>
    </form>`;
  }

  #plots() {
    /** @type {Plot | null} */
    const plot = this.#plot.data;
    const { problem, busy } = this.#plot;
    if (!plot) {
      return problem
        ? html`${notice("The telemetry did not come", problem.detail || problem.title, "failed")}${this.#retry()}`
        : notice("Loading telemetry…", "", "loading");
    }
    const made = this.#columns(plot);
    const shown = MEASURES.filter((measure) => hasAny(/** @type {{columns: Columns}} */ (made.get(measure.name)).columns));
    const span = { from: Date.parse(plot.since) / 1000, to: Date.parse(plot.until) / 1000 };
    return html`
      <p class="feed-note small" role="status">${moment(plot.since).split(" (")[0]} to ${moment(plot.until).split(" (")[0]}, drawn from ${MADE_OF[plot.resolution] ?? plot.resolution}.${busy ? " Asking for newer ones…" : ""}
        ${problem ? html`<strong class="serious">Newer ones did not come: ${problem.title}. This is from ${clock(Date.now() - (performance.now() - this.#plot.cameAt))}.</strong>` : nothing}</p>
      ${shown.length === 0
        ? notice("No telemetry", "The locker measured nothing in this time, or was not connected.")
        : html`<div class="plots">${shown.map((measure) => {
            const one = /** @type {{columns: Columns, band: Band}} */ (made.get(measure.name));
            return html`<lh-plot data-measure=${measure.name} .app=${this.app} .measure=${measure} .columns=${one.columns} .band=${one.band} .span=${span} .together=${`locker ${this.lockerId}`}></lh-plot>`;
          })}</div>`}`;
  }

  #retry() {
    return html`<p class="centre-line"><button class="button" @click=${() => this.#plot.again()}>Try again</button></p>`;
  }

  /** @param {Plot} plot */
  #columns(plot) {
    const rules = this.#rules.data;
    if (this.#made.of !== plot || this.#made.rules !== rules) {
      const made = MEASURES.map((measure) => /** @type {[string, {columns: Columns, band: Band}]} */ ([
        measure.name,
        { columns: columns(plot, measure.name), band: bandOf(measure, rules?.items ?? []) },
      ]));
      this.#made = { of: plot, rules, made: new Map(made) };
    }
    return this.#made.made;
  }

  /** What the address asks for. @returns {Wanted} */
  #wanted() {
    const query = new URLSearchParams(location.search);
    const range = query.get("range") ?? "24h";
    const now = this.at ? Date.parse(this.at) : this.app.now();
    if (range in RANGES) return { range, sinceMs: now - RANGES[range].seconds * 1000, untilMs: now, problem: "" };
    const endMs = this.at ? now : (this.#endMs ||= now);
    const fallback = { range: "custom", sinceMs: endMs - RANGES["24h"].seconds * 1000, untilMs: endMs };
    if (range !== "custom") return { ...fallback, range, problem: `There is no range “${range}”.` };
    if (!query.has("since") && !query.has("until")) return { ...fallback, problem: "" };
    const sinceMs = Date.parse(query.get("since") ?? "");
    const untilMs = Date.parse(query.get("until") ?? "");
    if (Number.isNaN(sinceMs) || Number.isNaN(untilMs)) return { ...fallback, problem: "From and to have to be times." };
    const given = { range, sinceMs, untilMs };
    if (untilMs <= sinceMs) return { ...given, problem: "Its end is not after its beginning." };
    return { ...given, problem: untilMs - sinceMs > SPAN_MAX_MS ? "It is longer than ten years." : "" };
  }

  /** @param {string} range */
  #choose(range) {
    this.#endMs = 0;
    this.#rename({ range: range === "24h" ? null : range, since: null, until: null });
    this.requestUpdate();
  }

  /** @param {SubmitEvent} event */
  #take(event) {
    event.preventDefault();
    const given = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const time = (/** @type {string} */ name) => {
      const at = new Date(String(given.get(name)));
      return Number.isNaN(at.getTime()) ? "" : at.toISOString();
    };
    this.#rename({ range: "custom", since: time("since"), until: time("until") });
    this.requestUpdate();
  }

  /** Change parts of the address; null takes one away. @param {Record<string, string | null>} parts */
  #rename(parts) {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(parts)) {
      if (value === null) query.delete(name);
      else query.set(name, value);
    }
    const text = query.toString();
    this.app.router.rename(`${location.pathname}${text ? `?${text}` : ""}${location.hash}`);
  }
}

/** A time as the browser's own field for it wants it. @param {number} ms */
function local(ms) {
  const date = new Date(ms);
  return new Date(ms - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

customElements.define("lh-telemetry", Telemetry);
