/** Lists that the hub hands out page by page: what is loaded, whether there is more, what went wrong. */

import { Refusal } from "./api.js";

/** @import {Api} from "./api.js" */
/** @import {Problem} from "./types.js" */

/** Rows kept of one list; who needs more narrows the filter or exports it. */
export const ROWS_MAX = 2000;

export class Pages {
  /** @type {any[]} */
  items = [];
  /** @type {"idle" | "loading" | "ready" | "failed"} */
  phase = "idle";
  /** @type {Problem | null} */
  problem = null;

  #api;
  #changed;
  #path = "";
  /** @type {string | null} */
  #next = null;
  /** Counts questions, so that a late answer to an older one is thrown away. */
  #asked = 0;

  /** @param {Api} api @param {() => void} changed called whenever there is something else to draw */
  constructor(api, changed) {
    this.#api = api;
    this.#changed = changed;
  }

  /** Whether there is another page, and room for it. */
  get hasMore() {
    return this.phase !== "idle" && this.#next !== null && this.items.length < ROWS_MAX;
  }

  /** Whether the hub has more than is kept here. */
  get isCut() {
    return this.#next !== null && this.items.length >= ROWS_MAX;
  }

  /**
   * Load the first page of another list; what was there stays until it comes.
   * @param {string} path with its query, without a cursor
   */
  load(path) {
    this.#path = path;
    this.#next = null;
    return this.#ask(true);
  }

  /** Load the first page once more. */
  again() {
    return this.#ask(true);
  }

  /** Load the next page. */
  more() {
    return this.phase === "loading" ? Promise.resolve() : this.#ask(false);
  }

  /** @param {boolean} first */
  async #ask(first) {
    const asked = (this.#asked += 1);
    this.phase = "loading";
    this.#changed();
    const cursor = first || this.#next === null ? "" : `${this.#path.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(this.#next)}`;
    try {
      const page = await this.#api.get(this.#path + cursor);
      if (asked !== this.#asked) return;
      this.items = first ? page.items : [...this.items, ...page.items].slice(0, ROWS_MAX);
      this.#next = page.next_cursor;
      this.phase = "ready";
      this.problem = null;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (asked !== this.#asked) return;
      if (first) this.items = [];
      this.phase = "failed";
      this.problem = error.problem;
    }
    this.#changed();
  }
}

/** An address with a query, empty values left out. @param {string} path @param {Record<string, string | number | undefined>} query */
export function withQuery(path, query) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== "") params.set(name, String(value));
  const text = params.toString();
  return text ? `${path}?${text}` : path;
}
