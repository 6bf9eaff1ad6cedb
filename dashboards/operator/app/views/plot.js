/**
 * A plot over time: the least, mean and greatest of each bucket, what is normal shaded behind them, breaks where
 * nothing was measured. Drawn by uPlot on a canvas in the colours of the theme; the same numbers stand in a table
 * below for who cannot see it, and the arrow keys move the cursor for who has no pointer.
 */

import { html, nothing } from "../../vendor/lit.js";
import { uPlot } from "../../vendor/uplot.js";
import { View } from "../element.js";
import { bandWords, hasAny, rowsOf, valueWords } from "../series.js";
import { theme } from "../theme.js";

/** @import {Band, Columns, Measure} from "../series.js" */

const HEIGHT = 180;
/** Steps of an axis whose values are whole. */
export const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];
/** Rows of a table at the most; more become fewer, wider ones. */
const ROWS_MAX = 96;

export class Plot extends View {
  static properties = {
    columns: { attribute: false },
    measure: { attribute: false },
    band: { attribute: false },
    span: { attribute: false },
    together: { attribute: false },
    isOpen: { state: true },
  };

  /** @type {uPlot | null} */
  #drawn = null;
  /** What the drawing was made of. @type {unknown[]} */
  #made = [];
  #sizes = new ResizeObserver(() => this.#fit());

  constructor() {
    super();
    /** @type {Columns} */
    this.columns = { x: [], min: [], avg: [], max: [] };
    /** @type {Measure} */
    this.measure;
    /** @type {Band} */
    this.band = { low: null, high: null };
    /** @type {{from: number, to: number}} */
    this.span = { from: 0, to: 1 };
    /** Plots of the same name move their cursors together. */
    this.together = "";
    this.isOpen = false;
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#sizes.disconnect();
    this.#forget();
  }

  render() {
    const { measure } = this;
    const usual = bandWords(this.band, measure);
    const known = hasAny(this.columns);
    return html`<figure class="plot">
      <figcaption><strong>${measure.label}</strong>${usual ? html` <span class="quiet small">${usual}</span>` : nothing}
        <output class="plot-value" aria-live="off"></output></figcaption>
      ${known
        ? html`<div class="plot-canvas" tabindex="0" role="group" aria-label=${`${measure.label}, ${this.#summary()}. Arrow keys move the cursor; the table below has the numbers.`}
              @keydown=${this.#walk}></div>
            <details class="plot-table" @toggle=${(/** @type {Event} */ e) => (this.isOpen = /** @type {HTMLDetailsElement} */ (e.target).open)}>
              <summary>${measure.label} as a table</summary>${this.isOpen ? this.#table() : nothing}
            </details>`
        : html`<p class="plot-none quiet">Nothing was measured in this time.</p>`}
    </figure>`;
  }

  updated() {
    const canvas = this.querySelector(".plot-canvas");
    const made = [canvas, this.columns, this.band, this.measure, this.span.from, this.span.to, theme()];
    if (made.every((one, index) => one === this.#made[index])) return;
    this.#made = made;
    this.#forget();
    this.#sizes.disconnect();
    if (!(canvas instanceof HTMLElement)) return;
    this.#drawn = new uPlot(this.#options(canvas.clientWidth), /** @type {any} */ (this.#data()), canvas);
    this.#sizes.observe(canvas);
  }

  #data() {
    const { x, avg, min, max } = this.columns;
    return [x, max, min, avg];
  }

  /** @param {number} width */
  #options(width) {
    const ink = inks(this);
    const axis = { stroke: ink.quiet, font: ink.font, grid: { stroke: ink.line, width: 1 }, ticks: { stroke: ink.line, width: 1, size: 4 } };
    const edge = { stroke: "transparent", width: 0, points: { show: false } };
    return {
      width: Math.max(200, width),
      height: HEIGHT,
      legend: { show: false },
      select: { show: false, left: 0, top: 0, width: 0, height: 0 },
      cursor: {
        y: false,
        drag: { x: false, y: false },
        points: { size: 7, fill: ink.ink, width: 0 },
        sync: this.together ? { key: this.together } : undefined,
      },
      scales: {
        x: { time: true, range: () => /** @type {[number, number]} */ ([this.span.from, this.span.to]) },
        y: { range: (/** @type {unknown} */ _, /** @type {number} */ least, /** @type {number} */ most) => roomy(least, most) },
      },
      bands: [{ series: /** @type {[number, number]} */ ([1, 2]), fill: ink.spread }],
      series: [
        {},
        edge,
        edge,
        { stroke: ink.ink, width: 1.5, points: { show: this.columns.x.length < 40, size: 4, fill: ink.ink } },
      ],
      axes: [
        { ...axis, space: 70, size: 30, values: (/** @type {unknown} */ _, /** @type {number[]} */ splits, /** @type {number} */ _axis, /** @type {number} */ _space, /** @type {number} */ step) => times(splits, step) },
        { ...axis, size: 56, ...(this.measure.digits === 0 ? { incrs: WHOLE } : {}), values: (/** @type {unknown} */ _, /** @type {number[]} */ splits) => splits.map((value) => short(value)) },
      ],
      hooks: {
        drawClear: [(/** @type {uPlot} */ drawn) => this.#shade(drawn, ink)],
        setCursor: [(/** @type {uPlot} */ drawn) => this.#tell(drawn)],
      },
    };
  }

  /** What is normal, as a ground; its limits as lines. @param {uPlot} drawn @param {ReturnType<typeof inks>} ink */
  #shade(drawn, ink) {
    const { low, high } = this.band;
    if (low === null && high === null) return;
    const { ctx, bbox } = drawn;
    const at = (/** @type {number | null} */ value, /** @type {number} */ otherwise) =>
      value === null ? otherwise : Math.min(bbox.top + bbox.height, Math.max(bbox.top, drawn.valToPos(value, "y", true)));
    const top = at(high, bbox.top);
    const bottom = at(low, bbox.top + bbox.height);
    ctx.save();
    ctx.fillStyle = ink.normal;
    ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
    ctx.restore();
  }

  /** @param {uPlot} drawn */
  #tell(drawn) {
    const output = this.querySelector(".plot-value");
    const index = drawn.cursor.idx;
    if (output) output.textContent = index === null || index === undefined ? "" : this.#words(index);
  }

  /** @param {number} index */
  #words(index) {
    const { x, min, avg, max } = this.columns;
    const at = WHEN.format(new Date(x[index] * 1000));
    if (avg[index] === null) return `${at}: nothing measured`;
    const spread = min[index] === max[index] ? "" : ` (${valueWords(min[index], this.measure)} to ${valueWords(max[index], this.measure)})`;
    return `${at}: ${valueWords(avg[index], this.measure)}${spread}`;
  }

  #summary() {
    const { min, max } = this.columns;
    const numbers = /** @type {number[]} */ ([...min, ...max].filter((value) => value !== null));
    return `between ${valueWords(Math.min(...numbers), this.measure)} and ${valueWords(Math.max(...numbers), this.measure)}`;
  }

