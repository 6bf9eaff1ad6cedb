/**
 * What can be done on the page that is shown, for the command palette. Views say theirs.
 *
 * @typedef {{name: string, run: () => void, why?: string}} Act `why`: a sentence when it cannot be done now.
 */

export class Acts {
  /** @type {Set<() => readonly Act[]>} */
  #sources = new Set();

  /** @param {() => readonly Act[]} source asked whenever the palette is drawn @returns {() => void} takes it back */
  add(source) {
    this.#sources.add(source);
    return () => this.#sources.delete(source);
  }

  /** All that can be done now. @returns {Act[]} */
  get all() {
    return [...this.#sources].flatMap((source) => source());
  }
}
