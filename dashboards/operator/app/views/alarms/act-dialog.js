/** What a modal question about alarms shares: it is opened, asks, and gives its answer once. */

import { html, nothing } from "../../../vendor/lit.js";
import { View } from "../../element.js";
import { some } from "../../format.js";
import { placeWords } from "../../alarm-words.js";
import { icon } from "../marks.js";

/** @import {Target} from "./acts.js" */

/** Of many alarms, so many are named. */
const NAMED_MAX = 8;

/** @template T the answer */
export class ActDialog extends View {
  static properties = { target: { state: true }, problem: { state: true } };

  /** @type {((answer: T | null) => void) | null} */
  #answer = null;

  constructor() {
    super();
    /** @type {Target | null} */
    this.target = null;
    /** What is wrong with what was typed. */
    this.problem = "";
  }

  /** Ask about alarms. @param {Target} target @returns {Promise<T | null>} null: cancelled */
  async ask(target) {
    this.#answer?.(null);
    this.problem = "";
    this.target = target;
    await this.updateComplete;
    const dialog = this.querySelector("dialog");
    if (dialog && !dialog.open) dialog.showModal();
    this.querySelector("input")?.focus();
    return new Promise((answer) => (this.#answer = answer));
  }

  /** Close with an answer. @param {T} answer */
  give(answer) {
    const told = this.#answer;
    this.#answer = null;
    this.querySelector("dialog")?.close();
    told?.(answer);
  }

  /** @param {string} id @param {string} title @param {unknown} body */
  frame(id, title, body) {
    return html`<dialog class="command" aria-labelledby=${id} @close=${this.#closed} @click=${this.#outside}>
      <div class="command-body">
        <header>
          <h2 id=${id}>${title}</h2>
          <button class="button button-icon command-close" type="button" aria-label="Close" @click=${this.cancel}>${icon("close")}</button>
        </header>
        ${this.target ? body : nothing}
      </div>
    </dialog>`;
  }

  /** Which alarms it is about. */
  about() {
    const known = this.target?.known ?? [];
    if (known.length === 1) return html`<p class="act-about"><strong>${known[0].what}</strong> ${known[0].where || placeWords(known[0])}</p>`;
    return html`<ul class="act-about" aria-label="Alarms">
      ${known.slice(0, NAMED_MAX).map((alarm) => html`<li><strong>${alarm.what}</strong> ${placeWords(alarm)}</li>`)}
      ${known.length > NAMED_MAX ? html`<li class="quiet">and ${known.length - NAMED_MAX} more</li>` : nothing}
    </ul>`;
  }

  /** "this alarm", "12 alarms". */
  get many() {
    const count = this.target?.known.length ?? 0;
    return count === 1 ? "this alarm" : some(count, "alarm");
  }

  cancel() {
    this.querySelector("dialog")?.close();
  }

  #closed() {
    const told = this.#answer;
    this.#answer = null;
    this.target = null;
    told?.(null);
  }

  /** @param {MouseEvent} event */
  #outside(event) {
    if (event.target instanceof HTMLDialogElement) this.cancel();
  }
}

/** The value of the field that an event comes from. @param {Event} event */
export function typed(event) {
  return /** @type {HTMLInputElement | HTMLSelectElement} */ (event.target).value;
}
