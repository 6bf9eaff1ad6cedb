/**
 * Acknowledge and shelve, for one alarm or many: what may be done, what is being done, what came of it, and its undo.
 *
 * A row changes only when the hub says so; until then it is busy.
 *
 * @import {Alarm, Problem} from "../../types.js"
 * @import {Act} from "../../alarm-words.js"
 * @import {View} from "../../element.js"
 * @import {NoteDialog} from "./note-dialog.js"
 * @import {ShelveDialog} from "./shelve-dialog.js"
 */

import { html, nothing } from "../../../vendor/lit.js";
import { ACT_WORDS, placeWords, resultWords, skippedWords } from "../../alarm-words.js";
import { UNACKED } from "../../alarm-select.js";
import { Refusal } from "../../api.js";
import { icon, toneMark } from "../marks.js";
import "./note-dialog.js";
import "./shelve-dialog.js";

/** How long an act can be taken back by one press. */
const UNDO_MS = 10_000;
/** A row does not stay busy longer for news that do not come. */
const BUSY_MS = 10_000;
/** Of what was left out, so many are named. */
const SKIPPED_NAMED_MAX = 20;

/** @type {Partial<Record<Act, Act>>} */
const BACK = { acknowledge: "unacknowledge", shelve: "unshelve" };

/**
 * @typedef {{ids: string[], filter?: Record<string, string>, known: readonly Alarm[]}} Target what is acted on: `ids`, or
 *   all that a filter finds, of which `known` are known here
 * @typedef {{act: Act, text: string, skipped: {what: string, why: string}[], more: number, problem: Problem | null, back: {act: Act, ids: string[]} | null, untilMs: number}} Outcome
 */

/** Which acts change anything about an alarm. @param {Alarm} alarm @returns {Act[]} */
export function actsOf(alarm) {
  if (alarm.state === "normal") return [];
  return [
    UNACKED.includes(alarm.state) ? "acknowledge" : "unacknowledge",
    alarm.shelved ? "unshelve" : "shelve",
  ];
}

/** The target for alarms that are known one by one. @param {readonly Alarm[]} alarms @returns {Target} */
export function targetOf(alarms) {
  return { ids: alarms.map((alarm) => alarm.id), known: alarms };
}

export class AlarmActs {
  /** @type {Outcome | null} */
  outcome = null;
  #host;
  /** What was asked for, as it was then: it is busy until it has become another. @type {Map<string, {alarm: Alarm, untilMs: number}>} */
  #busy = new Map();

  /** @param {View} host is drawn again when anything changes @param {() => void} [done] called after an act was answered */
  constructor(host, done = () => {}) {
    this.#host = host;
    this.done = done;
  }

  /** Whether the hub has still to say what became of it. @param {Alarm} alarm */
  busy(alarm) {
    const asked = this.#busy.get(alarm.id);
    if (!asked) return false;
    if (asked.alarm === alarm && performance.now() < asked.untilMs) return true;
    this.#busy.delete(alarm.id);
    return false;
  }

