/** A locker's doors as they are in the real cabinet: one button each, walkable with the arrow keys. */

import { html, nothing, repeat } from "../../vendor/lit.js";
import { View, placed } from "../element.js";
import { ago, doorWords } from "../format.js";
import { cabinet, neighbour } from "../geometry.js";
import { severityMark } from "./marks.js";

/** @import {Alarm, Door} from "../types.js" */

const SEVERITIES = ["critical", "high", "medium", "low"];

export class Doors extends View {
  static properties = {
    doors: { attribute: false },
    alarms: { attribute: false },
    selected: { attribute: false },
    current: { state: true },
  };

  constructor() {
    super();
    /** @type {readonly Door[]} */
    this.doors = [];
    /** The locker's open alarms. @type {readonly Alarm[]} */
    this.alarms = [];
    /** The door whose panel is open. @type {number | null} */
    this.selected = null;
    /** The door that Tab leads to. @type {number | null} */
    this.current = null;
  }

  render() {
    const { places, rows, columns, real } = cabinet(this.doors);
    const wanted = this.current ?? this.selected;
    const current = places.some((place) => place.door.number === wanted) ? wanted : (places[0]?.door.number ?? null);
    const worst = worstOf(this.alarms);
    return html`
      <div class="cabinet-box">
        <div class="cabinet" role="group" aria-label="Doors" @keydown=${(/** @type {KeyboardEvent} */ e) => this.#walk(e, places)}
          ${placed({
            "grid-template-columns": `repeat(${columns}, minmax(var(--door-least), 1fr))`,
            "grid-template-rows": rows.map((units) => `${Math.round(units * 48)}px`).join(" "),
          })}>
          ${repeat(places, (place) => place.door.number, ({ door, row, column }) => this.#door(door, row, column, door.number === current, worst.get(door.number)))}
        </div>
      </div>
      ${real ? nothing : html`<p class="quiet small">The real layout of this cabinet is not entered; doors are in the order of their numbers.</p>`}
      ${this.#legend()}
    `;
  }

  /** @param {Door} door @param {number} row @param {number} column @param {boolean} current @param {Alarm | undefined} alarm */
  #door(door, row, column, current, alarm) {
    const out = door.service === "out";
    return html`<button class="door" type="button" data-door=${door.number} data-state=${door.state} data-service=${door.service}
      tabindex=${current ? 0 : -1} aria-label=${doorWords(door) + (alarm ? `, ${alarm.severity} alarm` : "")} title=${this.#hint(door, alarm)}
      aria-current=${door.number === this.selected ? "true" : nothing}
      ${placed({ "grid-row": String(row), "grid-column": String(column) })}
      @focus=${() => (this.current = door.number)} @click=${() => this.#choose(door)}>
      <span class="door-label">${door.label}</span>
      ${door.state === "open" ? html`<span class="door-word">Open</span>` : nothing}
      ${door.state === "unknown" && !out ? html`<span class="door-word">?</span>` : nothing}
      ${out ? html`<span class="door-word door-out">Out</span>` : nothing}
      ${door.occupied ? html`<svg class="door-item" viewBox="0 0 10 10" aria-hidden="true"><circle cx="5" cy="5" r="4"></circle></svg>` : nothing}
      ${alarm ? html`<span class="door-alarm">${severityMark(alarm.severity)}</span>` : nothing}
    </button>`;
  }

  /** @param {Door} door @param {Alarm | undefined} alarm */
  #hint(door, alarm) {
    const since = door.state_changed_at ? `, since ${ago(door.state_changed_at, this.app.now())}` : "";
    const size = door.size ? `, size ${door.size}` : "";
    return `${doorWords(door)}${size}${since}${door.service_reason ? `. ${door.service_reason}` : ""}${alarm ? `. ${alarm.what}` : ""}`;
  }

  #legend() {
    const kinds = [
      ["closed", "in", "Closed"],
      ["open", "in", "Open"],
      ["unknown", "in", "Unknown"],
      ["closed", "out", "Out of service"],
    ];
    return html`<p class="legend" aria-hidden="true">
      ${kinds.map(([state, service, word]) => html`<span><i class="swatch" data-state=${state} data-service=${service}></i>${word}</span>`)}
      <span>${severityMark("high")}Alarm</span>
      <span><svg class="swatch-item" viewBox="0 0 10 10"><circle cx="5" cy="5" r="4"></circle></svg>Item present</span>
    </p>`;
  }

  /** @param {KeyboardEvent} event @param {ReturnType<typeof cabinet>["places"]} places */
  #walk(event, places) {
    const from = event.target instanceof HTMLElement ? Number(event.target.dataset.door) : NaN;
    const next = Number.isNaN(from) ? null : neighbour(places, from, event.key);
    if (next === null) return;
    event.preventDefault();
    const button = this.querySelector(`[data-door="${next}"]`);
    if (button instanceof HTMLElement) button.focus();
  }

  /** @param {Door} door */
  #choose(door) {
    this.dispatchEvent(new CustomEvent("door-chosen", { detail: door.number, bubbles: true }));
  }
}

/** The worst alarm of each door, of those that are told. @param {readonly Alarm[]} alarms */
function worstOf(alarms) {
  /** @type {Map<number, Alarm>} */
  const worst = new Map();
  for (const alarm of alarms) {
    if (alarm.door === null || alarm.suppressed !== null) continue;
    const known = worst.get(alarm.door);
    if (!known || SEVERITIES.indexOf(alarm.severity) < SEVERITIES.indexOf(known.severity)) worst.set(alarm.door, alarm);
  }
  return worst;
}

customElements.define("lh-doors", Doors);
