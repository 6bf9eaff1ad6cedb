/** Which element draws which page, what it is called, and what the navigation offers. */

import { html } from "../../vendor/lit.js";
import "./alarms/alarm.js";
import "./alarms/health.js";
import "./alarms/list.js";
import "./alarms/maintenance.js";
import "./alarms/rules.js";
import "./audit.js";
import "./commands/command.js";
import "./commands/list.js";
import "./events.js";
import "./health.js";
import "./jobs/job.js";
import "./jobs/list.js";
import "./jobs/new.js";
import "./label.js";
import "./locker.js";
import "./lockers.js";
import "./overview.js";
import "./statistics.js";
import "./wall.js";

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
