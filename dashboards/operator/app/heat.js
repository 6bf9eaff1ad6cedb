/**
 * The heat grid without a canvas: where each locker's cell lies, and what it looks like. Pure.
 *
 * @import {Locker, Severity} from "./types.js"
 */

import { SEVERITIES, worst } from "./select.js";

/**
 * @typedef {"critical" | "high" | "medium" | "low" | "offline" | "silent" | "open" | "maintenance" | "never_seen" | "normal"} Look
 * @typedef {{site: string, x: number, y: number, width: number, total: number}} Block a site's cells, below its name
 * @typedef {{id: string, site: string, x: number, y: number}} Cell
 * @typedef {{pitch: number, scale: number, width: number, height: number, blocks: Block[], cells: Cell[], index: Map<string, number>}} Layout
 * @typedef {{site: string, total: number, offline: number, open: number, maintenance: number, alarms: Record<Severity, number>}} SiteRow
 */

/** What each look means, worst first, as the legend says it. @type {Readonly<Record<Look, string>>} */
export const LOOKS = Object.freeze({
  critical: "Critical alarm",
  high: "High alarm",
  offline: "Offline",
  medium: "Medium alarm",
  silent: "Lock board silent",
  open: "Door open",
  low: "Low alarm",
  maintenance: "Maintenance",
  never_seen: "Never seen",
  normal: "Normal",
});

/** Cells are large while they are few. @type {ReadonlyArray<[number, number]>} */
const PITCHES = [
  [40, 30],
  [300, 22],
  [1200, 17],
  [Infinity, 13],
];
const NAME_HEIGHT = 20;
const NAME_HEIGHT_MIN = 15;
const BLOCK_GAP = 14;
const BLOCK_WIDTH_MIN = 104;
/** A site's cells are this many rows high, if its name leaves room for so many columns. */
const BLOCK_ROWS = 5;

/** A grid that has to fit shrinks by this, and not below that. */
const FIT_STEP = 0.9;
const FIT_SCALE_MIN = 0.5;

/** The worst that is the matter with a locker. @param {Locker} locker @returns {Look} */
export function lookOf(locker) {
  const grade = worst(locker);
  if (grade === "critical" || grade === "high") return grade;
  if (locker.maintenance) return "maintenance";
  if (locker.state === "offline") return "offline";
  if (grade === "medium") return grade;
  if (locker.state === "online" && locker.boards.online < locker.boards.total) return "silent";
  if (locker.door_counts.open > 0) return "open";
  if (grade) return grade;
  return locker.state === "never_seen" ? "never_seen" : "normal";
}

/** Whether somebody should look at it. @param {Look} look */
export function isAbnormal(look) {
  return look !== "normal" && look !== "never_seen" && look !== "maintenance";
}

/**
 * Lay lockers out by site and id. A locker keeps its place as long as no locker comes or goes.
 * @param {Iterable<Locker>} lockers @param {number} width in pixels @param {number} [scale] for a screen that is far away
 * @returns {Layout}
 */
export function layoutOf(lockers, width, scale = 1) {
  const bySite = groupBySite(lockers);
  let count = 0;
  for (const ids of bySite.values()) count += ids.length;
  const pitch = Math.round((PITCHES.find(([most]) => count <= most)?.[1] ?? 13) * scale);
  const nameHeight = Math.max(NAME_HEIGHT_MIN, Math.round(NAME_HEIGHT * scale));
  /** @type {Layout} */
  const layout = { pitch, scale, width, height: 0, blocks: [], cells: [], index: new Map() };
  const widest = Math.max(1, Math.floor(width / pitch));
  let x = 0;
  let y = 0;
  let shelf = 0;
  for (const site of [...bySite.keys()].sort(compare)) {
    const ids = /** @type {string[]} */ (bySite.get(site)).sort(compare);
    const columns = Math.min(widest, Math.max(Math.ceil(ids.length / BLOCK_ROWS), Math.ceil((BLOCK_WIDTH_MIN * scale) / pitch)));
    const blockWidth = Math.min(width, columns * pitch);
    if (x > 0 && x + blockWidth > width) {
      x = 0;
      y += shelf + BLOCK_GAP;
      shelf = 0;
    }
    layout.blocks.push({ site, x, y, width: blockWidth, total: ids.length });
    ids.forEach((id, n) => {
      layout.index.set(id, layout.cells.length);
      layout.cells.push({ id, site, x: x + (n % columns) * pitch, y: y + nameHeight + Math.floor(n / columns) * pitch });
    });
    shelf = Math.max(shelf, nameHeight + Math.ceil(ids.length / columns) * pitch);
    x += blockWidth + BLOCK_GAP;
  }
  layout.height = y + shelf;
  return layout;
}

