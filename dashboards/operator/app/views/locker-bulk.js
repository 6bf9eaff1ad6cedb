/** What can be done with the lockers that are chosen: count, list, a typed number, then what came of it. */

import { html, nothing } from "../../vendor/lit.js";
import { acknowledgedWords, eachOf, jobAddress, skippedWords, sorted } from "../bulk.js";
import { View } from "../element.js";
import { number, some } from "../format.js";
import { localText, momentOfField } from "../moment.js";

/**
 * @import {BulkKind} from "../bulk.js"
 * @import {Locker, Role} from "../types.js"
 */

const LISTED_MAX = 12;
const MAINTENANCE_HOURS = 2;
/** What somebody typed as now may be so long ago when they send it. */
const NOW_SLACK_MS = 600_000;

/** @type {Record<BulkKind, {word: string, title: string, go: string}>} */
const KINDS = {
  acknowledge: { word: "Acknowledge alarms", title: "Acknowledge the alarms of", go: "Acknowledge" },
  maintenance: { word: "Maintenance…", title: "Plan maintenance for", go: "Plan it" },
  open: { word: "Open doors…", title: "Open doors of", go: "Go on to the job" },
  locate: { word: "Locate…", title: "Let blink", go: "Go on to the job" },
  restart: { word: "Restart…", title: "Restart", go: "Go on to the job" },
};
const ORDER = /** @type {BulkKind[]} */ (Object.keys(KINDS));

/** Tells with an event `cleared`, and with `all` when every listed locker is wanted. */
export class LockerBulk extends View {
  static properties = {
    lockers: { attribute: false },
    unlisted: { attribute: false },
    matching: { attribute: false },
    kind: { state: true },
    typed: { state: true },
    busy: { state: true },
    said: { state: true },
    problem: { state: true },
  };

  constructor() {
    super();
    /** Those that are chosen. @type {Locker[]} */
    this.lockers = [];
    /** How many of them the filter leaves out. */
    this.unlisted = 0;
    /** How many lockers the list has. */
    this.matching = 0;
    /** @type {BulkKind} */
    this.kind = "acknowledge";
    this.typed = "";
    this.busy = false;
    this.said = "";
    this.problem = "";
  }

  /** What the dialog is about: whatever is chosen later changes nothing in it. @type {Locker[]} */
  #asked = [];

  /** Ask before something is done. @param {BulkKind} kind @param {Locker[]} [lockers] instead of those that are chosen */
  ask(kind, lockers = this.lockers) {
    if (!this.app.can("operator") || lockers.length === 0) return;
    this.#asked = lockers;
    this.kind = kind;
    this.typed = "";
    this.problem = "";
    this.said = "";
    const { fitting } = sorted(kind, lockers);
    if (kind === "acknowledge" && fitting.length <= 1) {
      void this.#acknowledge();
      return;
    }
    this.requestUpdate();
    void this.updateComplete.then(() => {
      this.#dialog?.showModal();
      /** @type {HTMLElement | null} */ (this.querySelector(".bulk-leave"))?.focus();
    });
  }

