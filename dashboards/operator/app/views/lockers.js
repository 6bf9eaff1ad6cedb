/** The fleet: tiles that count and filter, and a list that stays still while somebody points at it. */

import { html, nothing, repeat } from "../../vendor/lit.js";
import { View, placed } from "../element.js";
import { LOCKER_WORDS, age, moment, number, some, trouble } from "../format.js";
import { lockerAddress } from "../router.js";
import { NO_FILTER, STATES, addressOf, count, rows, sites } from "../select.js";
import { doorStrip, fleetMark, icon, lockerMark, openMark, toneMark } from "./marks.js";
import { notice } from "./notice.js";

/** @import {Filter, Locker, Row, StateFilter} from "../types.js" */

/** Row elements in the document, however long the list is. */
const ROW_ELEMENTS_MAX = 60;
const OVERSCAN_ROWS = 6;
/** Rows are sorted anew at most this often. */
const SORT_EVERY_MS = 1000;

/** @type {Record<StateFilter, {label: string, mark: () => unknown}>} */
const TILES = {
  all: { label: "All lockers", mark: fleetMark },
  online: { label: "Online", mark: () => lockerMark("online") },
  offline: { label: "Offline", mark: () => lockerMark("offline") },
  open: { label: "Doors open", mark: openMark },
  never_seen: { label: "Never seen", mark: () => lockerMark("never_seen") },
};

export class Lockers extends View {
  /** @type {Row[]} */
  #rows = [];
  #sortedFor = "";
  #sortedRevision = -1;
  #sortedAt = 0;
  #pointed = false;
  #focused = false;
  /** The row that the keyboard is on. */
  #cursor = -1;
  #rowHeight = 44;
  #moveFocus = false;
  #counted = { revision: -1, counts: count([]), sites: /** @type {string[]} */ ([]) };
  #scrolled = () => this.requestUpdate();
  #key = (/** @type {KeyboardEvent} */ event) => this.#shortcut(event);

