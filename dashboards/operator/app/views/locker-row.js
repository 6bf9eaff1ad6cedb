/** One row of the list of lockers. */

import { html, nothing } from "../../vendor/lit.js";
import { LOCKER_WORDS, age, moment, some, trouble } from "../format.js";
import { lockerAddress } from "../router.js";
import { alarmCount, worst } from "../select.js";
import { doorStrip, lockerMark, severityMark, toneMark } from "./marks.js";

/** @import {Locker} from "../types.js" */

/** @param {Locker} locker @param {number} nowMs @param {() => void} focused */
export function rowLink(locker, nowMs, focused) {
  return html`<a class="row-link" href=${lockerAddress(locker.id)} @focus=${focused}>
    <span class="row-state">${lockerMark(locker.state)}<span>${LOCKER_WORDS[locker.state]}</span></span>
    <span class="row-name"><span class="row-title">${locker.name}</span><span class="row-id">${locker.id}</span></span>
    <span class="row-site-name">${locker.site}</span>
    <span class="row-doors">${doorStrip(locker.door_counts)}${doorWords(locker)}</span>
    <span class="row-alarms">${alarmWords(locker)}</span>
    <span class="row-heard right" title=${locker.last_seen_at ? moment(locker.last_seen_at) : ""}>${age(locker.last_seen_at, nowMs) || "never"}</span>
  </a>`;
}

/** @param {Locker} locker */
function doorWords(locker) {
  const { open, unknown, total } = locker.door_counts;
  const silent = trouble(locker);
  if (silent) return html`<span class="row-words serious">${toneMark("serious")}${silent}</span>`;
  if (open) return html`<span class="row-words open">${open} open</span>`;
  if (unknown && locker.state !== "never_seen") return html`<span class="row-words">${unknown} unknown</span>`;
  return html`<span class="row-words">${total}</span>`;
}

/** @param {Locker} locker */
function alarmWords(locker) {
  if (locker.disabled) return html`<span class="quiet" title=${locker.disabled}>disabled</span>`;
  if (locker.maintenance) return html`<span class="quiet">maintenance</span>`;
  const grade = worst(locker);
  if (!grade) return nothing;
  const n = alarmCount(locker);
  return html`<span class="row-alarm" data-severity=${grade} title=${some(n, "alarm")}>${severityMark(grade)}<span>${grade}${n > 1 ? html` <span class="quiet">of ${n}</span>` : nothing}</span></span>`;
}
