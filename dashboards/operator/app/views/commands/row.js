/** One command in a list: what, where, why, who, what came of it, and its stages in a line. */

import { html, nothing, svg } from "../../../vendor/lit.js";
import { clock, day, millis, moment, order, outcomeBrief, outcomeTone } from "../../format.js";
import { timeAxis } from "../../geometry.js";
import { lockerAddress } from "../../router.js";
import { toneMark } from "../marks.js";

/** @import {Command} from "../../types.js" */

const WIDTH = 132;
const HEIGHT = 14;

/** @param {string} id */
export function commandAddress(id) {
  return `/commands/${encodeURIComponent(id)}`;
}

/** Whether a cancel can still mean something. @param {Command} command */
export function cancellable(command) {
  return ["queued", "sent", "accepted", "timed_out"].includes(command.state) && !command.cancel_requested && command.kind !== "forget";
}

/** Whether the same order can be given again from here. @param {Command} command */
export function repeatable(command) {
  return command.kind === "open" || command.kind === "locate";
}

/** Who gave the order, as far as the hub knows. @param {Command} command */
export function author(command) {
  if (command.by) return command.by;
  return command.actor ? `person ${command.actor.slice(0, 8)}` : "not known";
}

/**
 * The stages on a short logarithmic line, with the budget across. The words stand beside it.
 * @param {Command} command
 */
export function stageLine(command) {
  const reached = Object.entries(command.stages_ms ?? {});
  if (reached.length === 0) return nothing;
  const axis = timeAxis(Math.max(command.budget_ms, ...reached.map(([, ms]) => Number(ms))));
  const x = (/** @type {number} */ ms) => 2 + axis.at(ms) * (WIDTH - 4);
  const ends = reached.map(([, ms]) => Number(ms)).sort((a, b) => a - b);
  const within = (command.stages_ms.pulsed ?? 0) <= command.budget_ms;
  return html`<svg class="stage-line" viewBox="0 0 ${WIDTH} ${HEIGHT}" aria-hidden="true" data-within=${within ? "yes" : "no"}>
    <path class="stage-base" d="M2 7h${WIDTH - 4}"></path>
    <path class="stage-time" d="M2 7H${x(ends[ends.length - 1]).toFixed(1)}"></path>
    ${ends.map((ms) => svg`<path class="stage-tick" d="M${x(ms).toFixed(1)} 3v8"></path>`)}
    <path class="stage-budget" d="M${x(command.budget_ms).toFixed(1)} 0v14"></path>
  </svg>`;
}

/**
 * @param {Command} command
 * @param {{now: number, acts: unknown}} more
 */
export function commandRow(command, { now, acts }) {
  const tone = outcomeTone(command);
  const pulsed = command.stages_ms?.pulsed;
  const date = day(command.accepted_at, now);
  return html`<li class="command-row" data-command=${command.id} data-state=${command.state}>
    <span class="command-row-mark">${toneMark(tone)}</span>
    <a class="command-row-what" href=${commandAddress(command.id)}><strong>${order(command)}</strong></a>
    <a class="command-row-where mono" href=${lockerAddress(command.locker)}>${command.locker}</a>
    <span class="command-row-why">
      <span class="command-row-outcome" data-tone=${tone}>${outcomeBrief(command)}</span>
      <span class="quiet">${command.reason ?? "no reason given"}, ${author(command)}</span>
    </span>
    <span class="command-row-stages">${stageLine(command)}<span class="quiet">${pulsed === undefined ? nothing : millis(pulsed)}</span></span>
    <span class="command-row-time" title=${moment(command.accepted_at)}>${date ? html`<span class="quiet">${date}</span> ` : nothing}<time
      datetime=${command.accepted_at}>${clock(command.accepted_at)}</time></span>
    <span class="command-row-acts">${acts}</span>
  </li>`;
}
