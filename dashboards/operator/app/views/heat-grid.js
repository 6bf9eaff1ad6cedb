/**
 * A cell for every locker, by site. One canvas, on which only what changed is drawn again; one link above it that
 * lies on the cell which the pointer or the keyboard is at.
 */

import { html, nothing } from "../../vendor/lit.js";
import { View, placed } from "../element.js";
import { LOCKER_WORDS, some } from "../format.js";
import { LOOKS, cellAt, cellBeside, fittingLayout, layoutOf, lookOf } from "../heat.js";
import { painted } from "../paint.js";
import { lockerAddress } from "../router.js";
import { SEVERITIES } from "../select.js";
import { theme } from "../theme.js";
import { drawCell, drawNames, inksNow } from "./heat-drawing.js";

/**
 * @import {Layout} from "../heat.js"
 * @import {Locker} from "../types.js"
 */

/** A canvas of more pixels is drawn at the plain resolution. */
const PIXELS_MAX = 16_000_000;
const TIP_WIDTH = 230;

export class HeatGrid extends View {
  static properties = { site: { attribute: false }, scale: { attribute: false }, fit: { attribute: false }, cursor: { state: true }, hovered: { state: true }, spoken: { state: true } };

  constructor() {
    super();
    /** Only this site; null for all. @type {string | null} */
    this.site = null;
    /** How much larger than for a screen on a desk. */
    this.scale = 1;
    /** No higher than this, where nobody scrolls; 0 is as high as it gets. */
    this.fit = 0;
    /** The cell that the link lies on. */
    this.cursor = 0;
    this.hovered = -1;
    this.spoken = "";
  }

