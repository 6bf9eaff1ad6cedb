/**
 * One answer of the hub's HTTP side, kept for a view: asked for when its question changes, again after a while, and
 * never twice at a time. What is shown stays while it is asked for again, and when that fails.
 *
 * @import {Operator} from "./main.js"
 * @import {Problem} from "./types.js"
 */

import { Refusal } from "./api.js";

export class Asked {
  /** The last answer to the question; null before the first. @type {any} */
  data = null;
  /** Why the last try brought nothing; null when it did. @type {Problem | null} */
  problem = null;
  busy = false;
  /** When the data came, by `performance.now`. */
  cameAt = 0;

  #key = "";
  #askedAt = 0;
  #changed;

  /** @param {() => void} changed called whenever any of it has changed */
  constructor(changed) {
    this.#changed = changed;
  }

  /**
   * Say what is wanted now; cheap when nothing is due.
   * @param {Operator} app
   * @param {string} key what makes this question another one; "" wants nothing
   * @param {() => string} path
   * @param {number} [everyMs] ask again after this; 0: never
   */
  want(app, key, path, everyMs = 0) {
    const isOther = key !== this.#key;
    if (isOther) this.#forget(key);
    if (key === "" || (!isOther && (this.busy || everyMs === 0 || performance.now() - this.#askedAt < everyMs))) return;
    void this.#ask(app, key, path());
  }

  /** Ask at the next `want`, whatever was answered. */
  again() {
    this.#key = "";
    this.#changed();
  }

  /** Put a newer answer in its place, as one that an act brought. @param {any} data */
  replace(data) {
    this.data = data;
    this.#changed();
  }

  /** @param {string} key */
  #forget(key) {
    // `again` asks the same question: what is shown of it stays until the answer is there.
    if (this.#key !== "") this.data = null;
    this.#key = key;
    this.problem = null;
    this.busy = false;
  }

  /** @param {Operator} app @param {string} key @param {string} path */
  async #ask(app, key, path) {
    this.busy = true;
    this.#askedAt = performance.now();
    let data = null;
    let problem = null;
    try {
      data = await app.api.get(path);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      problem = error.problem;
    }
    if (key !== this.#key) return;
    this.busy = false;
    this.problem = problem;
    if (data !== null) {
      this.data = data;
      this.cameAt = performance.now();
    }
    this.#changed();
  }
}
