/** The chosen door: how it is, what is wrong with it, what can be done about it. */

import { html, live, nothing } from "../../../vendor/lit.js";
import { Refusal } from "../../api.js";
import { View } from "../../element.js";
import { ago, doorState, moment } from "../../format.js";
import { severityMark } from "../marks.js";
import { lockerPath } from "./paths.js";

/** @import {Alarm, Door, Locker, Problem} from "../../types.js" */

export class DoorPanel extends View {
  static properties = {
    locker: { attribute: false },
    door: { attribute: false },
    alarms: { attribute: false },
    reason: { state: true },
    isAsking: { state: true },
    isSending: { state: true },
    problem: { state: true },
  };

  constructor() {
    super();
    /** @type {Locker} */
    this.locker;
    /** @type {Door} */
    this.door;
    /** The locker's open alarms. @type {readonly Alarm[]} */
    this.alarms = [];
    this.reason = "";
    this.isAsking = false;
    this.isSending = false;
    /** @type {Problem | null} */
    this.problem = null;
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    super.willUpdate(changed);
    const before = /** @type {Door | undefined} */ (changed.get("door"));
    if (changed.has("door") && before?.number !== this.door?.number) this.#reset();
  }

  render() {
    const { door } = this;
    const mine = this.alarms.filter((alarm) => alarm.door === door.number);
    const now = this.app.at?.getTime() ?? this.app.now();
    const why = this.app.why("operator");
    const out = door.service === "out";
    const history = `/events?${new URLSearchParams({ locker: this.locker.id, door: String(door.number) })}`;
    return html`<section class="panel door-panel" aria-labelledby="door-title">
      <div class="panel-head"><h2 id="door-title">Door ${door.label}</h2>
        <button class="button button-strong" type="button" ?disabled=${why !== ""} aria-describedby="door-why"
          @click=${this.#open}>Open door ${door.label}…</button></div>
      <p id="door-why" class=${why ? "feed-note small" : "unseen"}>${why}</p>
      <dl class="facts">
        <div><dt>State</dt><dd class=${door.state === "open" ? "open" : ""}>${doorState(door)}</dd></div>
        <div><dt>Since</dt><dd title=${door.state_changed_at ? moment(door.state_changed_at) : ""}>${ago(door.state_changed_at, now) || "not known"}</dd></div>
        <div><dt>Item</dt><dd>${door.occupied === null ? "not known" : door.occupied ? "present" : "none"}</dd></div>
        <div><dt>Size</dt><dd>${door.size ?? "not known"}</dd></div>
        <div><dt>Service</dt><dd class=${out ? "open" : ""}>${out ? `out${door.service_reason ? `: ${door.service_reason}` : ""}` : "in service"}</dd></div>
      </dl>
      ${mine.length > 0
        ? html`<ul class="door-alarms" aria-label="Alarms of this door">${mine.map(
            (alarm) => html`<li>${severityMark(alarm.severity)}<a href=${`/alarms/${alarm.id}`}>${alarm.what}</a></li>`,
          )}</ul>`
        : nothing}
      ${this.isAsking ? this.#ask() : nothing}
      ${this.problem ? html`<p class="form-problem padded" role="alert">${this.problem.title}. ${this.problem.detail}</p>` : nothing}
      <p class="door-acts">
        ${out
          ? html`<button class="button" type="button" ?disabled=${why !== "" || this.isSending} aria-describedby="door-why" @click=${() => this.#serve("in")}>Put back into service</button>`
          : this.isAsking
            ? nothing
            : html`<button class="button" type="button" ?disabled=${why !== ""} aria-describedby="door-why" @click=${this.#begin}>Put out of service…</button>`}
        <a href=${history}>History of this door</a>
      </p>
    </section>`;
  }

  #ask() {
    return html`<form class="inline-form" @submit=${this.#submit}>
      <label for="service-reason">Why is it out of service?</label>
      <input id="service-reason" maxlength="200" autocomplete="off" required minlength="3" .value=${live(this.reason)}
        @input=${(/** @type {Event} */ e) => (this.reason = /** @type {HTMLInputElement} */ (e.target).value)} />
      <p class="form-acts"><button class="button" type="button" @click=${this.#reset}>Cancel</button>
        <button class="button" type="submit" ?disabled=${this.isSending || this.reason.trim().length < 3}>Put out of service</button></p>
    </form>`;
  }

  #open() {
    this.dispatchEvent(new CustomEvent("door-open", { detail: this.door.number, bubbles: true }));
  }

  async #begin() {
    this.isAsking = true;
    await this.updateComplete;
    this.querySelector("input")?.focus();
  }

  #reset() {
    this.isAsking = false;
    this.isSending = false;
    this.reason = "";
    this.problem = null;
  }

  /** @param {SubmitEvent} event */
  #submit(event) {
    event.preventDefault();
    void this.#serve("out");
  }

  /** @param {"in" | "out"} service */
  async #serve(service) {
    const { number } = this.door;
    this.isSending = true;
    this.problem = null;
    try {
      const body = service === "out" ? { service, reason: this.reason.trim() } : { service };
      await this.app.api.put(`${lockerPath(this.locker.id)}/doors/${number}/service`, body);
      if (number === this.door.number) this.#reset();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (number !== this.door.number) return;
      this.problem = error.problem;
      this.isSending = false;
    }
  }
}

customElements.define("lh-door-panel", DoorPanel);
