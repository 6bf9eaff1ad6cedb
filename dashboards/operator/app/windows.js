/**
 * Maintenance windows: what is wrong with one that somebody wants to make, and how they are told. Pure.
 *
 * @typedef {{id: string, site: string | null, locker: string | null, door: number | null, starts_at: string, ends_at: string, why: string, by: string,
 *   state: "planned" | "running" | "over" | "ended"}} Window
 * @typedef {{where: "site" | "locker", name: string, door: string, from: string, to: string, why: string}} Draft times as a field has them, local
 * @typedef {{site?: string, locker?: string, door?: number, starts_at: string, ends_at: string, why: string}} Wanted
 */

import { momentOfField } from "./moment.js";

/** @type {Record<Window["state"], string>} */
export const WINDOW_WORDS = { planned: "Planned", running: "Running", over: "Over", ended: "Ended early" };

/** A window may begin so long ago by the field's own minutes: what is meant is now. */
const NOW_SLACK_MS = 90_000;
const DAYS_MAX = 90;

/** What a window is of. @param {Pick<Window, "site" | "locker" | "door">} window */
export function targetWords(window) {
  if (!window.locker) return `Site ${window.site}`;
  return window.door === null ? `Locker ${window.locker}` : `Locker ${window.locker}, door ${window.door}`;
}

/**
 * What is wrong, by field; and what does not hinder, but should be known.
 * @param {Draft} draft @param {readonly Window[]} windows those that there are @param {number} nowMs
 * @param {{sites: readonly string[], lockers: ReadonlyMap<string, {door_counts: {total: number}}>}} fleet what is known of it; empty: nothing
 * @returns {{wrong: Partial<Record<keyof Draft, string>>, overlap: string, wanted: Wanted | null}}
 */
export function check(draft, windows, nowMs, fleet) {
  /** @type {Partial<Record<keyof Draft, string>>} */
  const wrong = {};
  const name = draft.name.trim();
  const locker = fleet.lockers.get(name);
  const number = draft.door.trim() === "" ? null : Number(draft.door);
  if (!name) wrong.name = draft.where === "site" ? "Name the site." : "Name the locker by its id.";
  else if (draft.where === "site" && fleet.sites.length > 0 && !fleet.sites.includes(name)) wrong.name = `There is no site “${name}”.`;
  else if (draft.where === "locker" && fleet.lockers.size > 0 && !locker) wrong.name = `There is no locker “${name}”.`;
  if (draft.where === "locker" && number !== null) {
    if (!Number.isInteger(number) || number < 1) wrong.door = "A door has a number from 1 on.";
    else if (locker && number > locker.door_counts.total) wrong.door = `${name} has ${locker.door_counts.total} doors.`;
  }
  const from = momentOfField(draft.from, nowMs - NOW_SLACK_MS);
  const to = momentOfField(draft.to, nowMs);
  if (Number.isNaN(from)) wrong.from = "Say when it begins.";
  if (Number.isNaN(to)) wrong.to = "Say when it ends.";
  else if (!Number.isNaN(from) && to <= from) wrong.to = "It ends before it begins.";
  else if (to <= nowMs) wrong.to = "That is over already.";
  else if (!Number.isNaN(from) && to - from > DAYS_MAX * 86_400_000) wrong.to = `Longer than ${DAYS_MAX} days: take the doors out of service instead.`;
  if (!wrong.from && from < nowMs - NOW_SLACK_MS) wrong.from = "That is in the past. What was alarmed then was alarmed.";
  if (!draft.why.trim()) wrong.why = "Say why: whoever sees a quiet site has to know.";
  const place = {
    site: draft.where === "site" ? name : null,
    locker: draft.where === "locker" ? name : null,
    door: draft.where === "locker" ? number : null,
  };
  const other = Number.isNaN(from) || Number.isNaN(to) ? undefined : windows.find((one) => sameTarget(one, place) && overlaps(one, from, to));
  const wanted = Object.keys(wrong).length
    ? null
    : {
        ...(place.site !== null ? { site: place.site } : {}),
        ...(place.locker !== null ? { locker: place.locker } : {}),
        ...(place.door !== null ? { door: place.door } : {}),
        starts_at: new Date(from).toISOString(),
        ends_at: new Date(to).toISOString(),
        why: draft.why.trim(),
      };
  return { wrong, overlap: other ? `It overlaps “${other.why}”, by ${other.by}. Both count.` : "", wanted };
}

/** A time as a field for local time has it. @param {number} atMs */
export function fieldTime(atMs) {
  const at = new Date(atMs);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** @param {Window} one @param {Pick<Window, "site" | "locker" | "door">} place */
function sameTarget(one, place) {
  return one.site === place.site && one.locker === place.locker && one.door === place.door;
}

/** @param {Window} one @param {number} from @param {number} to */
function overlaps(one, from, to) {
  return (one.state === "planned" || one.state === "running") && Date.parse(one.starts_at) < to && Date.parse(one.ends_at) > from;
}
