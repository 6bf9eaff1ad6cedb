/** Which of a list's things are chosen, by id. Pure. */

export class Selection {
  /** @type {Set<string>} */
  #ids = new Set();
  /** Where a range begins. */
  #anchor = "";

  get size() {
    return this.#ids.size;
  }

  /** In the order in which they were chosen. @returns {string[]} */
  get ids() {
    return [...this.#ids];
  }

  /** @param {string} id */
  has(id) {
    return this.#ids.has(id);
  }

  /** Choose it, or no longer. @param {string} id */
  toggle(id) {
    if (!this.#ids.delete(id)) this.#ids.add(id);
    this.#anchor = id;
  }

  /** Choose everything from the last one to this one. @param {string} id @param {readonly string[]} order of the list */
  reach(id, order) {
    const from = order.indexOf(this.#anchor);
    const to = order.indexOf(id);
    if (from < 0 || to < 0) {
      this.toggle(id);
      return;
    }
    for (const one of order.slice(Math.min(from, to), Math.max(from, to) + 1)) this.#ids.add(one);
  }

  /** @param {Iterable<string>} ids */
  all(ids) {
    this.#ids = new Set(ids);
  }

  clear() {
    this.#ids.clear();
    this.#anchor = "";
  }

  /** Forget what is no longer there. @param {(id: string) => boolean} exists */
  keep(exists) {
    for (const id of this.#ids) if (!exists(id)) this.#ids.delete(id);
  }
}
