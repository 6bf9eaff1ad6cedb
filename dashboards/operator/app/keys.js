/**
 * Keyboard shortcuts, in one place: views say theirs, this listens, the help dialog lists them.
 *
 * A shortcut is a character ("j", "X" with shift), two in a row ("g o"), or one with Ctrl or ⌘ ("Mod+k").
 * Characters never fire while somebody types or a dialog is open, and can be switched off (WCAG 2.1.4).
 *
 * @typedef {{keys: string, what: string, run: (event: KeyboardEvent) => void}} Shortcut
 * @typedef {{title: string, shortcuts: readonly Shortcut[]}} Shortcuts
 */

import { remembered, remember } from "./memory.js";

/** The second key of two in a row has to follow within this time. */
const SEQUENCE_MS = 1500;
const MEMORY = "keys";

export class Keys {
  /** Whether characters do something. */
  on = remembered(MEMORY) !== "off";
  /** What is offered now, the newest view last. @type {Set<Shortcuts>} */
  #offered = new Set();
  #first = { key: "", atMs: 0 };

  constructor() {
    addEventListener("keydown", (event) => this.#hear(event));
  }

  /** All that is offered now. @returns {readonly Shortcuts[]} */
  get offered() {
    return [...this.#offered];
  }

  /** Offer shortcuts. @param {string} title what they belong to @param {readonly Shortcut[]} shortcuts @returns {() => void} takes them back */
  add(title, shortcuts) {
    const mine = { title, shortcuts };
    this.#offered.add(mine);
    return () => this.#offered.delete(mine);
  }

  /** Switch characters on or off, and remember it. @param {boolean} on */
  switch(on) {
    this.on = on;
    remember(MEMORY, on ? "" : "off");
  }

  /** @param {KeyboardEvent} event */
  #hear(event) {
    if (event.defaultPrevented || event.isComposing || event.altKey) return;
    if (event.ctrlKey || event.metaKey) {
      this.#run(`Mod+${event.key.toLowerCase()}`, event);
      return;
    }
    if (!this.on || event.key.length !== 1 || event.key === " " || isTyping(event.target)) return;
    const { key, atMs } = this.#first;
    this.#first = { key: "", atMs: 0 };
    if (key && event.timeStamp - atMs <= SEQUENCE_MS && this.#run(`${key} ${event.key}`, event)) return;
    if (this.#run(event.key, event)) return;
    if (this.#all().some(({ keys }) => keys.startsWith(`${event.key} `))) this.#first = { key: event.key, atMs: event.timeStamp };
  }

  /** The newest view goes first: it may have its own meaning for a key. */
  #all() {
    return [...this.#offered].reverse().flatMap(({ shortcuts }) => shortcuts);
  }

  /** @param {string} keys @param {KeyboardEvent} event @returns {boolean} whether there is such a shortcut */
  #run(keys, event) {
    const found = this.#all().find((one) => one.keys === keys);
    if (!found) return false;
    event.preventDefault();
    found.run(event);
    return true;
  }
}

/** Whether a key belongs to where it was pressed: a field, or anything in an open dialog. @param {EventTarget | null} target */
function isTyping(target) {
  if (document.querySelector("dialog[open]")) return true;
  if (!(target instanceof Element)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button", "submit"].includes(target.type);
  return target.closest("select, textarea, [contenteditable], [role='combobox']") !== null;
}
