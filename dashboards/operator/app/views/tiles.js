/** Counts of the fleet, each a link to what it counts, each with the time at which it was true. */

import { html, nothing } from "../../vendor/lit.js";
import { clock, number } from "../format.js";
import { tally } from "../heat.js";
import { Live } from "../live.js";
import { isUnseen } from "./announcer.js";
import { lockerMark, openMark, severityMark } from "./marks.js";

/**
 * @import {Operator} from "../main.js"
 * @typedef {{lockers: Record<string, number>, doors: Record<string, number>, alarms: Record<string, number>}} Counts
 * @typedef {{name: string, label: string, href: string, mark: () => unknown, count: (counts: Counts) => number, quiet?: boolean}} Tile
 */

/** @type {readonly Tile[]} */
export const TILES = [
  { name: "online", label: "Online", href: "/lockers?state=online", mark: () => lockerMark("online"), count: (all) => all.lockers.online, quiet: true },
  { name: "offline", label: "Offline", href: "/lockers?state=offline", mark: () => lockerMark("offline"), count: (all) => all.lockers.offline },
  { name: "open", label: "Doors open", href: "/lockers?state=open", mark: openMark, count: (all) => all.doors.open },
  { name: "out", label: "Out of service", href: "/lockers?service=out", mark: () => nothing, count: (all) => all.doors.out_of_service, quiet: true },
  { name: "maintenance", label: "Maintenance", href: "/lockers?maintenance=yes", mark: () => nothing, count: (all) => all.lockers.maintenance, quiet: true },
  { name: "never_seen", label: "Never seen", href: "/lockers?state=never_seen", mark: () => lockerMark("never_seen"), count: (all) => all.lockers.never_seen, quiet: true },
  { name: "unacked", label: "Unacknowledged", href: "/alarms?state=active_unacked,cleared_unacked", mark: () => nothing, count: (all) => all.alarms.unacked },
  { name: "critical", label: "Critical", href: "/alarms?severity=critical", mark: () => severityMark("critical"), count: (all) => all.alarms.critical },
  { name: "high", label: "High", href: "/alarms?severity=high", mark: () => severityMark("high"), count: (all) => all.alarms.high },
  { name: "medium", label: "Medium", href: "/alarms?severity=medium", mark: () => severityMark("medium"), count: (all) => all.alarms.medium },
  { name: "low", label: "Low", href: "/alarms?severity=low", mark: () => severityMark("low"), count: (all) => all.alarms.low, quiet: true },
];

/** The counts that are shown, or null before the first. @param {Operator} app @returns {Counts | null} */
export function countsShown(app) {
  if (!app.at) return app.store.value("summary");
  const { phase, lockers } = app.past.fleet;
  if (phase !== "ready") return null;
  const sum = tally(lockers.values());
  const { alarms } = app.past.alarms;
  return { ...sum, alarms: { ...sum.alarms, unacked: alarms.filter(isUnseen).length } };
}

/**
 * When what is shown was true: then, when the page was paused, or when the hub was heard last. A quiet fleet sends
 * nothing, and is as fresh as the hub's last word.
 * @param {Operator} app @returns {{atMs: number, fresh: boolean}}
 */
export function asOf(app) {
  if (app.at) return { atMs: app.at.getTime(), fresh: true };
  if (app.pausedAtMs) return { atMs: app.pausedAtMs, fresh: false };
  const silentMs = app.live.heardAt ? Live.clock() - app.live.heardAt : 0;
  return { atMs: app.now() - silentMs, fresh: app.live.phase === "live" };
}

/** @param {Operator} app */
export function tiles(app) {
  const counts = countsShown(app);
  const { atMs, fresh } = asOf(app);
  const when = counts ? `as of ${clock(atMs)}` : "";
  return html`<nav class="kpis" aria-label="Counts" data-fresh=${fresh ? "yes" : "no"}>
    ${TILES.map(({ name, label, href, mark, count, quiet }) => {
      const n = counts ? (count(counts) ?? 0) : 0;
      return html`<a class="kpi kpi-${name}" href=${href} data-abnormal=${!quiet && n > 0 ? "yes" : "no"}>
        <span class="kpi-label">${mark()}${label}</span>
        <span class="kpi-count">${counts ? number(n) : "–"}</span>
        <span class="kpi-when">${when}${counts && !fresh ? html` <strong>not now</strong>` : ""}</span>
      </a>`;
    })}
  </nav>`;
}
