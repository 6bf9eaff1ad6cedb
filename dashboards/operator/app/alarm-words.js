/**
 * What is told of alarms in words: types, places, values, marks, journal steps, and why an act left one out. Pure.
 *
 * @import {Alarm} from "./types.js"
 */

import { clock, some } from "./format.js";

/** Every type that the hub raises. @type {Record<string, string>} */
export const TYPE_WORDS = {
  "door.forced": "Door forced",
  "door.left_open": "Door left open",
  "door.open_not_detected": "Door not seen to open",
  "door.jammed": "Door jammed",
  "sensor.fault": "Sensor fault",
  "occupancy.mismatch": "Contents changed behind a closed door",
  tamper: "Tamper",
  "temperature.high": "Too hot",
  "power.lost": "Power lost",
  "battery.low": "Battery low",
  "board.offline": "Board silent",
  "locker.offline": "Locker offline",
  "site.offline": "Site offline",
  "broker.offline": "Broker offline",
  "access.lockout": "Access denied again and again",
  mass_opening: "Many doors opened",
  "outbox.age": "Events come late",
  "clock.unset": "Clock not set",
  "ledger.gap": "Events lost",
  "ledger.cloned": "Ledger cloned",
  "ledger.epochs": "Ledger begun too often",
};

/** @param {string} type */
export function typeWords(type) {
  return TYPE_WORDS[type] ?? type;
}

/** Where it is, as ids: "berlin-01, door 3". @param {Pick<Alarm, "site" | "locker" | "door">} alarm */
export function placeWords(alarm) {
  if (!alarm.locker) return alarm.site ?? "All sites";
  return alarm.door === null ? alarm.locker : `${alarm.locker}, door ${alarm.door}`;
}

/** The address that shows where it is. @param {Pick<Alarm, "site" | "locker" | "door">} alarm */
export function placeAddress(alarm) {
  if (alarm.locker) return `/lockers/${encodeURIComponent(alarm.locker)}`;
  return alarm.site ? `/lockers?${new URLSearchParams({ site: alarm.site })}` : "/lockers";
}

/** What was measured against what is allowed: "52 °C (limit 50)"; "" where nothing is measured. @param {Alarm} alarm */
export function measured(alarm) {
  if (alarm.value === null) return "";
  const value = `${round(alarm.value)}${alarm.unit ? ` ${alarm.unit}` : ""}`;
  return alarm.limit === null ? value : `${value} (limit ${round(alarm.limit)})`;
}

/** What else is to be known of it at a glance. @param {Alarm} alarm @returns {{name: string, text: string}[]} */
export function flags(alarm) {
  const found = [];
  if (alarm.children > 0) found.push({ name: "children", text: some(alarm.children, "locker") });
  if (alarm.shelved) found.push({ name: "shelved", text: `Shelved until ${clock(alarm.shelved.until).slice(0, 5)}` });
  if (alarm.suppressed === "maintenance") found.push({ name: "maintenance", text: "Maintenance" });
  if (alarm.suppressed === "out_of_service") found.push({ name: "out-of-service", text: "Out of service" });
  if (alarm.suppressed === "folded") found.push({ name: "folded", text: "Part of an outage" });
  if (alarm.chattering) found.push({ name: "chattering", text: "Chattering" });
  if (alarm.stale) found.push({ name: "stale", text: "Over a day" });
  return found;
}

/** @type {Record<string, string>} */
const STEPS = {
  raised: "Raised",
  again: "Came again",
  cleared: "Cleared",
  acked: "Acknowledged",
  unacked: "Acknowledgement taken back",
  shelved: "Shelved",
  unshelved: "Taken off the shelf",
  suppressed: "Not told to anybody from here on",
  unsuppressed: "Told again",
  folded: "Made part of an outage",
  unfolded: "On its own again",
  note: "Note",
  closed: "Closed",
};

/** One step of an alarm's journal. @param {string} what */
export function stepWords(what) {
  return STEPS[what] ?? what.replaceAll("_", " ");
}

/** @type {Record<string, string>} */
const SKIPPED = {
  already_acked: "already acknowledged",
  not_acked: "not acknowledged",
  not_open: "already closed",
  closed: "already closed",
  already_shelved: "already shelved",
  not_shelved: "not shelved",
  unknown: "not known to the hub",
  alarm_unknown: "not known to the hub",
};

/** Why an act left an alarm out. @param {string} why */
export function skippedWords(why) {
  return SKIPPED[why] ?? why.replaceAll("_", " ");
}

/** @typedef {"acknowledge" | "unacknowledge" | "shelve" | "unshelve"} Act */

/** What is done and being done. @type {Record<Act, {button: string, done: string, doing: string}>} */
export const ACT_WORDS = {
  acknowledge: { button: "Acknowledge", done: "acknowledged", doing: "Acknowledging…" },
  unacknowledge: { button: "Unacknowledge", done: "no longer acknowledged", doing: "Taking back…" },
  shelve: { button: "Shelve…", done: "shelved", doing: "Shelving…" },
  unshelve: { button: "Unshelve", done: "off the shelf", doing: "Unshelving…" },
};

/**
 * What came of an act: "18 acknowledged, 2 already acknowledged".
 * @param {Act} act @param {number} done @param {readonly {why: string}[]} skipped
 */
export function resultWords(act, done, skipped) {
  /** @type {Map<string, number>} */
  const reasons = new Map();
  for (const { why } of skipped) reasons.set(skippedWords(why), (reasons.get(skippedWords(why)) ?? 0) + 1);
  const parts = [...reasons].map(([why, n]) => `${n} ${why}`);
  if (done > 0 || parts.length === 0) parts.unshift(`${done} ${ACT_WORDS[act].done}`);
  return parts.join(", ");
}

/** @param {number} value */
function round(value) {
  return String(Math.round(value * 10) / 10);
}
