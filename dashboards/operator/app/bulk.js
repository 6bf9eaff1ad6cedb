/**
 * One act on many lockers: which of them it applies to, and what came of it, in words. Pure but for `eachOf`.
 *
 * @import {Locker} from "./types.js"
 * @typedef {"acknowledge" | "maintenance" | "open" | "locate" | "restart"} BulkKind
 * @typedef {{locker: Locker, why: string}} Skipped
 */

import { Refusal } from "./api.js";
import { some } from "./format.js";
import { alarmCount } from "./select.js";

/** Requests on their way at the same time. */
const PARALLEL_MAX = 4;
/** So many ids are written into an address; more go through the session's memory. */
const ADDRESS_IDS_MAX = 40;
/** Where the page of a new job looks for them. */
const JOB_MEMORY = "lockerhub.chosen";

/** @type {Record<BulkKind, (locker: Locker) => string>} Why it does not apply; "" when it does. */
const WHY_NOT = {
  acknowledge: (locker) => (alarmCount(locker) === 0 ? "no alarm" : ""),
  maintenance: (locker) => (locker.maintenance ? "already under maintenance" : ""),
  open: whyNoCommand,
  locate: whyNoCommand,
  restart: whyNoCommand,
};

/** @param {BulkKind} kind @param {readonly Locker[]} lockers @returns {{fitting: Locker[], skipped: Skipped[]}} */
export function sorted(kind, lockers) {
  const all = lockers.map((locker) => ({ locker, why: WHY_NOT[kind](locker) }));
  return { fitting: all.filter(({ why }) => !why).map(({ locker }) => locker), skipped: all.filter(({ why }) => why) };
}

/** "3 skipped: 2 offline, 1 never seen"; "" without any. @param {readonly {why: string}[]} skipped */
export function skippedWords(skipped) {
  if (skipped.length === 0) return "";
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { why } of skipped) counts.set(why, (counts.get(why) ?? 0) + 1);
  return `${skipped.length} skipped: ${[...counts].map(([why, n]) => `${n} ${why.replaceAll("_", " ")}`).join(", ")}`;
}

/**
 * Ask for each, a few at a time.
 * @template T
 * @param {readonly Locker[]} lockers @param {(locker: Locker) => Promise<T>} ask
 * @returns {Promise<{answers: T[], failed: {locker: Locker, why: string}[]}>}
 */
export async function eachOf(lockers, ask) {
  const waiting = [...lockers];
  /** @type {T[]} */
  const answers = [];
  /** @type {{locker: Locker, why: string}[]} */
  const failed = [];
  const work = async () => {
    for (let locker = waiting.shift(); locker; locker = waiting.shift()) {
      try {
        answers.push(await ask(locker));
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        failed.push({ locker, why: error.problem.title });
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_MAX }, work));
  return { answers, failed };
}

/** What acknowledging said of all lockers together. @param {{done: number, skipped: {why: string}[]}[]} answers */
export function acknowledgedWords(answers) {
  const done = answers.reduce((sum, answer) => sum + answer.done, 0);
  const rest = skippedWords(answers.flatMap((answer) => answer.skipped));
  return `${some(done, "alarm")} acknowledged${rest ? `, ${rest}` : ""}`;
}

/** The address of a new job for these lockers; where they are many, they are left in the session's memory. @param {BulkKind} kind @param {readonly Locker[]} lockers */
export function jobAddress(kind, lockers) {
  const ids = lockers.map((locker) => locker.id);
  if (ids.length <= ADDRESS_IDS_MAX) return `/jobs/new?${new URLSearchParams({ kind, lockers: ids.join(",") })}`;
  sessionStorage.setItem(JOB_MEMORY, JSON.stringify(ids));
  return `/jobs/new?${new URLSearchParams({ kind, chosen: "" })}`;
}

/** @param {Locker} locker */
function whyNoCommand(locker) {
  if (locker.state === "never_seen") return "never seen";
  return locker.state === "offline" ? "offline" : "";
}
