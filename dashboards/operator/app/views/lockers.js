/** All lockers: a list that stays still while somebody points at it, and in which many can be chosen. */

import { html, nothing, repeat } from "../../vendor/lit.js";
import { csvOf, download } from "../csv.js";
import { View, placed } from "../element.js";
import { some } from "../format.js";
import { NO_FILTER, addressOf, rows } from "../select.js";
import { Selection } from "../selection.js";
import { LockerBulk } from "./locker-bulk.js";
import "./locker-filters.js";
import { rowLink } from "./locker-row.js";
import { toneMark } from "./marks.js";
import { notice } from "./notice.js";

/** @import {Filter, Locker, Row} from "../types.js" */

/** Row elements in the document, however long the list is. */
const ROW_ELEMENTS_MAX = 60;
const OVERSCAN_ROWS = 6;
/** Rows are sorted anew at most this often. */
const SORT_EVERY_MS = 1000;

const CSV_NAMES = [
  ...["id", "name", "site", "address", "serial", "agent", "tags", "state", "state_changed_at", "last_seen_at"],
  ...["doors", "doors_open", "doors_unknown", "doors_out_of_service"],
  ...["alarms_critical", "alarms_high", "alarms_medium", "alarms_low", "maintenance"],
];

export class Lockers extends View {
  /** @type {Row[]} */
  #rows = [];
  /** Ids of the rows, in order. @type {string[]} */
  #order = [];
  #sortedFor = "";
  #sortedKey = "";
  #sortedAt = 0;
  #pointed = false;
  #focused = false;
  /** The row that the keyboard is on. */
  #cursor = -1;
  #rowHeight = 44;
  #moveFocus = false;
  #drawn = false;
  #selection = new Selection();
  #scrolled = () => this.requestUpdate();

  constructor() {
    super();
    // Keys in the search field belong to the list below it.
    this.addEventListener("keydown", (event) => {
      if (!(event.target instanceof HTMLInputElement) || event.target.id !== "search") return;
      if (event.key === "ArrowDown" && this.#rows.length > 0) {
        event.preventDefault();
        this.#cursor = -1;
        this.#step(1);
      } else if (event.key === "Escape") {
        this.#narrowed(new CustomEvent("narrowed", { detail: { q: "" } }));
      }
    });
  }