  get #dialog() {
    return this.querySelector("dialog");
  }

  render() {
    const n = this.lockers.length;
    const why = this.app.why("operator");
    return html`
      ${n > 0
        ? html`<div class="bulk" role="region" aria-label="Chosen lockers">
            <span class="bulk-count"><strong>${number(n)}</strong> chosen${this.unlisted ? html` <span class="quiet">(${number(this.unlisted)} not listed)</span>` : nothing}</span>
            ${n - this.unlisted < this.matching ? html`<button class="button" @click=${() => this.dispatchEvent(new CustomEvent("all"))}>Choose all ${number(this.matching)} listed</button>` : nothing}
            ${ORDER.map((kind) => html`<button class="button" ?disabled=${why !== ""} title=${why} aria-describedby=${why ? "bulk-why" : nothing} @click=${() => this.ask(kind)}>${KINDS[kind].word}</button>`)}
            <button class="button" @click=${() => this.dispatchEvent(new CustomEvent("cleared"))}>Choose none</button>
            <span id="bulk-why" class="quiet">${why}</span>
          </div>`
        : nothing}
      <p class="bulk-said" role="status">${this.said}</p>
      ${this.#draw()}
    `;
  }

  #draw() {
    const { word, title, go } = KINDS[this.kind];
    const { fitting, skipped } = sorted(this.kind, this.#asked);
    const job = this.kind !== "acknowledge" && this.kind !== "maintenance";
    const number_ = fitting.length > 1 && !job;
    const ready = fitting.length > 0 && !this.busy && (!number_ || this.typed.trim() === String(fitting.length));
    return html`<dialog class="bulk-dialog" aria-labelledby="bulk-title">
      <form @submit=${this.#submit}>
        <h2 id="bulk-title">${title} ${some(fitting.length, "locker")}</h2>
        ${fitting.length === 0
          ? html`<p>Nothing to do here: ${skippedWords(skipped)}.</p>`
          : html`<ul class="bulk-list" aria-label="Lockers">
              ${fitting.slice(0, LISTED_MAX).map((locker) => html`<li>${locker.name} <span class="mono quiet">${locker.id}</span></li>`)}
              ${fitting.length > LISTED_MAX ? html`<li class="quiet">and ${number(fitting.length - LISTED_MAX)} more</li>` : nothing}
            </ul>`}
        ${skipped.length > 0 && fitting.length > 0 ? html`<p class="quiet">${skippedWords(skipped)}.</p>` : nothing}
        ${this.kind === "maintenance" ? this.#span() : nothing}
        ${this.kind === "acknowledge"
          ? html`<label class="bulk-field">Note <input name="note" maxlength="500" autocomplete="off" @keydown=${noEnter} /></label>`
          : nothing}
        ${number_
          ? html`<label class="bulk-field">Type ${fitting.length} to confirm
              <input name="number" inputmode="numeric" autocomplete="off" .value=${this.typed} @input=${(/** @type {Event} */ e) => (this.typed = /** @type {HTMLInputElement} */ (e.target).value)} @keydown=${noEnter} /></label>`
          : nothing}
        <p class="serious" role="alert">${this.problem}</p>
        <div class="bulk-buttons">
          <button type="button" class="button bulk-leave" @click=${() => this.#dialog?.close()}>Leave it</button>
          <button class="button button-strong" ?disabled=${!ready} aria-label=${`${go}: ${word.replace("…", "")}`}>${this.busy ? "Working…" : go}</button>
        </div>
      </form>
    </dialog>`;
  }

  #span() {
    const now = this.app.now();
    return html`<label class="bulk-field">From <input name="from" type="datetime-local" step="1" required .defaultValue=${localText(new Date(now))} /></label>
      <label class="bulk-field">Until <input name="until" type="datetime-local" step="1" required .defaultValue=${localText(new Date(now + MAINTENANCE_HOURS * 3_600_000))} /></label>
      <label class="bulk-field">Why <input name="why" required maxlength="500" autocomplete="off" @keydown=${noEnter} /></label>`;
  }

  /** @param {SubmitEvent} event */
  async #submit(event) {
    event.preventDefault();
    const { fitting } = sorted(this.kind, this.#asked);
    if (this.busy || !(event.target instanceof HTMLFormElement)) return;
    if (this.kind === "acknowledge") await this.#acknowledge(String(new FormData(event.target).get("note") ?? ""));
    else if (this.kind === "maintenance") await this.#plan(new FormData(event.target));
    else {
      this.#dialog?.close();
      this.app.router.go(jobAddress(this.kind, fitting));
    }
  }

  async #acknowledge(note = "") {
    const { fitting, skipped } = sorted("acknowledge", this.#asked);
    const more = note ? { note } : {};
    await this.#work(fitting, skipped, acknowledgedWords, (locker) => this.app.api.post("/api/v1/alarms/acknowledge", { filter: { locker: locker.id }, ...more }));
  }

  /** @param {FormData} form */
  async #plan(form) {
    const now = this.app.now();
    const starts = new Date(momentOfField(String(form.get("from")), now - NOW_SLACK_MS));
    const ends = new Date(momentOfField(String(form.get("until")), now));
    if (!(ends > starts)) {
      this.problem = "It has to end after it begins.";
      return;
    }
    const body = { starts_at: starts.toISOString(), ends_at: ends.toISOString(), why: String(form.get("why")) };
    const { fitting, skipped } = sorted("maintenance", this.#asked);
    const words = (/** @type {unknown[]} */ answers) => `Maintenance is planned for ${some(answers.length, "locker")}`;
    await this.#work(fitting, skipped, words, (locker) => this.app.api.post("/api/v1/maintenance", { locker: locker.id, ...body }));
  }

  /**
   * @param {Locker[]} lockers @param {{why: string}[]} skipped
   * @param {(answers: any[]) => string} words @param {(locker: Locker) => Promise<any>} ask
   */
  async #work(lockers, skipped, words, ask) {
    this.busy = true;
    const { answers, failed } = await eachOf(lockers, ask);
    this.busy = false;
    this.#dialog?.close();
    const refused = failed.length > 0 ? `${some(failed.length, "locker")} failed: ${failed[0].why}` : "";
    this.said = `${[words(answers), skippedWords(skipped), refused].filter(Boolean).join(". ")}.`;
  }
}

/** Enter in a field does not fire. @param {KeyboardEvent} event */
function noEnter(event) {
  if (event.key === "Enter") event.preventDefault();
}

customElements.define("lh-locker-bulk", LockerBulk);
