/** One field for everything: pages, saved views, what this page can do, lockers. Ctrl or ⌘ with K opens it. */

import { html, nothing } from "../../vendor/lit.js";
import { Refusal } from "../api.js";
import { View } from "../element.js";
import { LOCKER_WORDS } from "../format.js";
import { lockerAddress } from "../router.js";
import { savedViews } from "../saved.js";
import { matches, NO_FILTER } from "../select.js";
import { MORE_PAGES, PAGES } from "./pages.js";

/** @import {Locker} from "../types.js" */

const LOCKERS_MAX = 8;
/** Letters after which the hub is asked for lockers, and the pause in typing before. */
const ASK_LETTERS = 2;
const ASK_AFTER_MS = 120;

/** @typedef {{kind: string, name: string, more: string, why: string, run: () => void}} Choice */

export class Palette extends View {
  static properties = { text: { state: true }, chosen: { state: true }, found: { state: true }, shown: { state: true }, problem: { state: true } };

  constructor() {
    super();
    this.text = "";
    this.chosen = 0;
    /** Lockers that the hub found, where the page does not have the fleet. @type {Locker[]} */
    this.found = [];
    this.problem = "";
    this.shown = false;
  }

  #timer = 0;
  #asked = 0;
  /** @type {Choice[]} */
  #choices = [];

  /** Show it, empty. */
  open() {
    this.text = "";
    this.chosen = 0;
    this.found = [];
    this.problem = "";
    this.shown = true;
    void this.updateComplete.then(() => {
      const dialog = this.querySelector("dialog");
      if (!dialog || dialog.open) return;
      dialog.showModal();
      const field = this.querySelector("input");
      if (field) field.value = "";
      field?.focus();
    });
  }

  render() {
    this.#choices = this.shown ? this.#find() : [];
    const chosen = Math.min(this.chosen, this.#choices.length - 1);
    return html`<dialog class="palette" aria-label="Go to or do" @click=${this.#outside} @close=${() => (this.shown = false)}>
      <input class="palette-field" role="combobox" aria-label="Page, locker or act" aria-expanded="true" aria-controls="palette-list" aria-autocomplete="list"
        aria-activedescendant=${chosen >= 0 ? `palette-${chosen}` : nothing} placeholder="Page, locker or act" autocomplete="off" spellcheck="false"
        @input=${this.#typed} @keydown=${this.#key} />
      <ul id="palette-list" class="palette-list" role="listbox" aria-label="Found">
        ${this.#choices.map(
          (choice, n) => html`<li id=${`palette-${n}`} role="option" aria-selected=${n === chosen} aria-disabled=${choice.why !== ""} @click=${() => this.#take(choice)} @pointermove=${() => (this.chosen = n)}>
            <span class="palette-kind">${choice.kind}</span><span class="palette-name">${choice.name}</span>
            <span class="palette-more">${choice.why || choice.more}</span></li>`,
        )}
      </ul>
      <p class="palette-note" role="status">${this.problem || (this.#choices.length === 0 ? "Nothing is called that." : "")}</p>
    </dialog>`;
  }

  updated() {
    const chosen = this.querySelector("[role='option'][aria-selected='true']");
    if (this.shown) chosen?.scrollIntoView({ block: "nearest" });
  }

  /** @returns {Choice[]} */
  #find() {
    const { router, acts } = this.app;
    const words = this.text.toLowerCase().split(/\s+/).filter(Boolean);
    /** @param {string} kind @param {string} name @param {string} address @param {string} [more] @returns {Choice} */
    const page = (kind, name, address, more = "") => ({ kind, name, more, why: "", run: () => router.go(address) });
    const all = [
      ...PAGES.map(([address, name, , key]) => page("Page", name, address, `g ${key}`)),
      ...MORE_PAGES.map(([address, name]) => page("Page", name, address)),
      ...savedViews().map(({ name, address }) => page("View", name, address)),
      ...acts.all.map(({ name, run, why = "" }) => ({ kind: "Act", name, more: "", why, run })),
    ].filter((choice) => words.every((word) => `${choice.kind} ${choice.name}`.toLowerCase().includes(word)));
    const lockers = this.#lockers().map((locker) =>
      page("Locker", locker.name, lockerAddress(locker.id), `${locker.id} · ${LOCKER_WORDS[locker.state]}`),
    );
    return words.length > 0 && all.length > 3 ? [...all.slice(0, 12), ...lockers] : [...all, ...lockers];
  }

  #lockers() {
    const q = this.text.trim();
    if (q.length < ASK_LETTERS) return [];
    const { lockers, phase } = this.app.fleet;
    if (phase !== "ready") return this.found;
    const found = [];
    for (const locker of lockers.values()) {
      if (matches(locker, { ...NO_FILTER, q })) found.push(locker);
      if (found.length === LOCKERS_MAX) break;
    }
    return found;
  }

  /** @param {Event} event */
  #typed(event) {
    this.text = /** @type {HTMLInputElement} */ (event.target).value;
    this.chosen = 0;
    clearTimeout(this.#timer);
    if (this.app.fleet.phase === "ready" || this.text.trim().length < ASK_LETTERS) return;
    this.#timer = setTimeout(() => void this.#ask(this.text.trim()), ASK_AFTER_MS);
  }

  /** @param {string} q */
  async #ask(q) {
    this.#asked += 1;
    const mine = this.#asked;
    try {
      const page = await this.app.api.get(`/api/v1/lockers?q=${encodeURIComponent(q)}&limit=${LOCKERS_MAX}`);
      if (mine !== this.#asked) return;
      this.found = page.items;
      this.problem = "";
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.problem = `Lockers cannot be looked up: ${error.problem.title}.`;
    }
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const last = this.#choices.length - 1;
    if (event.key === "Enter") {
      event.preventDefault();
      const choice = this.#choices[Math.min(this.chosen, last)];
      if (choice) this.#take(choice);
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (!step || last < 0) return;
    event.preventDefault();
    this.chosen = Math.abs(step) === 1 ? (this.chosen + step + last + 1) % (last + 1) : Math.max(0, Math.min(last, this.chosen + step));
  }

  /** @param {Choice} choice */
  #take(choice) {
    if (choice.why) return;
    this.querySelector("dialog")?.close();
    choice.run();
  }

  /** @param {MouseEvent} event */
  #outside(event) {
    if (event.target === event.currentTarget) this.querySelector("dialog")?.close();
  }
}

customElements.define("lh-palette", Palette);