  /**
   * Do an act, after asking for what it needs to know: why and for how long, a note, or the number of all that match.
   * @param {Act} act @param {Target} target @param {boolean} [noted] whether a note is asked for
   */
  async start(act, target, noted = false) {
    const denied = this.#host.app.why("operator");
    if (denied) return this.say(denied);
    if (act === "shelve") {
      const answer = await /** @type {ShelveDialog} */ (this.#host.querySelector("lh-shelve-dialog")).ask(target);
      if (answer) await this.run(act, target, answer);
    } else if (act === "acknowledge" && (noted || target.filter)) {
      const answer = await /** @type {NoteDialog} */ (this.#host.querySelector("lh-note-dialog")).ask(target);
      if (answer) await this.run(act, target, answer);
    } else {
      await this.run(act, target);
    }
  }

  /** The questions that `start` asks; they have to stand in the host. */
  dialogs() {
    const { app } = this.#host;
    return html`<lh-shelve-dialog .app=${app}></lh-shelve-dialog><lh-note-dialog .app=${app}></lh-note-dialog>`;
  }

  /**
   * Ask the hub for an act; what comes of it is told by `result`.
   * @param {Act} act @param {Target} target @param {{note?: string, why?: string, minutes?: number}} [more]
   */
  async run(act, target, more = {}) {
    const { app } = this.#host;
    for (const alarm of target.known) this.#busy.set(alarm.id, { alarm, untilMs: Infinity });
    this.outcome = null;
    this.#host.requestUpdate();
    try {
      const body = { ...(target.filter ? { filter: target.filter } : { ids: target.ids }), ...more };
      const answer = await app.api.post(`/api/v1/alarms/${act}`, body);
      this.#answered(act, target, answer);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      for (const alarm of target.known) this.#busy.delete(alarm.id);
      this.#show(act, error.problem.title, { problem: error.problem });
    }
    this.#host.requestUpdate();
    this.done();
  }

  /** Say something about what was asked for. @param {string} text */
  say(text) {
    this.#show("acknowledge", text, {});
    this.#host.requestUpdate();
  }

  /** Take the last act back, while that is offered. */
  undo() {
    const back = this.outcome?.back;
    if (!back || this.#over()) return;
    const known = back.ids.map((id) => this.#known(id)).filter((alarm) => alarm !== undefined);
    void this.run(back.act, { ids: back.ids, known });
  }

  /** Leave the last result. */
  dismiss() {
    this.outcome = null;
    this.#host.requestUpdate();
  }

  /** What came of the last act, in a region that is read out. */
  result() {
    const { outcome } = this;
    return html`<div class="act-results" role="status" aria-live="polite">
      ${outcome
        ? html`<div class="act-result" data-tone=${outcome.problem ? "caution" : "normal"}>
            ${outcome.problem ? toneMark("caution") : nothing}
            <div class="act-words">
              <strong>${outcome.text}</strong>
              ${outcome.problem ? html`<p>${outcome.problem.detail}</p>` : nothing} ${this.#skipped(outcome)}
            </div>
            ${outcome.back && !this.#over()
              ? html`<button class="button" type="button" @click=${() => this.undo()}>Undo</button>`
              : nothing}
            <button class="button button-icon act-close" type="button" aria-label="Dismiss" @click=${() => this.dismiss()}>${icon("close")}</button>
          </div>`
        : nothing}
    </div>`;
  }

  /** @param {Outcome} outcome */
  #skipped({ skipped, more }) {
    if (skipped.length === 0) return nothing;
    return html`<details>
      <summary>Which were left out</summary>
      <ul>
        ${skipped.map(({ what, why }) => html`<li>${what}: ${skippedWords(why)}</li>`)}
        ${more > 0 ? html`<li>and ${more} more</li>` : nothing}
      </ul>
    </details>`;
  }

  /** @param {Act} act @param {Target} target @param {{done: number, skipped: {id: string, why: string}[]}} answer */
  #answered(act, target, answer) {
    const skipped = answer.skipped ?? [];
    const left = new Set(skipped.map(({ id }) => id));
    const untilMs = performance.now() + BUSY_MS;
    for (const alarm of target.known) {
      const asked = this.#busy.get(alarm.id);
      if (left.has(alarm.id)) this.#busy.delete(alarm.id);
      else if (asked) asked.untilMs = untilMs;
    }
    const back = BACK[act];
    const ids = target.known.map(({ id }) => id).filter((id) => !left.has(id));
    // What was found by a filter can be taken back only where it is known what was found.
    const whole = back && answer.done > 0 && ids.length === answer.done;
    this.#show(act, resultWords(act, answer.done, skipped), {
      skipped: skipped.slice(0, SKIPPED_NAMED_MAX).map(({ id, why }) => ({ what: this.#name(id, target), why })),
      more: Math.max(0, skipped.length - SKIPPED_NAMED_MAX),
      back: whole ? { act: back, ids } : null,
    });
  }

  /** @param {Act} act @param {string} text @param {Partial<Outcome>} more */
  #show(act, text, more) {
    const untilMs = performance.now() + UNDO_MS;
    this.outcome = { act, text, skipped: [], more: 0, problem: null, back: null, untilMs, ...more };
  }

  #over() {
    return !this.outcome || performance.now() >= this.outcome.untilMs;
  }

  /** @param {string} id @param {Target} target */
  #name(id, target) {
    const alarm = target.known.find((one) => one.id === id) ?? this.#known(id);
    return alarm ? `${alarm.what} (${placeWords(alarm)})` : id;
  }

  /** @param {string} id @returns {Alarm | undefined} */
  #known(id) {
    return this.#host.app.store.list("alarms").items.get(id);
  }
}

/**
 * The buttons that one alarm offers.
 * @param {Alarm} alarm
 * @param {{busy: boolean, denied: string, act: (act: Act, alarm: Alarm, event: MouseEvent) => void}} options
 */
export function actButtons(alarm, { busy, denied, act }) {
  return actsOf(alarm).map((name) => {
    const words = ACT_WORDS[name];
    return html`<button class="button act-${name}" type="button" ?disabled=${busy || denied !== ""} title=${denied}
      aria-describedby=${denied ? "acts-denied" : nothing} aria-label=${`${words.button} ${alarm.what}, ${placeWords(alarm)}`}
      @click=${(/** @type {MouseEvent} */ event) => act(name, alarm, event)}>${words.button}</button>`;
  });
}

/** Why the buttons of a page are off, for who cannot point at them. @param {string} denied */
export function deniedNote(denied) {
  return denied ? html`<p class="unseen" id="acts-denied">${denied}</p>` : nothing;
}
