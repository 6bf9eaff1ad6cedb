/** A bar chart drawn by uPlot in the colours of the theme, with its numbers in a table for who cannot see it. */

import { html, nothing } from "../../vendor/lit.js";
import { uPlot } from "../../vendor/uplot.js";
import { View } from "../element.js";
import { theme } from "../theme.js";
import { WHOLE, inks } from "./plot.js";

/**
 * @typedef {{x: number, label: string, value: number | null}} Bar `x` in the axis' own unit
 * @typedef {{x: number, label: string}} Mark a line across, as a median
 * @typedef {{from: number, to: number, step: number, label: (x: number, step: number) => string}} Axis `step`: from one bar to the next
 */

const HEIGHT = 200;

export class Bars extends View {
  static properties = {
    heading: { attribute: false },
    note: { attribute: false },
    what: { attribute: false },
    bars: { attribute: false },
    marks: { attribute: false },
    axis: { attribute: false },
    words: { attribute: false },
    isWhole: { attribute: false },
    zone: { attribute: false },
    isOpen: { state: true },
  };

  /** @type {uPlot | null} */
  #drawn = null;
  /** @type {unknown[]} */
  #made = [];
  #sizes = new ResizeObserver(() => this.#fit());

  constructor() {
    super();
    this.heading = "";
    this.note = "";
    /** What a bar is of, as the first column of the table. */
    this.what = "";
    /** @type {readonly Bar[]} */
    this.bars = [];
    /** @type {readonly Mark[]} */
    this.marks = [];
    /** @type {Axis} */
    this.axis = { from: 0, to: 1, step: 1, label: String };
    /** A value in words. @type {(value: number) => string} */
    this.words = String;
    /** Whether values are whole numbers. */
    this.isWhole = true;
    /** The time zone of an axis of times; "" for one of something else. */
    this.zone = "";
    this.isOpen = false;
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#sizes.disconnect();
    this.#forget();
  }

