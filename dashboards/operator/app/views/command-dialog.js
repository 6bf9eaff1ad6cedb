/**
 * One command, from the question to what came of it. A door moves only after a second, deliberate press, and
 * the dialog then shows each stage as it becomes known.
 */

import { html, live, nothing } from "../../vendor/lit.js";
import { Refusal, freshKey } from "../api.js";
import { View } from "../element.js";
import { ago, doorState, outcome, outcomeTone, settled } from "../format.js";
import { icon, toneMark } from "./marks.js";
import { waterfall } from "./waterfall.js";

/** @import {Command, Door, Locker, Problem} from "../types.js" */

/** Where the live view is late or away, the command is asked for this often, and no longer than that. */
const ASK_EVERY_MS = 2000;
const ASK_TIMES_MAX = 15;
/** A door is opened for a reason; fewer letters are none. */
const REASON_LEAST = 3;

/**
 * @typedef {{name: "ask"} | {name: "sending"} | {name: "refused", problem: Problem} | {name: "sent", command: Command}} Step
 */

export class CommandDialog extends View {
  static properties = {
    locker: { attribute: false },
    doors: { attribute: false },
    order: { state: true },
    step: { state: true },
    reason: { state: true },
    isMissing: { state: true },
  };

  #key = "";
  #asked = 0;
  #askTimer = 0;

  constructor() {
    super();
    /** @type {Locker} */
    this.locker;
    /** @type {readonly Door[]} */
    this.doors = [];
    /** @type {{kind: "open" | "locate", door: number | null} | null} */
    this.order = null;
    /** @type {Step} */
    this.step = { name: "ask" };
    this.reason = "";
    /** Whether it was to be sent without a reason. */
    this.isMissing = false;
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearTimeout(this.#askTimer);
  }

  /** Ask before a door is opened. @param {number} door @param {string} [reason] what is written there already */
  async ask(door, reason = "") {
    await this.#show({ kind: "open", door });
    this.reason = reason;
    this.querySelector("input")?.focus();
  }

  /** Let the locker show itself: harmless, so it is sent at once. */
  async locate() {
    await this.#show({ kind: "locate", door: null });
    await this.#send();
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    super.willUpdate(changed);
    if (this.step.name !== "sent" || !this.app) return;
    const newer = this.app.store.command(this.step.command.locker, this.step.command.id);
    if (newer && newer !== this.step.command && atLeastAsFar(newer, this.step.command)) {
      this.step = { name: "sent", command: newer };
    }
  }

  render() {
    if (!this.order || !this.locker) return html`<dialog class="command"></dialog>`;
    const door = this.doors.find((one) => one.number === this.order?.door);
    const title = this.order.kind === "open" ? `Open door ${door?.label ?? this.order.door}` : "Locate this locker";
    return html`<dialog class="command" aria-labelledby="command-title" @close=${this.#closed} @click=${this.#outside}>
      <div class="command-body">
        <header>
          <h2 id="command-title">${title}</h2>
          <p class="command-where"><strong>${this.locker.name}</strong> <span class="mono">${this.locker.id}</span></p>
          <button class="button button-icon command-close" type="button" aria-label="Close" @click=${this.#close}>${icon("close")}</button>
        </header>
        ${this.step.name === "ask" || this.step.name === "sending" ? this.#question(title, door) : nothing}
        ${this.step.name === "refused" ? this.#refused(this.step.problem) : nothing}
        ${this.step.name === "sent" ? this.#progress(this.step.command) : nothing}
      </div>
    </dialog>`;
  }

  /** @param {string} title @param {Door | undefined} door */
  #question(title, door) {
    const sending = this.step.name === "sending";
    if (this.order?.kind === "locate") return html`<p class="command-result" role="status">Asking the locker to show itself…</p>`;
    return html`<form novalidate @submit=${this.#submit}>
      ${door ? this.#doorFacts(door) : nothing} ${this.#warnings(door)}
      <label for="reason">Reason <span class="quiet">(kept with the command)</span></label>
      <input id="reason" maxlength="200" autocomplete="off" required aria-invalid=${this.isMissing} aria-describedby="reason-missing" .value=${live(this.reason)} ?readonly=${sending}
        @input=${this.#write} @keydown=${noEnter} />
      <p id="reason-missing" class="serious" role="alert">${this.isMissing ? `Say why, in ${REASON_LEAST} letters or more.` : nothing}</p>
      <footer>
        <button class="button" type="button" @click=${this.#close}>Cancel</button>
        <button class="button button-strong" type="submit" ?disabled=${sending}>${sending ? "Opening…" : title}</button>
      </footer>
    </form>`;
  }

