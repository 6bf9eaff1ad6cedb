/**
 * What narrows the list of alarms: tiles by severity, chips by type, and fields. Everything is an address.
 *
 * @import {AlarmFilter, count} from "../../alarm-select.js"
 */

import { html, nothing } from "../../../vendor/lit.js";
import { NO_FILTER, OPEN_STATES, UNACKED, addressOf, isNarrow } from "../../alarm-select.js";
import { typeWords } from "../../alarm-words.js";
import { ALARM_STATE_WORDS, SEVERITIES, SEVERITY_WORDS, number } from "../../format.js";
import { fleetMark, icon, severityMark, toneMark } from "../marks.js";

/** @typedef {ReturnType<typeof count>} Counts */

/** @param {AlarmFilter} filter @param {Counts} counts @param {boolean} loading */
export function severityTiles(filter, counts, loading) {
  const said = (/** @type {number} */ n) => (loading ? "–" : number(n));
  const unacked = filter.state.join() === UNACKED.join();
  return html`<nav class="tiles alarm-tiles" aria-label="Alarms by severity">
    <a class="tile" href=${addressOf({ ...filter, severity: [], state: [] })} aria-current=${!filter.severity.length && !filter.state.length ? "true" : "false"}>
      <span class="tile-count">${said(counts.all)}</span><span class="tile-label">${fleetMark()}Open</span></a>
    <a class="tile" href=${addressOf({ ...filter, state: unacked ? [] : UNACKED })} aria-current=${unacked ? "true" : "false"}>
      <span class="tile-count">${said(counts.unacked)}</span><span class="tile-label">${toneMark("normal")}<span>Unacked<span class="unseen">, not acknowledged</span></span></span></a>
    ${SEVERITIES.map((severity) => {
      const chosen = filter.severity.length === 1 && filter.severity[0] === severity;
      return html`<a class="tile" href=${addressOf({ ...filter, severity: chosen ? [] : [severity] })} data-severity=${severity}
        data-abnormal=${counts.severity[severity] > 0 ? "yes" : "no"} aria-current=${chosen ? "true" : "false"}>
        <span class="tile-count">${said(counts.severity[severity])}</span>
        <span class="tile-label">${severityMark(severity)}${SEVERITY_WORDS[severity]}</span></a>`;
    })}
  </nav>`;
}

/** @param {AlarmFilter} filter @param {Counts} counts */
export function typeChips(filter, counts) {
  const known = new Map(counts.types);
  const types = [...counts.types, ...filter.type.filter((type) => !known.has(type)).map((type) => /** @type {[string, number]} */ ([type, 0]))];
  if (types.length === 0) return nothing;
  return html`<nav class="alarm-chips" aria-label="Alarms by type">
    ${types.map(([type, n]) => {
      const chosen = filter.type.includes(type);
      const next = chosen ? filter.type.filter((one) => one !== type) : [...filter.type, type];
      return html`<a class="alarm-chip" href=${addressOf({ ...filter, type: next })} aria-current=${chosen ? "true" : "false"}>${typeWords(type)}
        <span class="alarm-chip-count">${number(n)}</span>${chosen ? icon("close") : nothing}</a>`;
    })}
  </nav>`;
}

/**
 * @param {AlarmFilter} filter @param {readonly string[]} sites
 * @param {{go: (change: Partial<AlarmFilter>) => void, type: (q: string) => void}} change
 */