  connectedCallback() {
    super.connectedCallback();
    addEventListener("scroll", this.#scrolled, { passive: true });
    addEventListener("resize", this.#scrolled);
    addEventListener("keydown", this.#key);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    removeEventListener("scroll", this.#scrolled);
    removeEventListener("resize", this.#scrolled);
    removeEventListener("keydown", this.#key);
  }

  render() {
    const { store } = this.app;
    this.#recount();
    const loading = store.revision === 0 || (store.lockers.size === 0 && store.status("fleet").phase === "loading");
    const failed = store.status("fleet").phase === "failed";
    if (!loading && !failed) this.#resort();
    return html`
      <h1 class="unseen">Lockers</h1>
      ${this.#tiles(loading)} ${this.#toolbar()}
      ${failed
        ? notice("The hub does not show its fleet", store.status("fleet").detail, "failed")
        : loading
          ? this.#skeleton()
          : this.#rows.length > 0
            ? this.#list()
            : this.#nothing()}
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

  #drawn = false;

  #recount() {
    const { store } = this.app;
    if (this.#counted.revision === store.revision) return;
    this.#counted = {
      revision: store.revision,
      counts: count(store.lockers.values()),
      sites: sites(store.lockers.values()),
    };
  }

  #resort() {
    const { store, filter } = this.app;
    const asked = addressOf(filter);
    const held = this.#pointed || this.#focused;
    const due = store.revision !== this.#sortedRevision && performance.now() - this.#sortedAt >= SORT_EVERY_MS;
    if (asked === this.#sortedFor && this.#rows.length > 0 && (held || !due)) return;
    if (asked === this.#sortedFor && store.revision === this.#sortedRevision) return;
    if (asked !== this.#sortedFor) this.#cursor = -1;
    this.#rows = rows(store.lockers.values(), filter);
    this.#sortedFor = asked;
    this.#sortedRevision = store.revision;
    this.#sortedAt = performance.now();
  }

  /** @param {boolean} loading */
  #tiles(loading) {
    const { counts } = this.#counted;
    const { filter } = this.app;
    return html`<nav class="tiles" aria-label="Lockers by state">
      ${STATES.map(
        (state) => html`<a class="tile tile-${state}" href=${addressOf({ ...filter, state })}
          data-abnormal=${(state === "offline" || state === "open") && counts[state] > 0 ? "yes" : "no"}
          aria-current=${filter.state === state ? "true" : "false"}>
          <span class="tile-count">${loading ? "–" : number(counts[state])}</span>
          <span class="tile-label">${TILES[state].mark()}${TILES[state].label}</span>
          ${state === "open"
            ? html`<span class="tile-more">${counts.openDoors > counts.open ? some(counts.openDoors, "door") : nothing}</span>`
            : nothing}
        </a>`,
      )}
    </nav>`;
  }

  #toolbar() {
    const { filter } = this.app;
    const names = this.#counted.sites;
    return html`<div class="toolbar" role="search">
      <label class="search">
        ${icon("search")}<span class="unseen">Search by id, name or site</span>
        <input id="search" type="search" placeholder="Search id, name, site" autocomplete="off" spellcheck="false"
          .value=${filter.q} @input=${(/** @type {InputEvent} */ e) => this.#narrow({ q: inputOf(e).value.trim() })} />
        <kbd aria-hidden="true">/</kbd>
      </label>
      <label class="choice"><span class="choice-label">Site</span>
        <select @change=${(/** @type {Event} */ e) => this.#narrow({ site: selectOf(e).value })}>
          <option value="" ?selected=${filter.site === ""}>All</option>
          ${names.map((site) => html`<option value=${site} ?selected=${filter.site === site}>${site}</option>`)}
        </select>
      </label>
      <label class="choice"><span class="choice-label">Order</span>
        <select @change=${(/** @type {Event} */ e) => this.#narrow({ sort: /** @type {Filter["sort"]} */ (selectOf(e).value) })}>
          ${Object.entries(SORTS).map(([value, label]) => html`<option value=${value} ?selected=${filter.sort === value}>${label}</option>`)}
        </select>
      </label>
      <label class="check"><input type="checkbox" .checked=${filter.grouped}
        @change=${(/** @type {Event} */ e) => this.#narrow({ grouped: inputOf(e).checked })} /> By site</label>
      <span class="toolbar-count" role="status">${this.#summary()}</span>
    </div>`;
  }

  #summary() {
    const { store, filter } = this.app;
    if (store.lockers.size === 0) return "";
    const shown = this.#rows.reduce((sum, row) => sum + (row.type === "locker" ? 1 : 0), 0);
    const narrowed = filter.q || filter.site || filter.state !== "all";
    return narrowed ? `${number(shown)} of ${number(store.lockers.size)}` : some(shown, "locker");
  }

  #list() {
    const height = this.#rowHeight;
    const visible = this.#window();
    return html`
      <div class="columns" aria-hidden="true">
        <span>State</span><span>Locker</span><span>Site</span><span>Doors</span><span class="right">Heard</span>
      </div>
      <ul class="rows" aria-label="Lockers" ${placed({ height: `${this.#rows.length * height}px` })}
        @pointerenter=${() => (this.#pointed = true)} @pointerleave=${() => (this.#pointed = false)}
        @focusin=${() => (this.#focused = true)} @focusout=${() => (this.#focused = false)} @keydown=${this.#walk}>
        ${repeat(visible, (index) => keyOf(this.#rows[index]), (index) => this.#row(index))}
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
    const locker = this.app.store.lockers.get(row.id);
    if (!locker) {
      return html`<li class="row" data-index=${index} ${place}><span class="row-gone quiet">${row.id} was removed</span></li>`;
    }
    return html`<li class="row" data-index=${index} data-locker=${locker.id} data-state=${locker.state}
      aria-setsize=${this.#rows.length} aria-posinset=${index + 1} ${place}>
      <a class="row-link" href=${lockerAddress(locker.id)} @focus=${() => (this.#cursor = index)}>
        <span class="row-state">${lockerMark(locker.state)}<span>${LOCKER_WORDS[locker.state]}</span></span>
        <span class="row-name"><span class="row-title">${locker.name}</span><span class="row-id">${locker.id}</span></span>
        <span class="row-site-name">${locker.site}</span>
        <span class="row-doors">${doorStrip(locker.door_counts)}${this.#doorWords(locker)}</span>
        <span class="row-heard right" title=${locker.last_heard ? moment(locker.last_heard) : ""}>
          ${age(locker.last_heard, this.app.now()) || "never"}
        </span>
      </a>
    </li>`;
  }

  /** @param {Locker} locker */
  #doorWords(locker) {
    const { open, unknown, total } = locker.door_counts;
    const silent = trouble(locker);
    if (silent) return html`<span class="row-words serious">${toneMark("serious")}${silent}</span>`;
    if (open) return html`<span class="row-words open">${open} open</span>`;
    if (unknown && locker.state !== "never_seen") return html`<span class="row-words">${unknown} unknown</span>`;
    return html`<span class="row-words">${total}</span>`;
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

  #nothing() {
    const { store, filter } = this.app;
    if (store.lockers.size === 0) {
      return notice("No lockers yet", "A locker appears here when it is entered, or when its agent connects for the first time.");
    }
    const cleared = addressOf({ ...NO_FILTER, sort: filter.sort, grouped: filter.grouped });
    return notice("No locker matches", html`${some(store.lockers.size, "locker")} in all. <a href=${cleared}>Clear the filter</a>`);
  }

  #skeleton() {
    return html`<div class="skeleton" role="status"><span class="unseen">Loading the fleet</span>
      ${Array.from({ length: 8 }, () => html`<i></i>`)}</div>`;
  }

  /** @param {Partial<Filter>} change */
  #narrow(change) {
    this.app.filter = { ...this.app.filter, ...change };
    this.app.router.rename(addressOf(this.app.filter));
    this.requestUpdate();
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const last = this.#rows.length - 1;
    const page = Math.max(1, Math.floor(innerHeight / this.#rowHeight) - 6);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -last, End: last }[event.key];
    if (!step || last < 0) return;
    event.preventDefault();
    let next = Math.min(last, Math.max(0, this.#cursor + step));
    while (this.#rows[next]?.type === "site") next += next === 0 || step > 0 ? 1 : -1;
    if (!this.#rows[next]) return;
    this.#cursor = next;
    this.#moveFocus = true;
    this.requestUpdate();
  }

  /** @param {KeyboardEvent} event */
  #shortcut(event) {
    const typing = event.target instanceof Element && event.target.closest("input, select, textarea, dialog");
    const search = this.querySelector("#search");
    if (!(search instanceof HTMLInputElement)) return;
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.target === search && event.key === "ArrowDown" && this.#rows.length > 0) {
      event.preventDefault();
      this.#cursor = this.#rows.findIndex((row) => row.type === "locker");
      this.#moveFocus = true;
      this.requestUpdate();
    } else if (event.target === search && event.key === "Escape") {
      this.#narrow({ q: "" });
    }
  }
}

const SORTS = { attention: "Attention first", id: "By id", heard: "Last heard" };

/** @param {Row} row */
function keyOf(row) {
  return row.type === "site" ? `site ${row.site}` : row.id;
}

/** @param {Event} event */
function inputOf(event) {
  return /** @type {HTMLInputElement} */ (event.target);
}

/** @param {Event} event */
function selectOf(event) {
  return /** @type {HTMLSelectElement} */ (event.target);
}

customElements.define("lh-lockers", Lockers);
