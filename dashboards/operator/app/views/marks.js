/**
 * Small drawings. Each state has its own shape beside its word; colour comes from the style sheet, and only for
 * what is not normal. All are decoration for assistive technology: the word stands next to them.
 *
 * @import {CommandState, DoorCounts, LockerState, Severity} from "../types.js"
 * @import {Tone} from "../format.js"
 */

import { html, svg } from "../../vendor/lit.js";
import { STRIP, strip } from "../geometry.js";

/** @param {LockerState} state */
export function lockerMark(state) {
  return mark(`mark-${state}`, LOCKER_SHAPES[state] ?? LOCKER_SHAPES.never_seen);
}

/** @param {Tone} tone */
export function toneMark(tone) {
  return mark(`mark-${tone}`, TONE_SHAPES[tone]);
}

/**
 * How urgent an alarm is. What is critical has most corners and most ink; what is low is only outlined.
 * @param {Severity} severity
 */
export function severityMark(severity) {
  return mark(`mark-${severity}`, SEVERITY_SHAPES[severity] ?? SEVERITY_SHAPES.low);
}

/** A door standing open. */
export function openMark() {
  return mark("mark-open", OPEN);
}

/** All of the fleet. */
export function fleetMark() {
  return mark("mark-fleet", FLEET);
}

/** @param {DoorCounts} counts */
export function doorStrip(counts) {
  const paths = strip(counts);
  return html`<svg class="strip" viewBox="0 0 ${STRIP.width} ${STRIP.height}" aria-hidden="true" preserveAspectRatio="xMinYMid meet">
    <path class="strip-closed" d=${paths.closed}></path>
    <path class="strip-unknown" d=${paths.unknown}></path>
    <path class="strip-open" d=${paths.open}></path>
  </svg>`;
}

/** @param {"pause" | "play" | "sun" | "moon" | "back" | "search" | "close" | "locate" | "menu" | "person" | "past"} name */
export function icon(name) {
  return html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true">${ICONS[name]}</svg>`;
}

/** The name's mark. */
export function logo() {
  return html`<svg class="logo" viewBox="0 0 24 24" aria-hidden="true">
    <rect class="logo-body" x="1" y="1" width="22" height="22" rx="3.5"></rect>
    <path class="logo-door" d="M4.5 4.5h6v6h-6zM13.5 4.5h6v6h-6zM4.5 13.5h6v6h-6z"></path>
    <path class="logo-open" d="M13.5 13.5l4 1.6v6l-4-1.6z"></path>
  </svg>`;
}

/** @param {string} name @param {unknown} shape */
function mark(name, shape) {
  return html`<svg class="mark ${name}" viewBox="0 0 12 12" aria-hidden="true">${shape}</svg>`;
}

/** @type {Record<LockerState, unknown>} */
const LOCKER_SHAPES = {
  online: svg`<circle cx="6" cy="6" r="4.25" fill="none" stroke="currentColor" stroke-width="1.5"></circle>`,
  offline: svg`<path d="M6 .6 11.4 6 6 11.4.6 6z" fill="currentColor"></path><path class="knockout" d="M4 4l4 4M8 4l-4 4" stroke-width="1.4" fill="none"></path>`,
  never_seen: svg`<circle cx="6" cy="6" r="4.25" fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="1.8 1.54"></circle>`,
};

/** @type {Record<Tone, unknown>} */
const TONE_SHAPES = {
  normal: svg`<circle cx="6" cy="6" r="2" fill="currentColor"></circle>`,
  caution: svg`<path d="M6 1 11.4 10.6H.6z" fill="currentColor"></path>`,
  serious: LOCKER_SHAPES.offline,
};

/** @type {Record<Severity, unknown>} */
const SEVERITY_SHAPES = {
  critical: svg`<path d="M3.7.5h4.6L11.5 3.7v4.6L8.3 11.5H3.7L.5 8.3V3.7z" fill="currentColor"></path><path class="knockout" d="M6 2.8v4M6 8v1.5" stroke-width="1.5" fill="none"></path>`,
  high: svg`<path d="M6 .4 11.6 6 6 11.6.4 6z" fill="currentColor"></path>`,
  medium: TONE_SHAPES.caution,
  low: svg`<path d="M6 2 10.6 10H1.4z" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linejoin="round"></path>`,
};

const OPEN = svg`<path d="M1.5 1v10h3V1z" fill="none" stroke="currentColor" stroke-width="1.4"></path><path d="M4.5 1l6 2v7l-6 1z" fill="currentColor"></path>`;
const FLEET = svg`<path d="M1 1h4v4H1zM7 1h4v4H7zM1 7h4v4H1zM7 7h4v4H7z" fill="none" stroke="currentColor" stroke-width="1.3"></path>`;

const ICONS = {
  pause: svg`<path d="M4 3h3v10H4zM9 3h3v10H9z" fill="currentColor"></path>`,
  play: svg`<path d="M4.5 2.5v11l9-5.5z" fill="currentColor"></path>`,
  sun: svg`<circle cx="8" cy="8" r="3" fill="none" stroke="currentColor" stroke-width="1.5"></circle><path d="M8 .8v2M8 13.2v2M.8 8h2M13.2 8h2M2.9 2.9l1.4 1.4M11.7 11.7l1.4 1.4M2.9 13.1l1.4-1.4M11.7 4.3l1.4-1.4" stroke="currentColor" stroke-width="1.5"></path>`,
  moon: svg`<path d="M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3z" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round"></path>`,
  back: svg`<path d="M10 3 5 8l5 5" fill="none" stroke="currentColor" stroke-width="1.6"></path>`,
  search: svg`<circle cx="7" cy="7" r="4.5" fill="none" stroke="currentColor" stroke-width="1.5"></circle><path d="m10.5 10.5 4 4" stroke="currentColor" stroke-width="1.5"></path>`,
  close: svg`<path d="m3.5 3.5 9 9M12.5 3.5l-9 9" stroke="currentColor" stroke-width="1.6"></path>`,
  menu: svg`<path d="M2 4h12M2 8h12M2 12h12" stroke="currentColor" stroke-width="1.6"></path>`,
  person: svg`<circle cx="8" cy="5" r="2.8" fill="none" stroke="currentColor" stroke-width="1.5"></circle><path d="M2.5 14a5.5 5.5 0 0 1 11 0" fill="none" stroke="currentColor" stroke-width="1.5"></path>`,
  past: svg`<path d="M2.3 8a5.7 5.7 0 1 0 1.9-4.2M4.4 1v3h3M8 4.8V8l2.3 1.6" fill="none" stroke="currentColor" stroke-width="1.5"></path>`,
  locate: svg`<circle cx="8" cy="8" r="1.8" fill="currentColor"></circle><path d="M4.3 11.7a5.2 5.2 0 0 1 0-7.4M11.7 4.3a5.2 5.2 0 0 1 0 7.4M2.2 13.8a8.2 8.2 0 0 1 0-11.6M13.8 2.2a8.2 8.2 0 0 1 0 11.6" fill="none" stroke="currentColor" stroke-width="1.4"></path>`,
};

/** @type {Record<CommandState, Tone>} */
export const COMMAND_TONES = {
  queued: "normal",
  sent: "normal",
  accepted: "normal",
  cancelled: "normal",
  expired: "caution",
  succeeded: "normal",
  rejected: "caution",
  failed: "serious",
  unknown: "serious",
  timed_out: "serious",
};
