/**
 * Alarms that are asked for page by page: closed ones, and those that were open at another moment.
 *
 * @import {Alarm} from "../../types.js"
 * @import {Api} from "../../api.js"
 */

import { Refusal } from "../../api.js";

const PAGE = 100;
/** More is reached by narrowing the filter. */
export const PAGED_MAX = 1000;

export class AlarmPages {
  /** @type {Map<string, Alarm>} */
  items = new Map();
  /** @type {"idle" | "loading" | "ready" | "failed"} */
  phase = "idle";
  problem = "";
  /** @type {string | null} */
  next = null;
  #asked = "";
  #changed;

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed;
  }

  /** Ask for the first page of a question, if that is not asked already. @param {Api} api @param {Record<string, string>} query */
  want(api, query) {
    const asked = new URLSearchParams(query).toString();
    if (asked === this.#asked && this.phase !== "idle") return;
    this.#asked = asked;
    this.items = new Map();
    this.next = null;
    void this.#load(api, asked);
  }

  /** Ask for the page after the last one. @param {Api} api */
  more(api) {
    if (this.next && this.phase === "ready") void this.#load(api, this.#asked);
  }

  /** Ask again for what could not be had, or for what may have changed. @param {Api} api */
  again(api) {
    this.items = new Map();
    this.next = null;
    void this.#load(api, this.#asked);
  }

  /** @param {Api} api @param {string} asked */
  async #load(api, asked) {
    this.phase = "loading";
    this.problem = "";
    const query = new URLSearchParams(asked);
    query.set("limit", String(PAGE));
    if (this.next) query.set("cursor", this.next);
    try {
      const page = await api.get(`/api/v1/alarms?${query}`);
      if (asked !== this.#asked) return;
      const items = new Map(this.items);
      for (const alarm of page.items) items.set(alarm.id, alarm);
      this.items = items;
      this.next = items.size < PAGED_MAX ? page.next : null;
      this.phase = "ready";
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (asked !== this.#asked) return;
      this.phase = "failed";
      this.problem = `${error.problem.title}. ${error.problem.detail}`;
    }
    this.#changed();
  }
}
