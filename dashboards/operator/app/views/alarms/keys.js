/** The list of alarms by keyboard, and which of its rows are in the document. */

/** @import {Alarms} from "./list.js" */

/** Row elements in the document, however long the list is. */
const ROW_ELEMENTS_MAX = 60;
const OVERSCAN_ROWS = 6;

/**
 * Indices of the rows to draw, at most ROW_ELEMENTS_MAX.
 * @param {Element | null} list as it lies now @param {number} rowHeight @param {number} count @param {number} cursor the row with the focus
 * @returns {number[]}
 */
export function windowOf(list, rowHeight, count, cursor) {
  const above = list ? Math.max(0, -list.getBoundingClientRect().top) : 0;
  const first = Math.max(0, Math.min(Math.floor(above / rowHeight), count) - OVERSCAN_ROWS);
  const fitting = Math.ceil(innerHeight / rowHeight) + 2 * OVERSCAN_ROWS;
  const n = Math.min(ROW_ELEMENTS_MAX - 1, fitting, Math.max(0, count - first));
  const indices = Array.from({ length: n }, (_, i) => first + i);
  // The row with the focus stays in the document, wherever the list is scrolled to.
  if (cursor >= 0 && cursor < count && (cursor < first || cursor >= first + n)) indices.push(cursor);
  return indices;
}

export class KeyWalk {
  #page;
  #move = false;
  #pressed = (/** @type {KeyboardEvent} */ event) => this.#press(event);

  /** @param {Alarms} page */
  constructor(page) {
    this.#page = page;
  }

  listen() {
    addEventListener("keydown", this.#pressed);
  }

  leave() {
    removeEventListener("keydown", this.#pressed);
  }

  /** After a drawing: bring the focus to the row that a key has moved to. */
  focus() {
    if (!this.#move) return;
    this.#move = false;
    const row = this.#page.querySelector(`[data-index="${this.#page.cursor}"]`);
    const target = row?.querySelector(".alarm-link, .alarm-fold-group, a");
    if (target instanceof HTMLElement && row) {
      target.focus({ preventScroll: true });
      row.scrollIntoView({ block: "nearest" });
    }
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = this.#page;
    const target = event.target instanceof Element ? event.target : null;
    if (target?.closest("dialog")) return;
    if (target?.closest("input:not([type=checkbox]), select, textarea")) {
      if (target.id === "search" && event.key === "ArrowDown") this.#go(event, 0);
      return;
    }
    const last = page.rows.length - 1;
    const inList = Boolean(target?.closest(".alarm-rows"));
    const step = STEPS[event.key] ?? (inList ? LIST_STEPS[event.key] : undefined);
    const act = ACTS[event.key];
    if (step !== undefined) {
      const from = page.cursor < 0 && step > 0 ? -1 : page.cursor;
      this.#go(event, Math.min(last, Math.max(0, from + step)));
    } else if (act) {
      event.preventDefault();
      act(page);
    } else if (inList && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
      event.preventDefault();
      page.unfold(event.key === "ArrowRight");
    } else if (event.key === "/") {
      const search = page.querySelector("#search");
      if (!(search instanceof HTMLInputElement)) return;
      event.preventDefault();
      search.focus();
      search.select();
    }
  }

  /** @param {KeyboardEvent} event @param {number} index */
  #go(event, index) {
    const page = this.#page;
    if (page.rows.length === 0) return;
    event.preventDefault();
    const step = index >= page.cursor ? 1 : -1;
    while (page.rows[index]?.kind === "more") index += step;
    if (!page.rows[index]) return;
    page.cursor = index;
    this.#move = true;
    page.requestUpdate();
  }
}

/** @type {Record<string, number>} */
const STEPS = { j: 1, k: -1 };
/** @type {Record<string, number>} */
const LIST_STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 };

/** @type {Record<string, (page: Alarms) => void>} */
const ACTS = {
  a: (page) => page.act("acknowledge"),
  A: (page) => page.act("acknowledge", true),
  n: (page) => page.act("acknowledge", true),
  u: (page) => page.act("unacknowledge"),
  s: (page) => page.act("shelve"),
  z: (page) => page.acts.undo(),
  "*": (page) => page.markAll(),
  x: (page) => {
    const { current } = page;
    if (current) page.selection.toggle(current.id, page.order);
    page.requestUpdate();
  },
  X: (page) => {
    const { current } = page;
    if (current) page.selection.toggle(current.id, page.order, true);
    page.requestUpdate();
  },
  Escape: (page) => {
    page.selection.clear();
    page.acts.dismiss();
  },
};
