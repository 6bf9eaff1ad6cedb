/** Jobs in words. */

import { some } from "../../format.js";

/** @import {Job, JobState} from "../../types.js" */
/** @import {Tone} from "../../format.js" */

/** @type {Record<JobState, {word: string, tone: Tone}>} */
export const JOB_STATES = {
  waiting_approval: { word: "Waits for a second person", tone: "caution" },
  running: { word: "Running", tone: "normal" },
  paused: { word: "Paused", tone: "caution" },
  done: { word: "Done", tone: "normal" },
  aborted: { word: "Aborted", tone: "serious" },
  cancelled: { word: "Cancelled", tone: "normal" },
  rejected: { word: "Rejected", tone: "normal" },
  expired: { word: "Expired", tone: "caution" },
};

export const TARGET_STATES = ["pending", "sent", "skipped", "succeeded", "rejected", "failed", "unknown", "timed_out", "cancelled"];
const FAILURES = ["rejected", "failed", "unknown", "timed_out"];

const VERBS = { open: "Open", locate: "Locate", configure: "Configure", restart: "Restart" };

/** "Open 40 doors", "Restart 12 lockers". @param {Pick<Job, "kind" | "targets" | "openings">} job */
export function jobTitle(job) {
  return `${VERBS[job.kind]} ${some(job.targets, job.openings > 0 || job.kind === "open" ? "door" : "locker")}`;
}

/** Which lockers and doors a job's filter means. @param {Record<string, any>} filter */
export function filterWords(filter) {
  const words = [];
  if (filter.site) words.push(`site ${filter.site}`);
  if (filter.lockers) words.push(filter.lockers.length <= 3 ? filter.lockers.join(", ") : some(filter.lockers.length, "chosen locker"));
  if (filter.q) words.push(`“${filter.q}”`);
  const where = words.length > 0 ? words.join(", ") : "the whole fleet";
  if (!filter.doors) return where;
  if (filter.doors === "all") return `${where}, all doors`;
  return Array.isArray(filter.doors) ? `${where}, doors ${filter.doors.join(", ")}` : `${where}, doors of size ${filter.doors.size}`;
}

/** How far a job is: shares of its targets. @param {Job} job */
export function progress(job) {
  const counts = job.counts ?? {};
  const of = (/** @type {string[]} */ states) => states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  return { done: of(["succeeded"]), failed: of(FAILURES), left_out: of(["skipped", "cancelled"]), open: of(["pending", "sent"]), total: job.targets };
}

/** @param {Job} job */
export function progressWords(job) {
  if (!job.counts) return some(job.targets, "target");
  const { done, failed, left_out: out, total } = progress(job);
  const words = [`${done} of ${total} done`];
  if (failed) words.push(`${failed} failed`);
  if (out) words.push(`${out} left out`);
  return words.join(", ");
}

/** Whether nothing more comes of it. @param {Job} job */
export function jobOver(job) {
  return ["done", "aborted", "cancelled", "rejected", "expired"].includes(job.state);
}
