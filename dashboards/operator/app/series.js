/**
 * Telemetry for plots and sparklines: what is measured, what is normal, where a line breaks. Pure.
 *
 * @typedef {{low: number | null, high: number | null}} Band what is normal; null: no limit on that side
 * @typedef {{name: string, label: string, unit: string, digits: number, band: Band}} Measure
 * @typedef {{min: (number | null)[] | null, avg: (number | null)[] | null, max: (number | null)[] | null}} Values
 * @typedef {{since: string, until: string, resolution: string, width_s: number, at: string[], samples: number[], series: Record<string, Values>}} Plot
 *   the answer of `GET /api/v1/lockers/{id}/telemetry/plot`
 * @typedef {{x: number[], min: (number | null)[], avg: (number | null)[], max: (number | null)[]}} Columns
 *   `x` in seconds; a line breaks where its value is null
 */

const NONE = { low: null, high: null };

/** What lockers measure, in the order in which it is shown. @type {readonly Measure[]} */
export const MEASURES = [
  { name: "temperature_c", label: "Temperature", unit: "°C", digits: 1, band: { low: -10, high: 50 } },
  { name: "humidity_pct", label: "Humidity", unit: "%", digits: 0, band: { low: 10, high: 85 } },
  { name: "supply_v", label: "Supply", unit: "V", digits: 2, band: NONE },
  { name: "battery_pct", label: "Battery", unit: "%", digits: 0, band: { low: 20, high: null } },
  { name: "rssi_dbm", label: "Radio signal", unit: "dBm", digits: 0, band: { low: -80, high: null } },
  { name: "cpu_temp_c", label: "Processor temperature", unit: "°C", digits: 0, band: { low: null, high: 80 } },
  { name: "cpu_pct", label: "Processor load", unit: "%", digits: 0, band: { low: null, high: 90 } },
  { name: "memory_pct", label: "Memory in use", unit: "%", digits: 0, band: { low: null, high: 90 } },
  { name: "disk_free_mb", label: "Disk free", unit: "MB", digits: 0, band: { low: 200, high: null } },
  { name: "outbox_events", label: "Events not yet sent", unit: "", digits: 0, band: { low: null, high: 100 } },
  { name: "board_errors", label: "Board errors", unit: "", digits: 0, band: NONE },
];

/** @type {Readonly<Record<string, {label: string, seconds: number}>>} */
export const RANGES = {
  "1h": { label: "1 hour", seconds: 3600 },
  "24h": { label: "24 hours", seconds: 86_400 },
  "7d": { label: "7 days", seconds: 604_800 },
  "30d": { label: "30 days", seconds: 2_592_000 },
  "1y": { label: "1 year", seconds: 31_536_000 },
};

/** A raw series breaks where nothing came for this many of its usual distances. */
const GAP_DISTANCES = 3;
/** Samples come once a minute, or more often: what is closer than this is no gap. */
const GAP_LEAST_S = 150;

/**
 * What is normal by the hub's own rules, where it has one, and else by common sense.
 * @param {Measure} measure
 * @param {readonly {enabled?: boolean, condition: {kind: string, of?: string, above?: number | null, below?: number | null}}[]} rules
 * @returns {Band}
 */
export function bandOf(measure, rules) {
  const band = { ...measure.band };
  for (const { enabled, condition } of rules) {
    if (enabled === false || condition.kind !== "level" || condition.of !== measure.name) continue;
    if (typeof condition.above === "number") band.high = condition.above;
    if (typeof condition.below === "number") band.low = condition.below;
  }
  return band;
}

/** @param {number | null | undefined} value @param {Band} band */
export function isNormal(value, band) {
  if (value === null || value === undefined) return true;
  return (band.low === null || value >= band.low) && (band.high === null || value <= band.high);
}

/** What is normal, in words; "" without a limit. @param {Band} band @param {Measure} measure */
export function bandWords(band, measure) {
  const unit = measure.unit ? ` ${measure.unit}` : "";
  if (band.low !== null && band.high !== null) return `normal ${band.low} to ${band.high}${unit}`;
  if (band.low !== null) return `normal from ${band.low}${unit}`;
  return band.high === null ? "" : `normal up to ${band.high}${unit}`;
}

/** @param {number | null | undefined} value @param {Measure} measure */
export function valueWords(value, measure) {
  if (value === null || value === undefined) return "–";
  return `${value.toFixed(measure.digits)}${measure.unit ? ` ${measure.unit}` : ""}`;
}

