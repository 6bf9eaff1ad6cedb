/** The open alarms of one locker, with what can be done about them: a part of the locker's page. */

import { html, nothing, repeat } from "../../../vendor/lit.js";
import { byUrgency } from "../../alarm-select.js";
import { View } from "../../element.js";
import { number } from "../../format.js";
import { notice } from "../notice.js";
import { AlarmActs, actButtons, deniedNote, targetOf } from "./acts.js";
import { alarmCells } from "./row.js";

/** @import {Alarm} from "../../types.js" */

/** A locker with more alarms has them in the list of all. */
const SHOWN_MAX = 20;

export class LockerAlarms extends View {
  static properties = { lockerId: { attribute: false }, alarms: { attribute: false } };

  #acts = new AlarmActs(this);

  constructor() {
    super();
    this.lockerId = "";
    /** Those of another moment; null for what is open now. @type {readonly Alarm[] | null} */
    this.alarms = null;
  }

  render() {
    const { store } = this.app;
    const view = `alarms:${this.lockerId}`;
    const all = [...(this.alarms ?? store.list(view).items.values())].sort(byUrgency);
    const denied = this.app.why("operator");
    const address = `/alarms?${new URLSearchParams({ locker: this.lockerId })}`;
    return html`<section class="panel" aria-labelledby="locker-alarms-title">
      <div class="panel-head"><h2 id="locker-alarms-title">Alarms</h2>
        <a href=${address}>${all.length > SHOWN_MAX ? `All ${number(all.length)}` : "In the list"}</a></div>
      ${deniedNote(denied)}
      ${this.alarms === null && store.status(view).phase === "failed"
        ? notice("The hub does not show these alarms", store.status(view).detail, "failed")
        : all.length === 0
          ? html`<p class="alarms-none quiet">${this.alarms === null && store.status(view).phase === "loading" ? "Loading…" : "No open alarm."}</p>`
          : html`<ul class="alarm-cards">
              ${repeat(all.slice(0, SHOWN_MAX), (alarm) => alarm.id, (alarm) => this.#card(alarm, denied))}
            </ul>`}
      ${this.#acts.result()} ${this.#acts.dialogs()}
    </section>`;
  }

  /** @param {Alarm} alarm @param {string} denied */
  #card(alarm, denied) {
    const busy = this.#acts.busy(alarm);
    const buttons = actButtons(alarm, { busy, denied, act: (act, one, event) => void this.#acts.start(act, targetOf([one]), event.shiftKey) });
    return html`<li class="alarm" data-alarm=${alarm.id} data-severity=${alarm.severity} data-state=${alarm.state}
      data-suppressed=${alarm.suppressed ?? nothing}>${alarmCells(alarm, { nowMs: this.app.now(), busy, buttons })}</li>`;
  }
}

customElements.define("lh-locker-alarms", LockerAlarms);