  connectedCallback() {
    super.connectedCallback();
    addEventListener("scroll", this.#scrolled, { passive: true });
    addEventListener("resize", this.#scrolled);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    removeEventListener("scroll", this.#scrolled);
    removeEventListener("resize", this.#scrolled);
  }

  shortcuts() {
    return {
      title: "Lockers",
      shortcuts: [
        { keys: "/", what: "Search", run: () => this.#search() },
        { keys: "j", what: "Next locker", run: () => this.#step(1) },
        { keys: "k", what: "Previous locker", run: () => this.#step(-1) },
        { keys: "x", what: "Choose this locker", run: () => this.#choose(this.#cursor, false) },
        { keys: "X", what: "Choose all from the last one to this one", run: () => this.#choose(this.#cursor, true) },
        { keys: "a", what: "Acknowledge the alarms of what is chosen", run: () => this.#bulk?.ask("acknowledge", this.#meant()) },
      ],
    };
  }

  acts() {
    const n = this.#order.length;
    return [
      { name: `Choose all ${n} listed lockers`, run: () => this.#chooseAll() },
      { name: "Acknowledge the alarms of the chosen lockers", why: this.app.why("operator") || (this.#selection.size ? "" : "None is chosen."), run: () => this.#bulk?.ask("acknowledge") },
      { name: "Plan maintenance for the chosen lockers", why: this.app.why("operator") || (this.#selection.size ? "" : "None is chosen."), run: () => this.#bulk?.ask("maintenance") },
      { name: "Keep the listed lockers as CSV", run: () => this.#export() },
      { name: "All lockers again", run: () => this.app.router.go(addressOf(NO_FILTER)) },
    ];
  }

  render() {
    const { app } = this;
    const { phase, detail, lockers } = app.fleet;
    if (phase === "ready") this.#resort();
    this.#selection.keep((id) => lockers.has(id) || phase !== "ready");
    return html`
      <h1 class="unseen">Lockers</h1>
      ${app.filterProblems.length > 0
        ? html`<p class="problem-strip" role="alert">${toneMark("caution")}<span>${app.filterProblems.join(" ")} It was left out.</span></p>`
        : nothing}
      <lh-locker-filters .app=${app} .shown=${this.#order.length} @narrowed=${this.#narrowed} @exported=${this.#export}></lh-locker-filters>
      ${phase === "failed"
        ? notice(app.at ? "The hub does not know that moment" : "The hub does not show its fleet", detail, "failed")
        : phase === "loading"
          ? this.#skeleton()
          : this.#rows.length > 0
            ? this.#list()
            : this.#nothing()}
      ${this.#chosen(lockers)}
    `;
  }

  updated() {
    const list = this.querySelector(".rows");
    if (list instanceof HTMLElement) {
      const height = parseFloat(getComputedStyle(list).getPropertyValue("--row-height"));
      if (height > 0 && height !== this.#rowHeight) {
        this.#rowHeight = height;
        this.requestUpdate();
      }
      // The first drawing did not know where the list would lie.
      if (!this.#drawn) {
        this.#drawn = true;
        this.requestUpdate();
      }
    }
    if (this.#moveFocus) {
      this.#moveFocus = false;
      const link = this.querySelector(`[data-index="${this.#cursor}"] a`);
      if (link instanceof HTMLElement) {
        link.focus({ preventScroll: true });
        link.scrollIntoView({ block: "nearest" });
      }
    }
  }

  #resort() {
    const { fleet, filter, at } = this.app;
    const asked = `${addressOf(filter)} ${at?.toISOString() ?? ""}`;
    const held = this.#pointed || this.#focused;
    const due = fleet.key !== this.#sortedKey && performance.now() - this.#sortedAt >= SORT_EVERY_MS;
    if (asked === this.#sortedFor && this.#rows.length > 0 && (held || !due)) return;
    if (asked === this.#sortedFor && fleet.key === this.#sortedKey) return;
    if (asked !== this.#sortedFor) this.#cursor = -1;
    this.#rows = rows(fleet.lockers.values(), filter);
    this.#order = this.#rows.flatMap((row) => (row.type === "locker" ? [row.id] : []));
    this.#sortedFor = asked;
    this.#sortedKey = fleet.key;
    this.#sortedAt = performance.now();
  }

  #list() {
    const height = this.#rowHeight;
    const all = this.#order.length > 0 && this.#order.every((id) => this.#selection.has(id));
    return html`
      <div class="columns">
        <input type="checkbox" aria-label=${`Choose all ${this.#order.length} listed lockers`} .checked=${all}
          @change=${() => (all ? this.#clear() : this.#chooseAll())} />
        <div class="columns-words" aria-hidden="true"><span>State</span><span>Locker</span><span>Site</span><span>Doors</span><span>Alarms</span><span class="right">Heard</span></div>
      </div>
      <ul class="rows" aria-label="Lockers" ${placed({ height: `${this.#rows.length * height}px` })}
        @pointerenter=${() => (this.#pointed = true)} @pointerleave=${() => (this.#pointed = false)}
        @focusin=${() => (this.#focused = true)} @focusout=${() => (this.#focused = false)} @keydown=${this.#walk}>
        ${repeat(this.#window(), (index) => keyOf(this.#rows[index]), (index) => this.#row(index))}
      </ul>
    `;
  }

  /** @param {number} index */
  #row(index) {
    const row = this.#rows[index];
    const place = placed({ transform: `translateY(${index * this.#rowHeight}px)` });
    if (row.type === "site") {
      return html`<li class="row row-site" data-index=${index} ${place}>
        <span class="site-name">${row.site || "No site"}</span>
        <span class="quiet">${some(row.total, "locker")}${row.abnormal ? html`, <span class="serious">${row.abnormal} offline</span>` : nothing}</span>
      </li>`;
    }
    const { fleet, at } = this.app;
    const locker = fleet.lockers.get(row.id);
    if (!locker) {
      return html`<li class="row" data-index=${index} ${place}><span class="row-gone quiet">${row.id} was removed</span></li>`;
    }
    const chosen = this.#selection.has(locker.id);
    return html`<li class="row row-locker" data-index=${index} data-locker=${locker.id} data-state=${locker.state} data-chosen=${chosen ? "yes" : "no"}
      aria-setsize=${this.#rows.length} aria-posinset=${index + 1} ${place}>
      <label class="row-choose"><input type="checkbox" aria-label=${`Choose ${locker.name}, ${locker.id}`} .checked=${chosen}
        @click=${(/** @type {MouseEvent} */ e) => this.#choose(index, e.shiftKey)} @focus=${() => (this.#cursor = index)} /></label>
      ${rowLink(locker, at ? at.getTime() : this.app.now(), () => (this.#cursor = index))}
    </li>`;
  }

  /** Indices of the rows to draw, at most ROW_ELEMENTS_MAX. @returns {number[]} */
  #window() {
    const list = this.querySelector(".rows");
    const above = list ? Math.max(0, -list.getBoundingClientRect().top) : 0;
    const first = Math.max(0, Math.floor(above / this.#rowHeight) - OVERSCAN_ROWS);
    const fitting = Math.ceil(innerHeight / this.#rowHeight) + 2 * OVERSCAN_ROWS;
    const n = Math.min(ROW_ELEMENTS_MAX - 1, fitting, Math.max(0, this.#rows.length - first));
    const indices = Array.from({ length: n }, (_, i) => first + i);
    // The row with the focus stays in the document, wherever the list is scrolled to.
    const cursor = this.#cursor;
    if (cursor >= 0 && cursor < this.#rows.length && (cursor < first || cursor >= first + n)) indices.push(cursor);
    return indices;
  }

  /** @param {ReadonlyMap<string, Locker>} lockers */
  #chosen(lockers) {
    const chosen = this.#selection.ids.flatMap((id) => lockers.get(id) ?? []);
    const listed = chosen.length > 0 ? new Set(this.#order) : new Set();
    return html`<lh-locker-bulk .app=${this.app} .lockers=${chosen} .matching=${this.#order.length}
      .unlisted=${chosen.filter((locker) => !listed.has(locker.id)).length} @all=${this.#chooseAll} @cleared=${this.#clear}></lh-locker-bulk>`;
  }

  #nothing() {
    const { fleet, filter } = this.app;
    if (fleet.lockers.size === 0) {
      return notice("No lockers yet", "A locker appears here when it is entered, or when its agent connects for the first time.");
    }
    const cleared = addressOf({ ...NO_FILTER, sort: filter.sort, grouped: filter.grouped });
    return notice("No locker matches", html`${some(fleet.lockers.size, "locker")} in all. <a href=${cleared}>Clear the filter</a>`);
  }

  #skeleton() {
    return html`<div class="skeleton" role="status"><span class="unseen">Loading the fleet</span>
      ${Array.from({ length: 8 }, () => html`<i></i>`)}</div>`;
  }

  get #bulk() {
    const bulk = this.querySelector("lh-locker-bulk");
    return bulk instanceof LockerBulk ? bulk : null;
  }

  /** What a key is about: the chosen lockers, or the one that the keyboard is on. @returns {Locker[]} */
  #meant() {
    const { lockers } = this.app.fleet;
    const row = this.#rows[this.#cursor];
    const ids = this.#selection.size > 0 ? this.#selection.ids : row?.type === "locker" ? [row.id] : [];
    return ids.flatMap((id) => lockers.get(id) ?? []);
  }

  /** @param {number} index @param {boolean} range */
  #choose(index, range) {
    const row = this.#rows[index];
    if (row?.type !== "locker") return;
    if (range) this.#selection.reach(row.id, this.#order);
    else this.#selection.toggle(row.id);
    this.requestUpdate();
  }

  #chooseAll() {
    this.#selection.all([...this.#selection.ids, ...this.#order]);
    this.requestUpdate();
  }

  #clear() {
    this.#selection.clear();
    this.requestUpdate();
  }

  #export() {
    const { lockers } = this.app.fleet;
    const at = new Date(this.app.at ?? this.app.now()).toISOString().replace(/\.\d+Z$/, "Z");
    const found = this.#order.flatMap((id) => lockers.get(id) ?? []);
    download(`lockers-${at.replaceAll(":", "")}.csv`, csvOf(CSV_NAMES, found.map(csvRow)));
  }

  /** @param {CustomEvent<Partial<Filter>>} event */
  #narrowed(event) {
    const { app } = this;
    app.filter = { ...app.filter, ...event.detail };
    app.filterProblems = [];
    app.router.rename(addressOf(app.filter));
    this.requestUpdate();
    this.querySelector("lh-locker-filters")?.requestUpdate();
  }

  #search() {
    const search = this.querySelector("#search");
    if (!(search instanceof HTMLInputElement)) return;
    search.focus();
    search.select();
  }

  /** @param {number} step */
  #step(step) {
    const last = this.#rows.length - 1;
    if (last < 0) return;
    let next = Math.min(last, Math.max(0, this.#cursor + step));
    while (this.#rows[next]?.type === "site") next += next === 0 || step > 0 ? 1 : -1;
    if (!this.#rows[next]) return;
    this.#cursor = next;
    this.#moveFocus = true;
    this.requestUpdate();
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const last = this.#rows.length - 1;
    const page = Math.max(1, Math.floor(innerHeight / this.#rowHeight) - 6);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -last, End: last }[event.key];
    if (!step || last < 0) return;
    event.preventDefault();
    this.#step(step);
  }
}

/** @param {Row} row */
function keyOf(row) {
  return row.type === "site" ? `site ${row.site}` : row.id;
}

/** @param {Locker} locker */
function csvRow(locker) {
  const { id, name, site, address, serial, agent, state, since, last_seen_at: heard, door_counts: doors, alarms, maintenance } = locker;
  return [
    ...[id, name, site, address, serial, agent, locker.tags.join(" "), state, since, heard],
    ...[doors.total, doors.open, doors.unknown, doors.out_of_service],
    ...[alarms.critical, alarms.high, alarms.medium, alarms.low, maintenance],
  ];
}

customElements.define("lh-lockers", Lockers);