  /** @type {Layout | null} */
  #layout = null;
  #drawnRevision = -1;
  #drawnKey = "";
  #ratio = 1;
  #width = 0;
  #sizes = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentBoxSize[0].inlineSize);
    if (width === this.#width) return;
    this.#width = width;
    this.requestUpdate();
  });

  connectedCallback() {
    super.connectedCallback();
    this.#sizes.observe(this);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#sizes.disconnect();
    this.#drawnKey = "";
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    super.willUpdate(changed);
    if (changed.has("site") || changed.has("scale") || changed.has("fit")) this.#drawnKey = "";
  }

  render() {
    const hint = "heat-hint";
    const locker = this.#at(this.cursor);
    const cell = this.#layout?.cells[this.cursor];
    const pitch = this.#layout?.pitch ?? 0;
    return html`<div class="heat" @pointermove=${this.#point} @pointerleave=${() => (this.hovered = -1)} @click=${this.#click} @keydown=${this.#key}>
      <canvas aria-hidden="true"></canvas>
      ${locker && cell
        ? html`<a class="heat-cursor" href=${lockerAddress(locker.id)} aria-label=${words(locker)} aria-describedby=${hint}
            ${placed({ transform: `translate(${cell.x - 2}px, ${cell.y - 2}px)`, width: `${pitch + 2}px`, height: `${pitch + 2}px` })}></a>`
        : nothing}
      ${this.#tip()}
      <p id=${hint} class="unseen">Arrow keys go from locker to locker.</p>
      <p class="unseen" role="status" aria-live="polite">${this.spoken}</p>
    </div>`;
  }

  updated() {
    if (!this.app || this.#width === 0) return;
    const { app } = this;
    const fleet = app.fleet;
    if (fleet.phase !== "ready") return;
    const revision = app.store.fleetRevision;
    const key = `${app.at?.toISOString() ?? "now"} ${this.#width} ${theme()} ${devicePixelRatio}`;
    if (key === this.#drawnKey && (app.at || revision === this.#drawnRevision)) return;
    const touched = app.store.touched;
    const partial = key === this.#drawnKey && revision === this.#drawnRevision + 1 && this.#placesHold(fleet.lockers, touched);
    this.#drawnKey = key;
    this.#drawnRevision = revision;
    if (partial) this.#drawSome(fleet.lockers, touched);
    else this.#drawAll(fleet.lockers);
  }

  /** Whether no locker came, went or moved to another site. @param {ReadonlyMap<string, Locker>} lockers @param {ReadonlySet<string>} touched */
  #placesHold(lockers, touched) {
    const layout = this.#layout;
    if (!layout) return false;
    for (const id of touched) {
      const locker = lockers.get(id);
      const cell = layout.cells[layout.index.get(id) ?? -1];
      const here = locker !== undefined && (this.site === null || locker.site === this.site);
      if (here !== (cell !== undefined) || (cell && locker && cell.site !== locker.site)) return false;
    }
    return true;
  }

  /** @param {ReadonlyMap<string, Locker>} lockers @param {ReadonlySet<string>} touched */
  #drawSome(lockers, touched) {
    const layout = this.#layout;
    const on = this.#canvas?.getContext("2d");
    if (!layout || !on) return;
    const inks = inksNow();
    for (const id of touched) {
      const cell = layout.cells[layout.index.get(id) ?? -1];
      const locker = lockers.get(id);
      if (cell && locker) drawCell(on, cell.x, cell.y, layout.pitch, lookOf(locker), inks);
    }
    painted(touched, false);
  }

  /** @param {ReadonlyMap<string, Locker>} lockers */
  #drawAll(lockers) {
    const canvas = this.#canvas;
    const on = canvas?.getContext("2d");
    if (!canvas || !on) return;
    const { site } = this;
    const shown = [...lockers.values()].filter((locker) => site === null || locker.site === site);
    const layout = this.fit ? fittingLayout(shown, this.#width, this.scale, this.fit) : layoutOf(shown, this.#width, this.scale);
    this.#layout = layout;
    this.cursor = Math.max(0, Math.min(this.cursor, layout.cells.length - 1));
    this.#ratio = layout.width * layout.height * devicePixelRatio ** 2 > PIXELS_MAX ? 1 : devicePixelRatio;
    canvas.width = Math.round(layout.width * this.#ratio);
    canvas.height = Math.round(layout.height * this.#ratio);
    canvas.style.setProperty("width", `${layout.width}px`);
    canvas.style.setProperty("height", `${layout.height}px`);
    on.setTransform(this.#ratio, 0, 0, this.#ratio, 0, 0);
    const inks = inksNow();
    drawNames(on, layout, inks);
    for (const { id, x, y } of layout.cells) {
      const locker = lockers.get(id);
      if (locker) drawCell(on, x, y, layout.pitch, lookOf(locker), inks);
    }
    painted(layout.index.keys(), true);
    // The link and its words belong to the new places.
    this.requestUpdate();
  }

  get #canvas() {
    return this.querySelector("canvas");
  }

  /** @param {number} n @returns {Locker | null} */
  #at(n) {
    const cell = this.#layout?.cells[n];
    return (cell && this.app.fleet.lockers.get(cell.id)) || null;
  }

  #tip() {
    const locker = this.#at(this.hovered);
    const cell = this.#layout?.cells[this.hovered];
    if (!locker || !cell || !this.#layout) return nothing;
    const { pitch, width } = this.#layout;
    const x = Math.max(0, Math.min(cell.x, width - TIP_WIDTH));
    const look = lookOf(locker);
    return html`<div class="heat-tip" aria-hidden="true" ${placed({ transform: `translate(${x}px, ${cell.y + pitch + 4}px)` })}>
      <strong>${locker.name}</strong><span class="mono">${locker.id}</span>
      <span>${LOOKS[look]}${look === "offline" || look === "normal" ? nothing : html`, ${LOCKER_WORDS[locker.state].toLowerCase()}`}</span>
      ${locker.door_counts.open ? html`<span>${some(locker.door_counts.open, "door")} open</span>` : nothing}
      ${alarmWords(locker) ? html`<span>${alarmWords(locker)}</span>` : nothing}
    </div>`;
  }

  /** @param {PointerEvent} event */
  #point(event) {
    this.hovered = this.#cellUnder(event);
    if (this.hovered >= 0 && !this.contains(document.activeElement)) this.cursor = this.hovered;
  }

  /** @param {MouseEvent} event */
  #cellUnder(event) {
    const canvas = this.#canvas;
    if (!canvas || !this.#layout) return -1;
    const box = canvas.getBoundingClientRect();
    return cellAt(this.#layout, event.clientX - box.left, event.clientY - box.top);
  }

  /** @param {MouseEvent} event */
  #click(event) {
    // The link follows itself, from the keyboard as well.
    if (event.target instanceof Element && event.target.closest("a") && event.detail === 0) return;
    const locker = this.#at(this.#cellUnder(event));
    if (!locker || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.app.router.go(lockerAddress(locker.id));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === "Escape") this.hovered = -1;
    if (!this.#layout || !["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) return;
    event.preventDefault();
    this.cursor = cellBeside(this.#layout, this.cursor, event.key);
    this.hovered = this.cursor;
    const locker = this.#at(this.cursor);
    this.spoken = locker ? words(locker) : "";
    void this.updateComplete.then(() => this.querySelector(".heat-cursor")?.scrollIntoView({ block: "nearest" }));
  }
}

/** A locker for who does not see the grid. @param {Locker} locker */
function words(locker) {
  const said = [locker.name, locker.site, LOOKS[lookOf(locker)]];
  if (locker.door_counts.open) said.push(`${some(locker.door_counts.open, "door")} open`);
  const alarms = alarmWords(locker);
  return [...said, alarms].filter(Boolean).join(", ");
}

/** @param {Locker} locker */
function alarmWords(locker) {
  return SEVERITIES.filter((severity) => locker.alarms[severity] > 0)
    .map((severity) => `${locker.alarms[severity]} ${severity}`)
    .join(", ");
}

customElements.define("lh-heat-grid", HeatGrid);
