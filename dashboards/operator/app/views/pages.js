/** Which element draws which page, what it is called, and what the navigation offers. */

import { html } from "../../vendor/lit.js";
import "./lockers.js";
import "./overview.js";

/**
 * @import {Operator} from "../main.js"
 * @import {RouteName} from "../router.js"
 */

/** The navigation: address, word, the page itself and those below it, its key after `g`. @type {ReadonlyArray<[string, string, RouteName[], string]>} */
export const PAGES = [
  ["/", "Overview", ["overview"], "o"],
  ["/lockers", "Lockers", ["lockers", "locker", "label"], "l"],
  ["/alarms", "Alarms", ["alarms", "alarm", "alarm-health", "alarm-rules", "maintenance"], "a"],
  ["/commands", "Commands", ["commands", "command"], "c"],
  ["/jobs", "Jobs", ["jobs", "job", "job-new"], "j"],
  ["/events", "Events", ["events", "audit"], "e"],
  ["/statistics", "Statistics", ["statistics"], "s"],
  ["/health", "Health", ["health"], "h"],
];

/** Pages that the palette knows beside those of the navigation. @type {ReadonlyArray<[string, string]>} */
export const MORE_PAGES = [
  ["/alarms/health", "Alarm health"],
  ["/alarms/rules", "Alarm rules"],
  ["/maintenance", "Maintenance"],
  ["/jobs/new", "New job"],
  ["/audit", "Audit"],
  ["/wall", "Wallboard"],
];

/** @type {Partial<Record<RouteName, (app: Operator, id: string) => unknown>>} */
export const DRAWN = {
  overview: (app) => html`<lh-overview .app=${app}></lh-overview>`,
  lockers: (app) => html`<lh-lockers .app=${app}></lh-lockers>`,
  locker: (app, id) => html`<lh-locker .app=${app} .lockerId=${id}></lh-locker>`,
  label: (app, id) => html`<lh-label .app=${app} .lockerId=${id}></lh-label>`,
  alarms: (app) => html`<lh-alarms .app=${app}></lh-alarms>`,
  alarm: (app, id) => html`<lh-alarm .app=${app} .alarmId=${id}></lh-alarm>`,
  "alarm-health": (app) => html`<lh-alarm-health .app=${app}></lh-alarm-health>`,
  "alarm-rules": (app) => html`<lh-alarm-rules .app=${app}></lh-alarm-rules>`,
  maintenance: (app) => html`<lh-maintenance .app=${app}></lh-maintenance>`,
  commands: (app) => html`<lh-commands .app=${app}></lh-commands>`,
  command: (app, id) => html`<lh-command-page .app=${app} .commandId=${id}></lh-command-page>`,
  jobs: (app) => html`<lh-jobs .app=${app}></lh-jobs>`,
  "job-new": (app) => html`<lh-job-new .app=${app}></lh-job-new>`,
  job: (app, id) => html`<lh-job .app=${app} .jobId=${id}></lh-job>`,
  events: (app) => html`<lh-events .app=${app}></lh-events>`,
  audit: (app) => html`<lh-audit .app=${app}></lh-audit>`,
  statistics: (app) => html`<lh-statistics .app=${app}></lh-statistics>`,
  health: (app) => html`<lh-health .app=${app}></lh-health>`,
  wall: (app) => html`<lh-wall .app=${app}></lh-wall>`,
};

/** What the first view can do without is loaded when it is needed, or when nothing else is to be done. @type {Partial<Record<RouteName, () => Promise<unknown>>>} */
const PARTS = {
  locker: () => import("./locker.js"),
  label: () => import("./label.js"),
  alarms: () => import("./alarms/list.js"),
  alarm: () => import("./alarms/alarm.js"),
  "alarm-health": () => import("./alarms/health.js"),
  "alarm-rules": () => import("./alarms/rules.js"),
  maintenance: () => import("./alarms/maintenance.js"),
  commands: () => import("./commands/list.js"),
  command: () => import("./commands/command.js"),
  jobs: () => import("./jobs/list.js"),
  "job-new": () => import("./jobs/new.js"),
  job: () => import("./jobs/job.js"),
  events: () => import("./events.js"),
  audit: () => import("./audit.js"),
  statistics: () => import("./statistics.js"),
  health: () => import("./health.js"),
  wall: () => import("./wall.js"),
};

/** @type {Map<RouteName, "loading" | "ready" | "failed">} */
const parts = new Map();

/**
 * Have a page's code there.
 * @param {RouteName} name @param {() => void} changed called when it is there, or when it will not come
 * @returns {"loading" | "ready" | "failed"} what has failed is asked for again when the document is loaded anew
 */
export function part(name, changed) {
  const load = PARTS[name];
  if (!load) return "ready";
  const known = parts.get(name);
  if (known) return known;
  parts.set(name, "loading");
  load().then(
    () => parts.set(name, "ready"),
    () => parts.set(name, "failed"),
  ).finally(changed);
  return "loading";
}

/** Load the rest, one after the other, so that the next page is there at once. A part that does not come is asked for when it is needed. */
export async function loadParts() {
  for (const [name, load] of Object.entries(PARTS)) {
    if (parts.has(/** @type {RouteName} */ (name))) continue;
    try {
      await load();
      parts.set(/** @type {RouteName} */ (name), "ready");
    } catch {
      return;
    }
  }
}

/** @type {Record<RouteName, string>} */
export const TITLES = {
  overview: "Fleet",
  lockers: "Lockers",
  locker: "Locker",
  label: "Label",
  alarms: "Alarms",
  alarm: "Alarm",
  "alarm-health": "Alarm health",
  "alarm-rules": "Alarm rules",
  maintenance: "Maintenance",
  commands: "Commands",
  command: "Command",
  jobs: "Jobs",
  "job-new": "New job",
  job: "Job",
  events: "Events",
  audit: "Audit",
  statistics: "Statistics",
  health: "Health",
  wall: "Wallboard",
  missing: "No such page",
};
