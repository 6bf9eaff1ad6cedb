/** The stages of one command on a logarithmic time axis, with the budget drawn across. */

import { html, nothing } from "../../vendor/lit.js";
import { placed } from "../element.js";
import { budget, millis, settled } from "../format.js";
import { timeAxis } from "../geometry.js";

/** @import {Command} from "../types.js" */

/** @type {readonly (readonly [keyof Command["stages_ms"], string])[]} */
const STAGES = [
  ["published", "Published"],
  ["received", "Received"],
  ["started", "Started"],
  ["pulsed", "Lock pulsed"],
  ["replied", "Replied"],
  ["opened", "Door seen open"],
];

/** @param {Command} command */
export function waterfall(command) {
  const reached = command.stages_ms ?? {};
  const stages = STAGES.filter(([name]) => command.kind === "open" || name !== "opened");
  const axis = timeAxis(Math.max(command.budget_ms, ...Object.values(reached).map(Number)));
  let from = 0;
  return html`<div class="waterfall">
    <ol aria-label="Stages of the command">
      ${stageRow("Accepted", 0, 0, axis)}
      ${stages.map(([name, label]) => {
        const ms = reached[name];
        const row = stageRow(label, from, ms, axis, settled(command));
        if (ms !== undefined) from = ms;
        return row;
      })}
    </ol>
    <div class="wf-axis" aria-hidden="true"><div class="wf-scale">
      ${axis.ticks.map((ms) => html`<span class="wf-tick" ${placed({ left: percent(axis.at(ms)) })}>${ms < 1000 ? ms : `${ms / 1000} s`}</span>`)}
      <span class="wf-budget" ${placed({ left: percent(axis.at(command.budget_ms)) })}><span>budget</span></span>
    </div><span class="wf-unit">ms, logarithmic</span></div>
    <p class="wf-verdict">${verdict(command)}</p>
  </div>`;
}

/**
 * @param {string} label @param {number} from @param {number | undefined} ms
 * @param {{at: (ms: number) => number}} axis @param {boolean} [over]
 */
function stageRow(label, from, ms, axis, over = true) {
  const done = ms !== undefined;
  const left = axis.at(from);
  return html`<li class="wf-row" data-reached=${done ? "yes" : "no"}>
    <span class="wf-label">${label}</span>
    <span class="wf-track" aria-hidden="true">
      ${done ? html`<i ${placed({ left: percent(left), width: percent(Math.max(0, axis.at(ms) - left)) })}></i>` : nothing}
    </span>
    <span class="wf-ms">${done ? millis(ms) : over ? "–" : "waiting"}</span>
  </li>`;
}

/** @param {Command} command */
function verdict(command) {
  const ms = command.stages_ms?.pulsed;
  const limit = budget(command.budget_ms);
  if (command.kind !== "open") return `Answer budget: ${limit}.`;
  if (ms === undefined) return `Budget: ${limit} until the lock is pulsed.`;
  return ms <= command.budget_ms
    ? `Lock pulsed after ${millis(ms)}, within the budget of ${limit}.`
    : `Lock pulsed after ${millis(ms)}: over the budget of ${limit}.`;
}

/** @param {number} share */
function percent(share) {
  return `${(share * 100).toFixed(2)}%`;
}