/**
 * The same on a screen that nobody scrolls: as small as it has to be to fit, but never so small that shapes blur.
 * @param {readonly Locker[]} lockers @param {number} width @param {number} scale @param {number} height @returns {Layout}
 */
export function fittingLayout(lockers, width, scale, height) {
  let layout = layoutOf(lockers, width, scale);
  for (let smaller = scale * FIT_STEP; layout.height > height && smaller >= FIT_SCALE_MIN; smaller *= FIT_STEP) {
    layout = layoutOf(lockers, width, smaller);
  }
  return layout;
}

/** The cell at a point; -1 where there is none. @param {Layout} layout @param {number} x @param {number} y */
export function cellAt(layout, x, y) {
  const { pitch } = layout;
  return layout.cells.findIndex((cell) => x >= cell.x && x < cell.x + pitch && y >= cell.y && y < cell.y + pitch);
}

/** Where an arrow key leads; the same cell when there is nothing. @param {Layout} layout @param {number} from @param {string} key */
export function cellBeside(layout, from, key) {
  const { cells, pitch } = layout;
  if (key === "ArrowLeft") return Math.max(0, from - 1);
  if (key === "ArrowRight") return Math.min(cells.length - 1, from + 1);
  if (key === "Home") return 0;
  if (key === "End") return cells.length - 1;
  const down = key === "ArrowDown";
  if ((!down && key !== "ArrowUp") || !cells[from]) return from;
  const { x, y } = cells[from];
  let best = from;
  let least = Infinity;
  cells.forEach((cell, n) => {
    const ahead = down ? cell.y - y : y - cell.y;
    if (ahead <= 0) return;
    const distance = ahead * 4 + Math.abs(cell.x - x) + (Math.abs(cell.x - x) < pitch ? 0 : pitch);
    if (distance < least) {
      least = distance;
      best = n;
    }
  });
  return best;
}

/** One row a site: what is there, and what is the matter. By name. @param {Iterable<Locker>} lockers @returns {SiteRow[]} */
export function siteRows(lockers) {
  /** @type {Map<string, SiteRow>} */
  const rows = new Map();
  for (const locker of lockers) {
    let row = rows.get(locker.site);
    if (!row) {
      row = { site: locker.site, total: 0, offline: 0, open: 0, maintenance: 0, alarms: { critical: 0, high: 0, medium: 0, low: 0 } };
      rows.set(locker.site, row);
    }
    row.total += 1;
    if (locker.state === "offline") row.offline += 1;
    if (locker.maintenance) row.maintenance += 1;
    row.open += locker.door_counts.open;
    for (const severity of SEVERITIES) row.alarms[severity] += locker.alarms?.[severity] ?? 0;
  }
  return [...rows.values()].sort((a, b) => compare(a.site, b.site));
}

/**
 * What the hub's summary says, counted here: for a moment of the past.
 * @param {Iterable<Locker>} lockers @returns {{lockers: Record<string, number>, doors: Record<string, number>, alarms: Record<Severity, number>}}
 */
export function tally(lockers) {
  const sum = {
    lockers: { online: 0, offline: 0, never_seen: 0, maintenance: 0 },
    doors: { open: 0, closed: 0, unknown: 0, out_of_service: 0 },
    alarms: { critical: 0, high: 0, medium: 0, low: 0 },
  };
  for (const locker of lockers) {
    sum.lockers[locker.state] += 1;
    if (locker.maintenance) sum.lockers.maintenance += 1;
    sum.doors.open += locker.door_counts.open;
    sum.doors.closed += locker.door_counts.closed;
    sum.doors.unknown += locker.door_counts.unknown;
    sum.doors.out_of_service += locker.door_counts.out_of_service;
    for (const severity of SEVERITIES) sum.alarms[severity] += locker.alarms?.[severity] ?? 0;
  }
  return sum;
}

/** Abnormal lockers, what changed last first. @param {Iterable<Locker>} lockers @returns {{locker: Locker, look: Look}[]} */
export function abnormal(lockers) {
  const found = [];
  for (const locker of lockers) {
    const look = lookOf(locker);
    if (isAbnormal(look)) found.push({ locker, look });
  }
  return found.sort((a, b) => compare(b.locker.state_changed_at ?? "", a.locker.state_changed_at ?? "") || compare(a.locker.id, b.locker.id));
}

/** @param {Iterable<Locker>} lockers */
function groupBySite(lockers) {
  /** @type {Map<string, string[]>} */
  const bySite = new Map();
  for (const { site, id } of lockers) {
    const ids = bySite.get(site);
    if (ids) ids.push(id);
    else bySite.set(site, [id]);
  }
  return bySite;
}

/** @param {string} a @param {string} b */
function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
