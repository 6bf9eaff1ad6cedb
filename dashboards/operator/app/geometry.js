/**
 * Where things are drawn: doors in their cabinet, ticks in a strip, stages on a time axis. Pure.
 *
 * @import {Door, DoorCounts} from "./types.js"
 */

/** Columns of a cabinet whose layout nobody entered. */
const COLUMNS_WITHOUT_LAYOUT = 4;
/** Height of a row by the largest door in it, in units of an S door. @type {Record<string, number>} */
const ROW_UNITS = { XS: 0.8, S: 1, M: 1.3, L: 1.8, XL: 2.4 };
/** More doors than this are drawn as one bar in a strip. */
const STRIP_TICKS_MAX = 32;
/** Viewbox of a strip. */
export const STRIP = { width: 128, height: 12 };

/**
 * @typedef {{door: Door, row: number, column: number}} Place
 * @typedef {{places: Place[], rows: number[], columns: number, real: boolean}} Cabinet
 */

/**
 * Place each door as it is in the real cabinet. Where a place is missing or taken twice, all doors go in
 * reading order by their number, and `real` is false.
 * @param {readonly Door[]} doors
 * @returns {Cabinet} rows hold the height of each, in units of a small door.
 */
export function cabinet(doors) {
  const taken = new Set(doors.map((door) => `${door.row} ${door.column}`));
  const real =
    taken.size === doors.length && doors.every((door) => (door.row ?? 0) >= 1 && (door.column ?? 0) >= 1);
  const places = doors.map((door, index) => ({
    door,
    row: real ? Number(door.row) : Math.floor(index / COLUMNS_WITHOUT_LAYOUT) + 1,
    column: real ? Number(door.column) : (index % COLUMNS_WITHOUT_LAYOUT) + 1,
  }));
  places.sort((a, b) => a.row - b.row || a.column - b.column);
  const columns = Math.max(1, ...places.map((place) => place.column));
  const rows = Array.from({ length: Math.max(1, ...places.map((place) => place.row)) }, () => 0.8);
  for (const { door, row } of places) {
    rows[row - 1] = Math.max(rows[row - 1], ROW_UNITS[door.size ?? "S"] ?? 1);
  }
  return { places, rows, columns, real };
}

/**
 * The door that an arrow key leads to: the nearest in that direction, in line first.
 * @param {readonly Place[]} places @param {number} from number of the door now
 * @param {string} key
 * @returns {number | null} the number of the next door.
 */
export function neighbour(places, from, key) {
  const here = places.find((place) => place.door.number === from);
  if (!here) return places[0]?.door.number ?? null;
  if (key === "Home") return places[0].door.number;
  if (key === "End") return places[places.length - 1].door.number;
  const step = STEPS[key];
  if (!step) return null;
  let best = null;
  let least = Infinity;
  for (const place of places) {
    const along = (place.column - here.column) * step.x + (place.row - here.row) * step.y;
    const aside = Math.abs((place.column - here.column) * step.y) + Math.abs((place.row - here.row) * step.x);
    const far = along + aside * 1000;
    if (along > 0 && far < least) {
      least = far;
      best = place.door.number;
    }
  }
  return best;
}

/**
 * Paths that draw a locker's doors as a row of ticks: open ones first, then unknown, then closed.
 * @param {DoorCounts} counts
 * @returns {{open: string, unknown: string, closed: string}} one SVG path each, in the box STRIP.
 */
export function strip(counts) {
  const key = `${counts.total} ${counts.open} ${counts.unknown}`;
  let paths = strips.get(key);
  if (!paths) {
    if (strips.size > 2000) strips.clear();
    paths = drawStrip(counts);
    strips.set(key, paths);
  }
  return paths;
}

/**
 * A logarithmic axis for stages that lie between a tenth of a millisecond and seconds.
 * @param {number} longestMs what must fit
 * @returns {{at: (ms: number) => number, ticks: number[]}} `at` gives a place between 0 and 1.
 */
export function timeAxis(longestMs) {
  const end = Math.max(1000, longestMs * 1.15);
  const scale = Math.log10(1 + end);
  return {
    at: (ms) => Math.min(1, Math.max(0, Math.log10(1 + Math.max(0, ms)) / scale)),
    ticks: [1, 10, 100, 1000, 10_000].filter((ms) => ms <= end),
  };
}

/** @type {Record<string, {x: number, y: number}>} */
const STEPS = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/** @type {Map<string, {open: string, unknown: string, closed: string}>} */
const strips = new Map();

/** @param {DoorCounts} counts */
function drawStrip({ total, open, unknown }) {
  const paths = { open: "", unknown: "", closed: "" };
  const whole = total > STRIP_TICKS_MAX;
  const parts = whole ? Math.max(1, total) : Math.max(1, total);
  const pitch = whole ? STRIP.width / parts : Math.min(8, STRIP.width / parts);
  const gap = whole ? 0 : Math.min(2, pitch / 3);
  /** @param {number} from @param {number} n @param {number} top */
  const bars = (from, n, top) => {
    if (n <= 0) return "";
    if (whole) return bar(from * pitch, top, n * pitch, STRIP.height - top);
    return Array.from({ length: n }, (_, i) => bar((from + i) * pitch, top, pitch - gap, STRIP.height - top)).join("");
  };
  paths.open = bars(0, open, 0);
  paths.unknown = bars(open, unknown, 4);
  paths.closed = bars(open + unknown, total - open - unknown, 4);
  return paths;
}

/** @param {number} x @param {number} y @param {number} w @param {number} h */
function bar(x, y, w, h) {
  return `M${round(x)} ${y}h${round(w)}v${h}h${round(-w)}z`;
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 100) / 100;
}
