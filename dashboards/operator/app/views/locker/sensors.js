/** The newest readings of a locker, each as a small line over its last day with what is normal behind it. */

import { html, nothing, svg } from "../../../vendor/lit.js";
import { Asked } from "../../asked.js";
import { View } from "../../element.js";
import { age, moment } from "../../format.js";
import { MEASURES, RANGES, bandOf, bandWords, columns, isNormal, newest, sparkline, valueWords } from "../../series.js";
import { toneMark } from "../marks.js";
import { notice } from "../notice.js";
import { plotPath, rulesPath } from "./paths.js";

/** @import {Measure, Plot} from "../../series.js" */

const BOX = { width: 120, height: 28 };
const AGAIN_MS = 60_000;
/** Without a reading for this long, the newest one says how old it is. */
const OLD_MS = 600_000;

export class Sensors extends View {
  static properties = { lockerId: { attribute: false }, at: { attribute: false } };

  #plot = new Asked(() => this.requestUpdate());
  #rules = new Asked(() => this.requestUpdate());

  constructor() {
    super();
    this.lockerId = "";
    /** The moment looked at; "" is now. */
    this.at = "";
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    super.willUpdate(changed);
    if (!this.app || !this.lockerId) return;
    const until = () => (this.at ? Date.parse(this.at) : this.app.now());
    this.#plot.want(this.app, `${this.lockerId} ${this.at}`, () => plotPath(this.lockerId, RANGES["24h"].seconds, until(), 120), this.at ? 0 : AGAIN_MS);
    this.#rules.want(this.app, "rules", rulesPath);
  }

  render() {
    /** @type {Plot | null} */
    const plot = this.#plot.data;
    if (!plot) {
      return this.#plot.problem
        ? notice("The readings did not come", this.#plot.problem.detail, "failed")
        : notice("Loading readings…", "", "loading");
    }
    const shown = MEASURES.map((measure) => this.#row(measure, plot)).filter((row) => row !== null);
    if (shown.length === 0) return notice("No readings", "Nothing was measured in the last 24 hours.");
    const now = this.at ? Date.parse(this.at) : this.app.now();
    const newestMs = Date.parse(plot.at[plot.at.length - 1]) + plot.width_s * 1000;
    return html`<ul class="sensors">${shown}</ul>
      ${now - newestMs > OLD_MS ? html`<p class="feed-note sensor-age">The newest reading is ${age(new Date(newestMs).toISOString(), now)} old.</p>` : nothing}`;
  }

  /** @param {string} name */
  #plotAddress(name) {
    const query = new URLSearchParams(location.search);
    query.set("measure", name);
    return `${location.pathname}?${query}#telemetry`;
  }

  /** @param {Measure} measure @param {Plot} plot */
  #row(measure, plot) {
    const made = columns(plot, measure.name);
    const last = newest(made);
    if (!last) return null;
    const band = bandOf(measure, this.#rules.data?.items ?? []);
    const fine = isNormal(last.value, band);
    const span = { from: Date.parse(plot.since) / 1000, to: Date.parse(plot.until) / 1000 };
    const drawn = sparkline(made, band, BOX, span);
    const at = new Date(last.at * 1000).toISOString();
    return html`<li class="sensor" data-normal=${fine ? "yes" : "no"}>
      <a href=${this.#plotAddress(measure.name)} title=${bandWords(band, measure)}>${measure.label}</a>
      <svg class="spark" viewBox="0 0 ${BOX.width} ${BOX.height}" preserveAspectRatio="none" aria-hidden="true">
        ${drawn.band ? svg`<rect class="spark-band" x="0" y=${drawn.band.y} width=${BOX.width} height=${drawn.band.height}></rect>` : nothing}
        <path class="spark-line" d=${drawn.line}></path>
        ${drawn.last ? svg`<path class="spark-last" d=${`M${drawn.last.x} ${drawn.last.y}h0`}></path>` : nothing}
      </svg>
      <span class="sensor-value" title=${moment(at)}>${fine ? nothing : toneMark("serious")}${valueWords(last.value, measure)}
        ${fine ? nothing : html`<span class="unseen">not normal: ${bandWords(band, measure)}</span>`}</span>
    </li>`;
  }
}

customElements.define("lh-sensors", Sensors);
