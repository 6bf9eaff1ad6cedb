/** Acknowledge with a note; many that only a filter names are acknowledged after their number was typed. */

import { html, live, nothing } from "../../../vendor/lit.js";
import { number } from "../../format.js";
import { ActDialog, typed } from "./act-dialog.js";

/** @extends {ActDialog<{note?: string}>} */
export class NoteDialog extends ActDialog {
  static properties = { ...ActDialog.properties, note: { state: true }, count: { state: true } };

  constructor() {
    super();
    this.note = "";
    this.count = "";
  }

  /** @param {import("./acts.js").Target} target */
  ask(target) {
    this.note = "";
    this.count = "";
    return super.ask(target);
  }

  render() {
    const counted = this.target?.filter !== undefined;
    const wrong = this.problem;
    return this.frame(
      "note-title",
      `Acknowledge ${this.many}`,
      html`<form @submit=${this.#submit} novalidate>
        ${this.about()}
        ${counted
          ? html`<label for="note-count">Type ${number(this.target?.known.length ?? 0)} to acknowledge all that match</label>
              <input id="note-count" inputmode="numeric" autocomplete="off" .value=${live(this.count)} aria-invalid=${wrong ? "true" : "false"}
                aria-describedby=${wrong ? "note-wrong" : nothing} @input=${(/** @type {Event} */ e) => (this.count = typed(e))} />
              ${wrong ? html`<p class="field-wrong" id="note-wrong" role="alert">${wrong}</p>` : nothing}`
          : nothing}
        <label for="note-text">Note <span class="quiet">(optional, kept with the alarm)</span></label>
        <input id="note-text" maxlength="500" autocomplete="off" .value=${live(this.note)}
          @input=${(/** @type {Event} */ e) => (this.note = typed(e))} />
        <footer>
          <button class="button" type="button" @click=${this.cancel}>Cancel</button>
          <button class="button button-strong" type="submit">Acknowledge</button>
        </footer>
      </form>`,
    );
  }

  /** @param {SubmitEvent} event */
  #submit(event) {
    event.preventDefault();
    const wanted = this.target?.known.length ?? 0;
    if (this.target?.filter !== undefined && this.count.replaceAll(/[^\d]/g, "") !== String(wanted)) {
      this.problem = `Type ${number(wanted)}: that many are acknowledged at once.`;
      return;
    }
    const note = this.note.trim();
    this.give(note ? { note } : {});
  }
}

customElements.define("lh-note-dialog", NoteDialog);
