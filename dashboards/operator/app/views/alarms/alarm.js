/** One alarm: what it means, what to do, what was done, and the way to where it is. */

import { html, nothing } from "../../../vendor/lit.js";
import { flags, measured, placeAddress, placeWords, stepWords, typeWords } from "../../alarm-words.js";
import { Refusal } from "../../api.js";
import { View } from "../../element.js";
import { ALARM_STATE_WORDS, SEVERITY_WORDS, ago, clock, day, moment, number, some } from "../../format.js";
import { severityMark, toneMark } from "../marks.js";
import { refused } from "../more.js";
import { notice } from "../notice.js";
import { AlarmActs, actButtons, deniedNote, targetOf } from "./acts.js";
import { alarmAddress } from "./row.js";
import { alarmTabs } from "./tabs.js";

/**
 * @import {Alarm, Problem} from "../../types.js"
 * @typedef {{at: string, who: string | null, what: string, note: string | null}} Step
 */

/** A chattering alarm changes several times a second; its journal is read at most this often. */
const ASK_EVERY_MS = 1000;
/** What is near an alarm in time. */
const AROUND_MS = 10 * 60_000;

export class AlarmPage extends View {
  static properties = { alarmId: { attribute: false }, detail: { state: true }, problem: { state: true } };

  #acts = new AlarmActs(this);
  /** What the last question was about: the alarm, and how the live list showed it then. */
  #asked = { id: "", shown: /** @type {Alarm | undefined} */ (undefined), atMs: 0 };
  #asking = false;

  constructor() {
    super();
    this.alarmId = "";
    /** @type {(Alarm & {steps: Step[]}) | null} */
    this.detail = null;
    /** @type {Problem | null} */
    this.problem = null;
  }