  /** @param {Door} door */
  #doorFacts(door) {
    return html`<dl class="facts facts-row">
      <div><dt>State</dt><dd class=${door.state === "open" ? "open" : ""}>${doorState(door)}</dd></div>
      <div><dt>Since</dt><dd>${ago(door.state_changed_at, this.app.now()) || "not known"}</dd></div>
      <div><dt>Item</dt><dd>${door.occupied === null ? "not known" : door.occupied ? "present" : "none"}</dd></div>
      <div><dt>Size</dt><dd>${door.size ?? "–"}</dd></div>
    </dl>`;
  }

  /** @param {Door | undefined} door */
  #warnings(door) {
    const warnings = [];
    if (this.locker.state !== "online") warnings.push("The locker is not online. The hub will refuse, and nothing is queued.");
    if (door?.service === "out") warnings.push(`This door is out of service${door.service_reason ? `: ${door.service_reason}` : ""}.`);
    if (this.app.live.phase !== "live") warnings.push("This page is not live: what it shows may be old.");
    return warnings.map((text) => html`<p class="warning">${toneMark("caution")}<span>${text}</span></p>`);
  }

  /** @param {Problem} problem */
  #refused(problem) {
    const wait = problem.retryAfterS ? ` Try again in ${problem.retryAfterS} s.` : "";
    return html`<div class="command-result" data-tone="caution" role="alert">
        ${toneMark("caution")}
        <div><strong>${problem.title}</strong><p>${problem.detail}${wait}</p><p class="small quiet mono">${problem.code}</p></div>
      </div>
      <footer>
        <button class="button" type="button" @click=${this.#close}>Close</button>
        <button class="button" type="button" @click=${() => this.#again(problem.code === "no_answer")}>Try again</button>
      </footer>`;
  }

  /** @param {Command} command */
  #progress(command) {
    return html`<div class="command-result" data-tone=${outcomeTone(command)} data-outcome=${command.outcome ?? command.state} role="status" aria-live="polite">
        ${toneMark(outcomeTone(command))}<strong>${outcome(command)}</strong>
      </div>
      ${waterfall(command)}
      <footer>
        ${settled(command) && command.kind === "open"
          ? html`<button class="button" type="button" @click=${() => this.#again(false)}>Open again…</button>`
          : nothing}
        <button class="button" type="button" @click=${this.#close}>Close</button>
      </footer>`;
  }

  /** @param {NonNullable<CommandDialog["order"]>} order */
  async #show(order) {
    this.order = order;
    this.step = { name: "ask" };
    this.reason = "";
    this.isMissing = false;
    this.#key = freshKey();
    await this.updateComplete;
    const dialog = this.querySelector("dialog");
    if (dialog && !dialog.open) dialog.showModal();
  }

  /** @param {SubmitEvent} event */
  #submit(event) {
    event.preventDefault();
    this.isMissing = this.reason.trim().length < REASON_LEAST;
    if (this.isMissing) this.querySelector("input")?.focus();
    else void this.#send();
  }

  /** @param {Event} event */
  #write(event) {
    this.reason = /** @type {HTMLInputElement} */ (event.target).value;
    if (this.reason.trim().length >= REASON_LEAST) this.isMissing = false;
  }

  async #send() {
    const { order } = this;
    if (!order || this.step.name === "sending") return;
    const key = this.#key;
    this.step = { name: "sending" };
    const reason = this.reason.trim();
    const body = { kind: order.kind, ...(order.door === null ? {} : { door: order.door }), ...(reason ? { reason } : {}) };
    /** @type {Step} */
    let step;
    try {
      step = { name: "sent", command: await this.app.api.send(this.locker.id, body, key) };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      step = { name: "refused", problem: error.problem };
    }
    // Closed, or opened for another door meanwhile: the result stands in the list of commands.
    if (key !== this.#key) return;
    this.step = step;
    this.#asked = 0;
    this.#follow();
  }

  /** Ask for the command again until nothing more is to come of it. */
  #follow() {
    clearTimeout(this.#askTimer);
    if (this.step.name !== "sent" || settled(this.step.command) || this.#asked >= ASK_TIMES_MAX) return;
    const { id } = this.step.command;
    this.#askTimer = setTimeout(async () => {
      this.#asked += 1;
      const newer = await this.app.api.command(id).catch(() => null);
      if (this.step.name !== "sent" || this.step.command.id !== id) return;
      if (newer && atLeastAsFar(newer, this.step.command)) this.step = { name: "sent", command: newer };
      this.#follow();
    }, ASK_EVERY_MS);
  }

  /** @param {boolean} same whether it is the same command once more: what was lost may have arrived */
  async #again(same) {
    if (!same) this.#key = freshKey();
    if (same || this.order?.kind === "locate") {
      await this.#send();
    } else {
      this.step = { name: "ask" };
      await this.updateComplete;
      this.querySelector("input")?.focus();
    }
  }

  #close() {
    this.querySelector("dialog")?.close();
  }

  #closed() {
    clearTimeout(this.#askTimer);
    this.#key = "";
    this.order = null;
    this.step = { name: "ask" };
  }

  /** @param {MouseEvent} event */
  #outside(event) {
    if (event.target instanceof HTMLDialogElement) this.#close();
  }
}

/** Frames and answers travel on two ways; an older one must not undo a newer. @param {Command} a @param {Command} b */
function atLeastAsFar(a, b) {
  return Object.keys(a.stages_ms ?? {}).length >= Object.keys(b.stages_ms ?? {}).length;
}

/** Enter in the reason must not open a door: only the button does. @param {KeyboardEvent} event */
function noEnter(event) {
  if (event.key === "Enter") event.preventDefault();
}

customElements.define("lh-command-dialog", CommandDialog);
