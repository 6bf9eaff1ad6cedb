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

/** @typedef {{keys: string, what: string, run: (page: Alarms, walk: KeyWalk) => void}} AlarmKey */

/** What a character does; the page's own keys call it. @type {readonly AlarmKey[]} */
export const SHORTCUTS = [
  { keys: "/", what: "Search", run: (page) => search(page) },
  { keys: "j", what: "Next alarm", run: (_, walk) => walk.step(1) },
  { keys: "k", what: "Previous alarm", run: (_, walk) => walk.step(-1) },
  { keys: "x", what: "Mark this alarm", run: (page) => markCurrent(page, false) },
  { keys: "X", what: "Mark all from the last one to this one", run: (page) => markCurrent(page, true) },
  { keys: "*", what: "Mark all that match", run: (page) => page.markAll() },
  { keys: "a", what: "Acknowledge", run: (page) => page.act("acknowledge") },
  { keys: "A", what: "Acknowledge with a note", run: (page) => page.act("acknowledge", true) },
  { keys: "n", what: "Acknowledge with a note", run: (page) => page.act("acknowledge", true) },
  { keys: "u", what: "Unacknowledge", run: (page) => page.act("unacknowledge") },
  { keys: "s", what: "Shelve", run: (page) => page.act("shelve") },
  { keys: "z", what: "Undo the last act", run: (page) => page.work.undo() },
];

/** @type {Record<string, number>} */
const LIST_STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 };

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

  /** Move by rows; the first step of all is to the first row. @param {number} by */
  step(by) {
    const page = this.#page;
    const last = page.rows.length - 1;
    if (last < 0) return;
    let index = Math.min(last, Math.max(0, (page.cursor < 0 && by > 0 ? -1 : page.cursor) + by));
    while (page.rows[index]?.kind === "more") index += by > 0 ? 1 : -1;
    if (!page.rows[index]) return;
    page.cursor = index;
    this.#move = true;
    page.requestUpdate();
  }

  /** What is no character. @param {KeyboardEvent} event */
  #press(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const page = this.#page;
    const target = event.target instanceof Element ? event.target : null;
    if (target?.id === "search" && page.contains(target)) {
      if (event.key === "ArrowDown") {
        event.preventDefault();
        page.cursor = -1;
        this.step(1);
      } else if (event.key === "Escape") {
        page.typed("");
      }
    } else if (event.key === "Escape" && !target?.closest("[popover]")) {
      page.unmark();
      page.work.dismiss();
    } else if (target?.closest(".alarm-rows")) {
      const by = LIST_STEPS[event.key];
      if (by === undefined && event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
      event.preventDefault();
      if (by === undefined) page.unfold(event.key === "ArrowRight");
      else this.step(by);
    }
  }
}

/** @param {Alarms} page @param {boolean} range */
function markCurrent(page, range) {
  const { current } = page;
  if (current) page.mark(current.id, range);
}

/** @param {Alarms} page */
function search(page) {
  const field = page.querySelector("#search");
  if (!(field instanceof HTMLInputElement)) return;
  field.focus();
  field.select();
}