  render() {
    const none = this.bars.every((bar) => !bar.value);
    return html`<figure class="plot">
      <figcaption><strong>${this.heading}</strong>${this.note ? html` <span class="quiet small">${this.note}</span>` : nothing}
        <output class="plot-value" aria-live="off"></output></figcaption>
      ${none
        ? html`<p class="plot-none quiet">Nothing to show in this time.</p>`
        : html`<div class="plot-canvas bars-canvas" tabindex="0" role="group" aria-label=${`${this.heading}. Arrow keys move along the bars; the table below has the numbers.`} @keydown=${this.#walk}></div>`}
      <details class="chart-table" @toggle=${(/** @type {Event} */ e) => (this.isOpen = /** @type {HTMLDetailsElement} */ (e.target).open)}>
        <summary>${this.heading} as a table</summary>${this.isOpen ? this.#table() : nothing}
      </details>
    </figure>`;
  }

  updated() {
    const canvas = this.querySelector(".plot-canvas");
    const made = [canvas, this.bars, this.axis, this.marks, theme()];
    if (made.every((one, index) => one === this.#made[index])) return;
    this.#made = made;
    this.#forget();
    this.#sizes.disconnect();
    if (!(canvas instanceof HTMLElement)) return;
    const data = [this.bars.map((bar) => bar.x), this.bars.map((bar) => bar.value)];
    this.#drawn = new uPlot(this.#options(Math.max(200, canvas.clientWidth)), /** @type {any} */ (data), canvas);
    this.#sizes.observe(canvas);
  }

  /** @param {number} width */
  #options(width) {
    const ink = inks(this);
    const { from, to, step, label } = this.axis;
    const axis = { stroke: ink.quiet, font: ink.font, grid: { stroke: ink.line, width: 1 }, ticks: { stroke: ink.line, width: 1, size: 4 } };
    const isTime = this.zone !== "";
    const widest = Math.max(2, Math.floor(((width - 70) * step * 0.8) / (to - from)));
    return {
      width,
      height: HEIGHT,
      legend: { show: false },
      select: { show: false, left: 0, top: 0, width: 0, height: 0 },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      ...(isTime ? { tzDate: (/** @type {number} */ at) => uPlot.tzDate(new Date(at * 1000), this.zone) } : {}),
      scales: {
        x: { time: isTime, range: () => /** @type {[number, number]} */ ([from, to]) },
        y: { range: (/** @type {unknown} */ _, /** @type {number} */ _least, /** @type {number} */ most) => /** @type {[number, number]} */ ([0, most > 0 ? most * (this.marks.length > 0 ? 1.35 : 1.1) : 1]) },
      },
      series: [{}, { fill: ink.bar, stroke: ink.bar, width: 0, points: { show: false }, paths: uPlot.paths.bars?.({ size: [0.8, widest], align: isTime ? 1 : 0 }) }],
      axes: [
        {
          ...axis,
          size: 30,
          space: isTime ? 64 : 44,
          grid: { show: false },
          ...(isTime ? {} : { incrs: [1, 2, 3, 4, 6, 12] }),
          values: (/** @type {unknown} */ _, /** @type {number[]} */ splits, /** @type {number} */ _axis, /** @type {number} */ _space, /** @type {number} */ every) => splits.map((x) => label(x, every)),
        },
        { ...axis, size: 56, ...(this.isWhole ? { incrs: WHOLE } : {}), values: (/** @type {unknown} */ _, /** @type {number[]} */ splits) => splits.map((value) => this.words(value)) },
      ],
      hooks: {
        draw: [(/** @type {uPlot} */ drawn) => this.#mark(drawn, ink)],
        setCursor: [(/** @type {uPlot} */ drawn) => this.#tell(drawn)],
      },
    };
  }

  /** @param {uPlot} drawn @param {ReturnType<typeof inks>} ink */
  #mark(drawn, ink) {
    const { ctx, bbox } = drawn;
    const ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.strokeStyle = ink.ink;
    ctx.fillStyle = ink.ink;
    ctx.lineWidth = 1.5 * ratio;
    ctx.font = `${12 * ratio}px ${ink.sans}`;
    ctx.textBaseline = "top";
    this.marks.forEach((mark, index) => {
      const x = drawn.valToPos(mark.x, "x", true);
      ctx.setLineDash([4 * ratio, 3 * ratio]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.textAlign = x > bbox.left + bbox.width * 0.7 ? "right" : "left";
      const y = bbox.top + index * 15 * ratio;
      ctx.fillText(mark.label, x + (ctx.textAlign === "right" ? -4 : 4) * ratio, y);
    });
    ctx.restore();
  }

  /** @param {uPlot} drawn */
  #tell(drawn) {
    const output = this.querySelector(".plot-value");
    const bar = drawn.cursor.idx === null || drawn.cursor.idx === undefined ? undefined : this.bars[drawn.cursor.idx];
    if (output) output.textContent = bar && bar.value !== null ? `${bar.label}: ${this.words(bar.value)}` : "";
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const drawn = this.#drawn;
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!drawn || step === undefined) return;
    event.preventDefault();
    const last = this.bars.length - 1;
    const index = Math.min(last, Math.max(0, (drawn.cursor.idx ?? (step > 0 ? -1 : last + 1)) + step));
    this.querySelector(".plot-value")?.setAttribute("aria-live", "polite");
    drawn.setCursor({ left: drawn.valToPos(this.bars[index].x, "x"), top: 20 });
  }

  #table() {
    return html`<div class="table-box" tabindex="0" role="region" aria-label=${`${this.heading} as a table`}><table class="plain-table">
      <thead><tr><th scope="col">${this.what}</th><th scope="col" class="right">${this.heading}</th></tr></thead>
      <tbody>${this.bars.map((bar) => html`<tr><th scope="row">${bar.label}</th><td class="right">${bar.value === null ? "–" : this.words(bar.value)}</td></tr>`)}</tbody>
    </table></div>`;
  }

  #fit() {
    const canvas = this.querySelector(".plot-canvas");
    const width = Math.max(200, canvas?.clientWidth ?? 0);
    if (this.#drawn && this.#drawn.width !== width) this.#drawn.setSize({ width, height: HEIGHT });
  }

  #forget() {
    this.#drawn?.destroy();
    this.#drawn = null;
  }
}

customElements.define("lh-bars", Bars);
