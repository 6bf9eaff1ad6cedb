/**
 * Which alarms are marked: one by one, from here to there, or all that a filter finds. Pure.
 */

export class Selection {
  /** @type {Set<string>} */
  ids = new Set();
  /** All that the filter finds, also those that are not shown. */
  all = false;
  /** Where a range begins. */
  #anchor = "";

  get size() {
    return this.ids.size;
  }

  /** @param {string} id */
  has(id) {
    return this.ids.has(id);
  }

  /**
   * Mark or unmark one, or all from the last one to it.
   * @param {string} id @param {readonly string[]} order the ids as they are shown @param {boolean} [range]
   */
  toggle(id, order, range = false) {
    this.all = false;
    const from = order.indexOf(this.#anchor);
    const to = order.indexOf(id);
    if (range && from >= 0 && to >= 0) {
      for (const one of order.slice(Math.min(from, to), Math.max(from, to) + 1)) this.ids.add(one);
    } else {
      if (!this.ids.delete(id)) this.ids.add(id);
      this.#anchor = id;
    }
  }

  /** Mark all of these, or none of them where all are marked. @param {readonly string[]} ids */
  toggleAll(ids) {
    this.all = false;
    const every = ids.every((id) => this.ids.has(id));
    for (const id of ids) {
      if (every) this.ids.delete(id);
      else this.ids.add(id);
    }
  }

  /** Forget what is not there any more. @param {{has: (id: string) => boolean}} known */
  keep(known) {
    for (const id of this.ids) if (!known.has(id)) this.ids.delete(id);
  }

  clear() {
    this.ids.clear();
    this.all = false;
    this.#anchor = "";
  }
}
