/** Why and for how long alarms are shelved: told to nobody, and back on their own. */

import { html, live, nothing } from "../../../vendor/lit.js";
import { clock, day } from "../../format.js";
import { ActDialog, typed } from "./act-dialog.js";

export const SHELVE_MINUTES_MAX = 24 * 60;

/** @type {ReadonlyArray<[number, string]>} */
const CHOICES = [
  [15, "15 min"],
  [60, "1 h"],
  [240, "4 h"],
  [480, "8 h"],
  [1440, "24 h"],
];

/** @extends {ActDialog<{minutes: number, why: string}>} */
export class ShelveDialog extends ActDialog {
  static properties = { ...ActDialog.properties, why: { state: true }, minutes: { state: true }, custom: { state: true } };

  constructor() {
    super();
    this.why = "";
    this.minutes = 60;
    /** What is typed of another time; null where one of the choices is taken. @type {string | null} */
    this.custom = null;
  }

  /** @param {import("./acts.js").Target} target */
  ask(target) {
    this.why = "";
    this.minutes = 60;
    this.custom = null;
    return super.ask(target);
  }

  render() {
    const wrong = this.problem;
    const until = this.app ? this.app.now() + this.#minutes * 60_000 : 0;
    return this.frame(
      "shelve-title",
      `Shelve ${this.many}`,
      html`<form @submit=${this.#submit} novalidate>
        ${this.about()}
        <label for="shelve-why">Why</label>
        <input id="shelve-why" maxlength="200" autocomplete="off" .value=${live(this.why)} aria-required="true"
          aria-invalid=${wrong.startsWith("Say") ? "true" : "false"} aria-describedby=${wrong ? "shelve-wrong" : nothing}
          @input=${(/** @type {Event} */ e) => (this.why = typed(e))} />
        <fieldset class="shelve-times">
          <legend>For how long</legend>
          ${CHOICES.map(
            ([minutes, label]) => html`<label class="shelve-time"><input type="radio" name="shelve-minutes"
              .checked=${live(this.custom === null && this.minutes === minutes)} @change=${() => this.#choose(minutes)} />${label}</label>`,
          )}
          <label class="shelve-time"><input type="radio" name="shelve-minutes" .checked=${live(this.custom !== null)}
            @change=${() => (this.custom = "120")} />Other</label>
          ${this.custom === null
            ? nothing
            : html`<label class="shelve-custom"><span>Minutes</span><input inputmode="numeric" maxlength="5" .value=${live(this.custom)}
                aria-invalid=${wrong && !wrong.startsWith("Say") ? "true" : "false"} aria-describedby=${wrong ? "shelve-wrong" : nothing}
                @input=${(/** @type {Event} */ e) => (this.custom = typed(e))} /></label>`}
        </fieldset>
        ${wrong ? html`<p class="field-wrong" id="shelve-wrong" role="alert">${wrong}</p>` : nothing}
        <p class="quiet">Nobody is told of it until ${this.#minutes > 0 ? `${day(new Date(until).toISOString(), this.app.now())} ${clock(until).slice(0, 5)}` : "then"};
          after that it stands in the list again.</p>
        <footer>
          <button class="button" type="button" @click=${this.cancel}>Cancel</button>
          <button class="button button-strong" type="submit">Shelve</button>
        </footer>
      </form>`,
    );
  }

  get #minutes() {
    if (this.custom === null) return this.minutes;
    return /^\d+$/.test(this.custom.trim()) ? Number(this.custom) : 0;
  }

  /** @param {number} minutes */
  #choose(minutes) {
    this.minutes = minutes;
    this.custom = null;
  }

  /** @param {SubmitEvent} event */
  #submit(event) {
    event.preventDefault();
    const minutes = this.#minutes;
    const why = this.why.trim();
    if (!why) {
      this.problem = "Say why: whoever comes next has to know.";
      this.querySelector("input")?.focus();
    } else if (minutes < 1 || minutes > SHELVE_MINUTES_MAX) {
      this.problem = `It can be from 1 to ${SHELVE_MINUTES_MAX} minutes, which is 24 hours.`;
    } else {
      this.give({ minutes, why });
    }
  }
}

customElements.define("lh-shelve-dialog", ShelveDialog);
