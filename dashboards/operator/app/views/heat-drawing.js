/**
 * Cells of the heat grid on a canvas. Each look has its own shape beside its shade: it is read without colour.
 *
 * @import {Layout, Look} from "../heat.js"
 * @typedef {Record<string, string>} Inks
 */

const TOKENS = [
  ...["panel", "ink", "quiet", "line", "line-strong", "caution", "caution-fill", "caution-wash"],
  ...["serious", "serious-wash", "critical", "critical-ink", "high"],
];
const NAME_PX = 12;
const NAME_PX_MIN = 10;
const NAME_FONT = "px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif";
const NAME_BASELINE = 13;
const GAP = 2;
/** Cells below this size have half of the gap. */
const SMALL_PITCH = 10;

/** The style sheet's colours as they are now. @returns {Inks} */
export function inksNow() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(TOKENS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** @param {CanvasRenderingContext2D} on @param {Layout} layout @param {Inks} inks */
export function drawNames(on, layout, inks) {
  const size = Math.max(NAME_PX_MIN, NAME_PX * layout.scale);
  on.font = `${size}${NAME_FONT}`;
  const baseline = (NAME_BASELINE * size) / NAME_PX;
  for (const block of layout.blocks) {
    const count = ` ${block.total}`;
    const room = block.width - on.measureText(count).width;
    const name = cut(on, block.site || "No site", room);
    on.fillStyle = inks.ink;
    on.fillText(name, block.x, block.y + baseline);
    on.fillStyle = inks.quiet;
    on.fillText(count, block.x + on.measureText(name).width, block.y + baseline);
  }
}

/**
 * @param {CanvasRenderingContext2D} on @param {number} x @param {number} y @param {number} pitch
 * @param {Look} look @param {Inks} inks
 */
export function drawCell(on, x, y, pitch, look, inks) {
  on.clearRect(x, y, pitch, pitch);
  const size = pitch - (pitch < SMALL_PITCH ? GAP / 2 : GAP);
  DRAWN[look](on, x, y, size, inks);
}

/** @type {Record<Look, (on: CanvasRenderingContext2D, x: number, y: number, size: number, inks: Inks) => void>} */
const DRAWN = {
  normal: (on, x, y, size, inks) => fill(on, x, y, size, inks.line),
  never_seen: (on, x, y, size, inks) => {
    on.strokeStyle = inks.line;
    on.lineWidth = 1;
    on.strokeRect(x + 0.5, y + 0.5, size - 1, size - 1);
  },
  maintenance: (on, x, y, size, inks) => {
    fill(on, x, y, size, inks.line);
    lines(on, inks.quiet, 1.2, [
      [x, y + size * 0.5, x + size * 0.5, y],
      [x, y + size, x + size, y],
      [x + size * 0.5, y + size, x + size, y + size * 0.5],
    ]);
  },
  open: (on, x, y, size, inks) => {
    on.strokeStyle = inks.caution;
    on.lineWidth = 1.2;
    on.strokeRect(x + 0.6, y + 0.6, size - 1.2, size - 1.2);
    on.fillStyle = inks["caution-fill"];
    on.fillRect(x + size * 0.5, y + 1, size * 0.5 - 1, size - 2);
  },
  silent: (on, x, y, size, inks) => {
    fill(on, x, y, size, inks["caution-wash"]);
    shape(on, inks.caution, [
      [x + size * 0.5, y + size * 0.2],
      [x + size * 0.8, y + size * 0.2],
      [x + size * 0.8, y + size * 0.8],
      [x + size * 0.5, y + size * 0.8],
    ]);
    lines(on, inks.caution, 1, [[x + size * 0.22, y + size * 0.2, x + size * 0.22, y + size * 0.8]]);
  },
  low: (on, x, y, size, inks) => {
    fill(on, x, y, size, inks.line);
    on.strokeStyle = inks.ink;
    on.lineWidth = 1.1;
    path(on, triangle(x, y, size, 0.2));
    on.stroke();
  },
  medium: (on, x, y, size, inks) => {
    fill(on, x, y, size, inks["caution-wash"]);
    shape(on, inks.caution, triangle(x, y, size, 0.08));
  },
  offline: (on, x, y, size, inks) => {
    fill(on, x, y, size, inks["serious-wash"]);
    const near = size * 0.2;
    const far = size * 0.8;
    lines(on, inks.serious, Math.max(1.6, size * 0.15), [
      [x + near, y + near, x + far, y + far],
      [x + near, y + far, x + far, y + near],
    ]);
  },
  high: (on, x, y, size, inks) => {
    const half = size / 2;
    shape(on, inks.high, [
      [x + half, y],
      [x + size, y + half],
      [x + half, y + size],
      [x, y + half],
    ]);
  },
  critical: (on, x, y, size, inks) => {
    const near = size * 0.28;
    const far = size * 0.72;
    shape(on, inks.critical, [
      [x + near, y],
      [x + far, y],
      [x + size, y + near],
      [x + size, y + far],
      [x + far, y + size],
      [x + near, y + size],
      [x, y + far],
      [x, y + near],
    ]);
    on.fillStyle = inks["critical-ink"];
    const bar = Math.max(1.6, size * 0.16);
    on.fillRect(x + (size - bar) / 2, y + size * 0.18, bar, size * 0.38);
    on.fillRect(x + (size - bar) / 2, y + size * 0.68, bar, bar);
  },
};

/** @param {CanvasRenderingContext2D} on @param {number} x @param {number} y @param {number} size @param {string} colour */
function fill(on, x, y, size, colour) {
  on.fillStyle = colour;
  on.fillRect(x, y, size, size);
}

/** @param {CanvasRenderingContext2D} on @param {number[][]} points */
function path(on, points) {
  on.beginPath();
  points.forEach(([x, y], n) => (n === 0 ? on.moveTo(x, y) : on.lineTo(x, y)));
  on.closePath();
}

/** @param {CanvasRenderingContext2D} on @param {string} colour @param {number[][]} points */
function shape(on, colour, points) {
  on.fillStyle = colour;
  path(on, points);
  on.fill();
}

/** @param {CanvasRenderingContext2D} on @param {string} colour @param {number} width @param {number[][]} all */
function lines(on, colour, width, all) {
  on.strokeStyle = colour;
  on.lineWidth = width;
  on.beginPath();
  for (const [x1, y1, x2, y2] of all) {
    on.moveTo(x1, y1);
    on.lineTo(x2, y2);
  }
  on.stroke();
}

/** @param {number} x @param {number} y @param {number} size @param {number} inset */
function triangle(x, y, size, inset) {
  return [
    [x + size / 2, y + size * inset],
    [x + size * (1 - inset), y + size * (1 - inset)],
    [x + size * inset, y + size * (1 - inset)],
  ];
}

/** As much of a text as there is room for. @param {CanvasRenderingContext2D} on @param {string} text @param {number} room */
function cut(on, text, room) {
  if (on.measureText(text).width <= room) return text;
  let shown = text;
  while (shown.length > 1 && on.measureText(`${shown}…`).width > room) shown = shown.slice(0, -1);
  return `${shown}…`;
}