export function filterFields(filter, sites, change) {
  const states = filter.state.join();
  const choices = [["", "Any"], [UNACKED.join(), "Unacknowledged"], ...OPEN_STATES.map((state) => [state, ALARM_STATE_WORDS[state]])];
  if (!choices.some(([value]) => value === states)) choices.push([states, filter.state.map((state) => ALARM_STATE_WORDS[state]).join("; ")]);
  const named = filter.site && !sites.includes(filter.site) ? [filter.site, ...sites] : sites;
  return html`
    <label class="search">
      ${icon("search")}<span class="unseen">Search what, where, locker or type</span>
      <input id="search" type="search" placeholder=${filter.closed ? "Search where, locker, type" : "Search what, where, locker"} maxlength="100" autocomplete="off" spellcheck="false"
        .value=${filter.q} @input=${(/** @type {Event} */ e) => change.type(valueOf(e).trim())} />
      <kbd aria-hidden="true">/</kbd>
    </label>
    ${filter.closed
      ? html`<label class="choice"><span class="choice-label">Since</span>
            <input type="date" .value=${filter.since ? localDay(Date.parse(filter.since)) : ""} @change=${(/** @type {Event} */ e) => change.go({ since: dayStart(valueOf(e), 0) })} /></label>
          <label class="choice"><span class="choice-label">Until</span>
            <input type="date" .value=${filter.until ? localDay(Date.parse(filter.until) - 1) : ""} @change=${(/** @type {Event} */ e) => change.go({ until: dayStart(valueOf(e), 1) })} /></label>`
      : html`<label class="choice"><span class="choice-label">State</span>
          <select @change=${(/** @type {Event} */ e) => change.go({ state: /** @type {AlarmFilter["state"]} */ (valueOf(e).split(",").filter(Boolean)) })}>
            ${choices.map(([value, word]) => html`<option value=${value} ?selected=${value === states}>${word}</option>`)}
          </select></label>`}
    <label class="choice"><span class="choice-label">Site</span>
      <select @change=${(/** @type {Event} */ e) => change.go({ site: valueOf(e) })}>
        <option value="" ?selected=${filter.site === ""}>All</option>
        ${named.map((site) => html`<option value=${site} ?selected=${filter.site === site}>${site}</option>`)}
      </select></label>
    ${filter.closed
      ? nothing
      : html`<label class="choice"><span class="choice-label">Group</span>
            <select @change=${(/** @type {Event} */ e) => change.go({ group: /** @type {AlarmFilter["group"]} */ (valueOf(e)) })}>
              ${GROUPS.map(([value, word]) => html`<option value=${value} ?selected=${filter.group === value}>${word}</option>`)}
            </select></label>
          <label class="check"><input type="checkbox" .checked=${filter.suppressed}
            @change=${(/** @type {Event} */ e) => change.go({ suppressed: /** @type {HTMLInputElement} */ (e.target).checked })} /> Suppressed</label>`}
    ${filter.locker
      ? html`<a class="alarm-chip" href=${addressOf({ ...filter, locker: "" })} aria-current="true">Locker ${filter.locker}${icon("close")}<span class="unseen">, show all lockers</span></a>`
      : nothing}
    <a class="button history-link" href=${addressOf({ ...filter, closed: !filter.closed, state: [], since: "", until: "", group: "" })}>${filter.closed ? "Open alarms" : "History"}</a>
  `;
}

/** What makes no sense in the address. @param {readonly string[]} problems @param {AlarmFilter} filter what is left of it */
export function nonsense(problems, filter) {
  if (problems.length === 0) return nothing;
  return html`<div class="refused" role="alert">${toneMark("caution")}
    <p><strong>The address asks for what does not exist.</strong> ${problems.join(" ")}</p>
    <a class="button" href=${addressOf(filter)}>Leave it out</a></div>`;
}

/** The way back from a filter that leaves nothing. @param {AlarmFilter} filter */
export function unfiltered(filter) {
  return isNarrow(filter) ? addressOf({ ...NO_FILTER, closed: filter.closed, group: filter.group }) : "";
}

const GROUPS = [
  ["", "None"],
  ["type", "Type"],
  ["site", "Site"],
];

/** @param {string} date as a date field has it @param {number} later days @returns {string} when the day begins here */
function dayStart(date, later) {
  if (!date) return "";
  const [year, month, day] = date.split("-").map(Number);
  return new Date(year, month - 1, day + later).toISOString();
}

/** @param {number} atMs */
function localDay(atMs) {
  const at = new Date(atMs);
  return `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, "0")}-${String(at.getDate()).padStart(2, "0")}`;
}

/** @param {Event} event */
function valueOf(event) {
  return /** @type {HTMLInputElement | HTMLSelectElement} */ (event.target).value;
}
