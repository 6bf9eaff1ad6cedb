/**
 * One alarm in a list: how urgent, in which of the four states, what, where, since when, and what can be done.
 *
 * @import {Alarm} from "../../types.js"
 */

import { html, nothing } from "../../../vendor/lit.js";
import { flags, measured, placeAddress, placeWords } from "../../alarm-words.js";
import { ALARM_STATE_WORDS, SEVERITY_WORDS, age, moment, some } from "../../format.js";
import { severityMark } from "../marks.js";

/** @param {string} id */
export function alarmAddress(id) {
  return `/alarms/${encodeURIComponent(id)}`;
}

/**
 * What stands in the row of an alarm; the element around it is the list's own.
 * @param {Alarm} alarm
 * @param {{nowMs: number, busy?: boolean, check?: unknown, expand?: unknown, buttons?: unknown, focused?: () => void}} options
 */
export function alarmCells(alarm, { nowMs, busy = false, check = nothing, expand = nothing, buttons = nothing, focused = () => {} }) {
  return html`
    ${check}
    <span class="alarm-severity">${severityMark(alarm.severity)}<span>${SEVERITY_WORDS[alarm.severity]}</span></span>
    <span class="alarm-what">
      <span class="alarm-title">${expand}<a class="alarm-link" href=${alarmAddress(alarm.id)} title=${alarm.what} @focus=${focused}>${alarm.what}</a>
        ${flags(alarm).map(({ name, text }) => html`<span class="flag flag-${name}">${text}</span>`)}</span>
      <span class="alarm-place"><a href=${placeAddress(alarm)}>${alarm.where || placeWords(alarm)}</a></span>
    </span>
    <span class="alarm-state">${busy ? html`<span class="alarm-busy">Asking the hub…</span>` : ALARM_STATE_WORDS[alarm.state]}
      ${alarm.acked_by && alarm.state !== "cleared_unacked" && alarm.state !== "active_unacked" ? html`<span class="alarm-by quiet">${alarm.acked_by}</span>` : nothing}</span>
    <span class="alarm-since" title=${moment(alarm.raised_at)}><time datetime=${alarm.raised_at}>${age(alarm.raised_at, nowMs)}</time>
      ${alarm.count > 1 ? html`<span class="alarm-count" title=${`Raised ${some(alarm.count, "time")}, last ${moment(alarm.last_at)}`}>× ${alarm.count}</span>` : nothing}</span>
    <span class="alarm-value">${measured(alarm)}</span>
    <span class="alarm-acts">${buttons}</span>
  `;
}