/**
 * One measure's columns, with a break wherever nothing was measured.
 * @param {Plot} plot @param {string} name
 * @returns {Columns} empty where the hub has nothing of it
 */
export function columns(plot, name) {
  const values = plot.series[name];
  const gapS = longestStep(plot);
  /** @type {Columns} */
  const made = { x: [], min: [], avg: [], max: [] };
  if (!values) return made;
  const middle = values.avg ?? values.max ?? values.min ?? [];
  plot.at.forEach((at, index) => {
    const x = Date.parse(at) / 1000;
    const before = made.x[made.x.length - 1];
    if (before !== undefined && x - before > gapS) push(made, before + (plot.width_s || 1), null, null, null);
    const avg = middle[index] ?? null;
    push(made, x, values.min?.[index] ?? avg, avg, values.max?.[index] ?? avg);
  });
  return made;
}

/** The newest value that was measured. @param {Columns} made */
export function newest(made) {
  for (let index = made.x.length - 1; index >= 0; index -= 1) {
    if (made.avg[index] !== null) return { at: made.x[index], value: made.avg[index] };
  }
  return null;
}

/** Whether anything was measured. @param {Columns} made */
export function hasAny(made) {
  return made.avg.some((value) => value !== null);
}

/**
 * The same in so many rows at the most, for a table: neighbours become one row, of their least, mean and greatest.
 * @param {Columns} made @param {number} rowsMax
 * @returns {{at: number, min: number, avg: number, max: number}[]}
 */
export function rowsOf(made, rowsMax) {
  const known = made.x.map((_, index) => index).filter((index) => made.avg[index] !== null);
  const each = Math.max(1, Math.ceil(known.length / rowsMax));
  const rows = [];
  for (let from = 0; from < known.length; from += each) {
    const part = known.slice(from, from + each);
    rows.push({
      at: made.x[part[0]],
      min: Math.min(...part.map((index) => Number(made.min[index]))),
      avg: part.reduce((sum, index) => sum + Number(made.avg[index]), 0) / part.length,
      max: Math.max(...part.map((index) => Number(made.max[index]))),
    });
  }
  return rows;
}

/**
 * A small line without axes, and the band of what is normal behind it.
 * @param {Columns} made @param {Band} band @param {{width: number, height: number}} box
 * @param {{from: number, to: number}} span in seconds
 * @returns {{line: string, band: {y: number, height: number} | null, last: {x: number, y: number} | null}}
 */
export function sparkline(made, band, box, span) {
  const values = /** @type {number[]} */ ([...made.min, ...made.max].filter((value) => value !== null));
  if (values.length === 0) return { line: "", band: null, last: null };
  const least = Math.min(...values);
  const most = Math.max(...values);
  const room = Math.max((most - least) * 0.15, Math.abs(most) * 0.02, 0.5);
  const low = least - room;
  const high = most + room;
  const x = (/** @type {number} */ at) => round(((at - span.from) / (span.to - span.from)) * box.width);
  const y = (/** @type {number} */ value) => round(box.height - ((value - low) / (high - low)) * box.height);
  let line = "";
  let pen = "M";
  let last = null;
  made.avg.forEach((value, index) => {
    if (value === null) {
      pen = "M";
      return;
    }
    last = { x: x(made.x[index]), y: y(value) };
    line += `${pen}${last.x} ${last.y}`;
    pen = "L";
  });
  const top = band.high === null ? 0 : Math.min(box.height, Math.max(0, y(band.high)));
  const bottom = band.low === null ? box.height : Math.min(box.height, Math.max(0, y(band.low)));
  const limited = band.low !== null || band.high !== null;
  return { line, band: limited && bottom > top ? { y: top, height: round(bottom - top) } : null, last };
}

/** @param {Plot} plot */
function longestStep(plot) {
  if (plot.width_s > 0) return plot.width_s * 1.5;
  const steps = plot.at.slice(1).map((at, index) => (Date.parse(at) - Date.parse(plot.at[index])) / 1000);
  steps.sort((a, b) => a - b);
  return Math.max(GAP_LEAST_S, (steps[Math.floor(steps.length / 2)] ?? 0) * GAP_DISTANCES);
}

/** @param {Columns} made @param {number} x @param {number | null} min @param {number | null} avg @param {number | null} max */
function push(made, x, min, avg, max) {
  made.x.push(x);
  made.min.push(min);
  made.avg.push(avg);
  made.max.push(max);
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 100) / 100;
}