  render() {
    const shown = this.app.store.list("alarms").items.get(this.alarmId);
    if (this.#asked.id !== this.alarmId || this.#asked.shown !== shown) this.#ask(shown);
    const detail = this.detail?.id === this.alarmId ? this.detail : null;
    const alarm = shown ?? detail;
    return html`${alarmTabs("")} ${alarm ? this.#page(alarm, detail?.steps ?? null) : html`<h1 class="unseen">Alarm</h1>${this.#missing()}`}`;
  }

  #missing() {
    if (!this.problem) return notice("Loading the alarm…", "", "loading");
    if (this.problem.status === 404 || this.problem.status === 400 || this.problem.status === 422) {
      return notice("There is no such alarm", html`It may be too old to be kept, or the address is wrong. <a href="/alarms">Go to the open alarms</a>
        or <a href="/alarms?open=false">to the closed ones</a>.`, "failed");
    }
    return refused(this.problem, () => this.#again());
  }

  /** @param {Alarm} alarm @param {readonly Step[] | null} steps */
  #page(alarm, steps) {
    const denied = this.app.why("operator");
    const busy = this.#acts.busy(alarm);
    const buttons = actButtons(alarm, { busy, denied, act: (act, one, event) => void this.#acts.start(act, targetOf([one]), event.shiftKey) });
    const notable = !busy && denied === "" && (alarm.state === "active_unacked" || alarm.state === "cleared_unacked");
    return html`
      <article class="alarm alarm-page" data-alarm=${alarm.id} data-severity=${alarm.severity} data-state=${alarm.state} data-suppressed=${alarm.suppressed ?? nothing}>
        <header class="alarm-head">
          <p class="alarm-head-state"><span class="alarm-severity">${severityMark(alarm.severity)}${SEVERITY_WORDS[alarm.severity]}</span>
            <span class="alarm-state" role="status">${busy ? "Asking the hub…" : ALARM_STATE_WORDS[alarm.state]}</span>
            ${flags(alarm).map(({ name, text }) => html`<span class="flag flag-${name}">${text}</span>`)}</p>
          <h1>${alarm.what}</h1>
          <p class="alarm-head-place"><a href=${placeAddress(alarm)}>${alarm.where || placeWords(alarm)}</a></p>
          <div class="alarm-head-acts">${buttons}
            ${notable ? html`<button class="button" type="button" @click=${() => void this.#acts.start("acknowledge", targetOf([alarm]), true)}>Acknowledge with a note…</button>` : nothing}
          </div>
          ${deniedNote(denied)}
        </header>
        ${this.#acts.result()} ${this.#acts.dialogs()}
        <div class="alarm-columns-two">
          <div class="alarm-column">
            <section class="panel alarm-texts" aria-label="What it means">
              ${[["What it leads to", alarm.consequence], ["What to do", alarm.todo]].map(([title, text]) => text ? html`<div><h2>${title}</h2><p>${text}</p></div>` : nothing)}
            </section>
            <section class="panel" aria-labelledby="steps-title">
              <div class="panel-head"><h2 id="steps-title">What happened</h2></div>
              ${steps ? this.#steps(steps) : this.problem ? refused(this.problem, () => this.#again()) : notice("Loading…", "", "loading")}
            </section>
          </div>
          ${this.#facts(alarm)}
        </div>
      </article>`;
  }

  /** @param {readonly Step[]} steps */
  #steps(steps) {
    if (steps.length === 0) return html`<p class="alarms-none quiet">Nothing is written down of it.</p>`;
    const now = this.app.now();
    return html`<ol class="alarm-steps">
      ${steps.map(
        (step) => html`<li data-step=${step.what}>
          <time datetime=${step.at} title=${moment(step.at)}>${day(step.at, now)} ${clock(step.at)}</time>
          <span><strong>${stepWords(step.what)}</strong>${step.who ? html` by ${step.who}` : nothing}${step.note ? html`<q>${step.note}</q>` : nothing}</span>
        </li>`,
      )}
    </ol>`;
  }

  /** @param {Alarm} alarm */
  #facts(alarm) {
    const now = this.app.now();
    /** @param {string | null} at */
    const time = (at) => (at ? html`<time datetime=${at} title=${moment(at)}>${day(at, now)} ${clock(at)} <span class="quiet">${ago(at, now)}</span></time>` : "–");
    const locker = alarm.locker && `/lockers/${encodeURIComponent(alarm.locker)}`;
    const facts = [
      ["Type", html`<a href=${`/alarms?${new URLSearchParams({ type: alarm.type })}`}>${typeWords(alarm.type)}</a>`],
      ["Rule", html`<a class="mono" href=${`/alarms/rules?${new URLSearchParams({ rule: alarm.rule })}`}>${alarm.rule}</a>`],
      ["Site", alarm.site ? html`<a href=${`/alarms?${new URLSearchParams({ site: alarm.site })}`}>${alarm.site}</a>` : "–"],
      ["Locker", alarm.locker ? html`<a href=${locker}>${alarm.locker}</a>` : "–"],
      ["Door", alarm.door === null ? "–" : html`<a href=${`${locker}?door=${alarm.door}`}>${alarm.door}</a>`],
      ["Began", time(alarm.began_at)],
      ["Raised", time(alarm.raised_at)],
      ["Last seen", time(alarm.last_at)],
      ["Raised so often", some(alarm.count, "time")],
      ["Cleared", time(alarm.cleared_at)],
      ["Value", measured(alarm) || "–"],
      ["Acknowledged", alarm.acked_at ? html`<span>${time(alarm.acked_at)} by ${alarm.acked_by}</span>` : "–"],
      ["Note", alarm.ack_note || "–"],
      ["Shelved", alarm.shelved ? html`<span>by ${alarm.shelved.by} until ${day(alarm.shelved.until, now)} ${clock(alarm.shelved.until).slice(0, 5)}: ${alarm.shelved.why}</span>` : "–"],
      ["Part of", alarm.parent ? html`<a href=${alarmAddress(alarm.parent)}>an outage of the site</a>` : "–"],
      ["Folded into it", alarm.children > 0 ? `${number(alarm.children)} alarms` : "–"],
    ].filter(([, value]) => value !== "–");
    return html`<aside class="panel" aria-labelledby="facts-title">
      <div class="panel-head"><h2 id="facts-title">Details</h2></div>
      <dl class="facts">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
      ${locker
        ? html`<p class="alarm-ways"><a href=${`${locker}?${new URLSearchParams({ at: alarm.began_at })}`}>The locker when it began</a>
            <a href=${`/events?${new URLSearchParams({ locker: alarm.locker ?? "", ...around(alarm) })}`}>Events around it</a>
            <a href=${`/alarms?${new URLSearchParams({ locker: alarm.locker ?? "" })}`}>Open alarms of the locker</a>
            <a href=${`/alarms?${new URLSearchParams({ open: "false", locker: alarm.locker ?? "" })}`}>Closed ones</a></p>`
        : nothing}
      ${alarm.suppressed ? html`<p class="alarms-none">${toneMark("normal")} Nobody is told of it as long as it is suppressed.</p>` : nothing}
    </aside>`;
  }

  #again() {
    this.#asked.id = "";
    this.problem = null;
    this.requestUpdate();
  }

  /** Read the alarm and its journal anew: at first, and whenever the live list shows it otherwise. @param {Alarm | undefined} shown */
  #ask(shown) {
    const now = performance.now();
    if (this.#asking || (this.#asked.id === this.alarmId && now - this.#asked.atMs < ASK_EVERY_MS)) return;
    this.#asking = true;
    this.#asked = { id: this.alarmId, shown, atMs: now };
    const id = this.alarmId;
    queueMicrotask(async () => {
      try {
        const detail = await this.app.api.get(`/api/v1/alarms/${encodeURIComponent(id)}`);
        if (id === this.alarmId) {
          this.detail = detail;
          this.problem = null;
        }
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        if (id === this.alarmId) this.problem = error.problem;
      }
      this.#asking = false;
      this.requestUpdate();
    });
  }
}

/** From a little before it began until a little after it was seen last. @param {Alarm} alarm */
function around(alarm) {
  const span = (/** @type {string} */ at, /** @type {number} */ ms) => new Date(Date.parse(at) + ms).toISOString();
  return { since: span(alarm.began_at, -AROUND_MS), until: span(alarm.last_at, AROUND_MS) };
}

customElements.define("lh-alarm", AlarmPage);
