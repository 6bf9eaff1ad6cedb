/** The moment that an address asks for: `?at=` in RFC 3339. Pure; the time now is an argument. */

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/i;
/** Clocks differ: what is less ahead than this is not called the future. */
const AHEAD_MS = 5_000;

/** Spans of the slider. */
export const SPANS = { "24 h": 24 * 3_600_000, "7 d": 7 * 24 * 3_600_000 };

/**
 * @param {string} text as the address has it; "" is now
 * @param {number} nowMs
 * @returns {{at: Date | null, problem: string}} `problem` is a sentence when the text is no moment of the past.
 */
export function momentOf(text, nowMs) {
  if (!text) return { at: null, problem: "" };
  // A plus sign that nobody escaped arrives as a space.
  const at = new Date(text.replace(" ", "+"));
  if (!RFC3339.test(text.replace(" ", "+")) || Number.isNaN(at.getTime())) {
    return { at: null, problem: `“${text}” is no time. A time looks like 2026-11-25T10:30:00Z.` };
  }
  if (at.getTime() > nowMs + AHEAD_MS) return { at: null, problem: `${text} lies in the future.` };
  return { at, problem: "" };
}

/** A moment for an address, to the second. @param {number} atMs @param {number} nowMs never later than this */
export function momentText(atMs, nowMs) {
  const second = Math.floor(Math.min(atMs, nowMs) / 1000) * 1000;
  return new Date(second).toISOString().replace(".000Z", "Z");
}

/**
 * The ends of the slider: the last `spanMs`, or that much around a moment which is older.
 * @param {number} atMs @param {number} nowMs @param {number} spanMs @returns {{from: number, to: number}}
 */
export function sliderEnds(atMs, nowMs, spanMs) {
  const to = atMs >= nowMs - spanMs ? nowMs : Math.min(nowMs, atMs + spanMs / 2);
  return { from: to - spanMs, to };
}

/** What a date-time field shows: local time without an offset. @param {Date} at */
export function localText(at) {
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19);
}

/** Clocks are put back by two hours at most, and never twice within these. */
const PUT_BACK_MS = 3 * 3_600_000;

/**
 * The moment that a date-time field names, in ms; NaN where it names none. In the hour that the clocks show twice it is
 * the first one, unless that lies before `notBeforeMs`: what somebody plans now is not of an hour ago.
 * @param {string} text @param {number} notBeforeMs
 */
export function momentOfField(text, notBeforeMs) {
  const first = Date.parse(text);
  if (!(first < notBeforeMs)) return first;
  const offset = (/** @type {number} */ at) => new Date(at).getTimezoneOffset() * 60_000;
  const second = first + offset(first + PUT_BACK_MS) - offset(first);
  return second > first && localText(new Date(second)) === localText(new Date(first)) ? second : first;
}