  #table() {
    return html`<div class="table-box" tabindex="0" role="region" aria-label=${`${this.measure.label} as a table`}><table class="plain-table">
      <thead><tr><th scope="col">From</th><th scope="col" class="right">Least</th><th scope="col" class="right">Mean</th><th scope="col" class="right">Greatest</th></tr></thead>
      <tbody>${rowsOf(this.columns, ROWS_MAX).map(
        (row) => html`<tr><th scope="row">${WHEN.format(new Date(row.at * 1000))}</th>
          ${[row.min, row.avg, row.max].map((value) => html`<td class="right">${valueWords(value, this.measure)}</td>`)}</tr>`,
      )}</tbody></table></div>`;
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const drawn = this.#drawn;
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
    if (!drawn || step === undefined) return;
    event.preventDefault();
    const last = this.columns.x.length - 1;
    const index = Math.min(last, Math.max(0, (drawn.cursor.idx ?? (step > 0 ? -1 : last + 1)) + step));
    const left = drawn.valToPos(this.columns.x[index], "x");
    drawn.setCursor({ left, top: 20 }, true, true);
    const output = this.querySelector(".plot-value");
    output?.setAttribute("aria-live", "polite");
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

/** The theme's colours, for what the style sheet cannot reach. @param {Element} element */
export function inks(element) {
  const style = getComputedStyle(element);
  const of = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: of("ink"),
    quiet: of("quiet"),
    line: of("line"),
    spread: of("plot-spread"),
    normal: of("plot-normal"),
    bar: of("plot-bar"),
    sans: of("sans"),
    font: `12px ${of("sans")}`,
  };
}

/** Words below a time axis: days where a step is a day or more, else the time of day, with the day at midnight. @param {number[]} splits @param {number} stepS */
export function times(splits, stepS) {
  return splits.map((at, index) => {
    const date = new Date(at * 1000);
    if (stepS >= 86_400 * 28) return MONTH.format(date);
    const isDay = stepS >= 86_400 || (date.getHours() === 0 && date.getMinutes() === 0 && index > 0);
    return isDay ? DAY.format(date) : TIME.format(date);
  });
}

/** @param {number} least @param {number} most @returns {[number, number]} */
function roomy(least, most) {
  if (least === null || most === null) return [0, 1];
  const room = Math.max((most - least) * 0.12, Math.abs(most) * 0.01, 0.5);
  const floor = least >= 0 ? Math.max(0, least - room) : least - room;
  return [floor, most + room];
}

/** @param {number} value */
function short(value) {
  return Math.abs(value) >= 10_000 ? `${Math.round(value / 1000)}k` : String(Number(value.toFixed(2)));
}

const WHEN = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const MONTH = new Intl.DateTimeFormat(undefined, { month: "short", year: "2-digit" });

customElements.define("lh-plot", Plot);
