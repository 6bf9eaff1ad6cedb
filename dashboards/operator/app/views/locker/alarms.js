/** The open alarms of one locker, with what can be done at once; each leads to its own page for the rest. */

import { html, nothing, repeat } from "../../../vendor/lit.js";
import { Refusal } from "../../api.js";
import { View } from "../../element.js";
import { ago, moment } from "../../format.js";
import { toneMark } from "../marks.js";
import { notice } from "../notice.js";

/** @import {Alarm, Severity} from "../../types.js" */

/** @type {readonly Severity[]} */
const ORDER = ["critical", "high", "medium", "low"];

/** @type {Record<string, string>} */
const STATES = {
  active_unacked: "active, not acknowledged",
  active_acked: "active, acknowledged",
  cleared_unacked: "over, not acknowledged",
  normal: "closed",
};

const SHELVE_MINUTES = [15, 60, 480, 1440];

export class LockerAlarms extends View {
  static properties = {
    lockerId: { attribute: false },
    alarms: { attribute: false },
    past: { attribute: false },
    shelving: { state: true },
    said: { state: true },
  };

  constructor() {
    super();
    this.lockerId = "";
    /** @type {readonly Alarm[]} */
    this.alarms = [];
    this.past = false;
    /** The alarm that is being shelved. */
    this.shelving = "";
    /** @type {{id: string, text: string}} */
    this.said = { id: "", text: "" };
  }

  render() {
    const { phase, detail } = this.app.store.status(`alarms:${this.lockerId}`);
    const count = this.alarms.length;
    return html`<section class="panel" id="alarms" aria-labelledby="alarms-title">
      <div class="panel-head"><h2 id="alarms-title">Alarms</h2>
        <a href=${`/alarms?${new URLSearchParams({ locker: this.lockerId })}`}>All of this locker</a></div>
      ${!this.past && phase === "failed" ? notice("The hub does not show the alarms", detail, "failed") : nothing}
      ${!this.past && phase === "loading" && count === 0 ? notice("Loading alarms…", "", "loading") : nothing}
      ${(this.past || phase === "ready") && count === 0 ? html`<p class="feed-note">No open alarms.</p>` : nothing}
      ${count > 0 ? html`<ul class="locker-alarms">${repeat(this.#sorted(), (alarm) => alarm.id, (alarm) => this.#entry(alarm))}</ul>` : nothing}
    </section>`;
  }

  #sorted() {
    return [...this.alarms].sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity) || (a.raised_at < b.raised_at ? 1 : -1));
  }

  /** @param {Alarm} alarm */
  #entry(alarm) {
    const heavy = alarm.severity === "critical" || alarm.severity === "high";
    const loud = alarm.suppressed === null;
    return html`<li class="locker-alarm" data-severity=${alarm.severity} data-state=${alarm.state}>
      ${toneMark(loud ? (heavy ? "serious" : "caution") : "normal")}
      <div>
        <p><a href=${`/alarms/${alarm.id}`}>${alarm.what}</a></p>
        <p class="quiet small">${alarm.severity}, ${STATES[alarm.state]}${alarm.suppressed ? `, ${alarm.suppressed.replaceAll("_", " ")}` : nothing},
          <span title=${moment(alarm.raised_at)}>${ago(alarm.raised_at, this.app.now())}</span>${alarm.count > 1 ? `, ${alarm.count} times` : nothing}</p>
        ${this.past ? nothing : this.#acts(alarm)}
      </div>
    </li>`;
  }

  /** @param {Alarm} alarm */
  #acts(alarm) {
    const may = this.app.can("operator");
    const acked = alarm.state === "active_acked";
    if (this.shelving === alarm.id) return this.#shelve(alarm);
    return html`<p class="alarm-acts">
      <button class="button button-small" type="button" ?disabled=${!may} title=${may ? "" : "Your role may look, and not act."}
        @click=${() => this.#send(alarm, acked ? "unacknowledge" : "acknowledge", {})}>${acked ? "Take back" : "Acknowledge"}<span class="unseen">: ${alarm.what}</span></button>
      <button class="button button-small" type="button" ?disabled=${!may} title=${may ? "" : "Your role may look, and not act."}
        @click=${() => (alarm.shelved ? this.#send(alarm, "unshelve", {}) : this.#begin(alarm))}>${alarm.shelved ? "Unshelve" : "Shelve…"}<span class="unseen">: ${alarm.what}</span></button>
      ${this.said.id === alarm.id ? html`<span class="serious small" role="alert">${this.said.text}</span>` : nothing}
    </p>`;
  }

  /** @param {Alarm} alarm */
  #shelve(alarm) {
    return html`<form class="inline-form inline-form-flush" @submit=${(/** @type {SubmitEvent} */ e) => this.#take(e, alarm)}>
      <label for="shelve-why">Why, and for how long?</label>
      <input id="shelve-why" name="why" maxlength="200" required minlength="3" autocomplete="off" />
      <label class="unseen" for="shelve-minutes">For how long</label>
      <select id="shelve-minutes" name="minutes">${SHELVE_MINUTES.map((minutes) => html`<option value=${minutes} ?selected=${minutes === 60}>${minutes < 60 ? `${minutes} minutes` : minutes === 60 ? "1 hour" : `${minutes / 60} hours`}</option>`)}</select>
      <p class="form-acts"><button class="button" type="button" @click=${() => (this.shelving = "")}>Cancel</button>
        <button class="button" type="submit">Shelve</button></p>
      ${this.said.id === alarm.id ? html`<p class="serious small" role="alert">${this.said.text}</p>` : nothing}
    </form>`;
  }

  /** @param {Alarm} alarm */
  async #begin(alarm) {
    this.said = { id: "", text: "" };
    this.shelving = alarm.id;
    await this.updateComplete;
    this.querySelector("form input")?.focus();
  }

  /** @param {SubmitEvent} event @param {Alarm} alarm */
  async #take(event, alarm) {
    event.preventDefault();
    const given = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const done = await this.#send(alarm, "shelve", { minutes: Number(given.get("minutes")), why: String(given.get("why")).trim() });
    if (done) this.shelving = "";
  }

  /** @param {Alarm} alarm @param {string} verb @param {object} more */
  async #send(alarm, verb, more) {
    this.said = { id: "", text: "" };
    try {
      const { done, skipped } = await this.app.api.post(`/api/v1/alarms/${verb}`, { ids: [alarm.id], ...more });
      if (done > 0) return true;
      this.said = { id: alarm.id, text: String(skipped?.[0]?.why ?? "not done").replaceAll("_", " ") };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.said = { id: alarm.id, text: `${error.problem.title}. ${error.problem.detail}` };
    }
    return false;
  }
}

customElements.define("lh-locker-alarms", LockerAlarms);
