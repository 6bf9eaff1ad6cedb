/** What the statistics page asks for, and how its answer becomes bars. Pure.
 *
 * @typedef {{openings: number, closings: number, left_open: number, left_open_share: number | null, forced: number, put_in: number, collected: number}} Counts
 * @typedef {{timed: number, mean_s: number | null, p50_s: number | null, p90_s: number | null, histogram: {within_s: number, items: number}[]}} Collect
 * @typedef {{since: string, until: string, zone: string, bucket: Bucket, hours_due: number, total: Counts, collect: Collect,
 *   buckets: (Counts & {at: string})[], hours_of_day: (Counts & {hour: number})[],
 *   sizes: (Counts & {size: string, doors: number, doors_known: number, occupied_share: number | null})[]}} Statistics
 * @typedef {"hour" | "day" | "week" | "month"} Bucket
 * @typedef {{site: string, locker: string, range: string, since: string, until: string, bucket: Bucket, zone: string}} Question
 */

/** @type {Readonly<Record<string, {label: string, days: number}>>} */
export const SPANS = {
  "7d": { label: "7 days", days: 7 },
  "31d": { label: "31 days", days: 31 },
  "90d": { label: "90 days", days: 90 },
  "1y": { label: "1 year", days: 365 },
};

/** @type {readonly Bucket[]} */
export const BUCKETS = ["hour", "day", "week", "month"];

const HOUR_MS = 3_600_000;
/** @type {Record<Bucket, number>} */
export const BUCKET_S = { hour: 3600, day: 86_400, week: 604_800, month: 2_629_800 };

/**
 * What an address asks for; what it does not name has its usual value.
 * @param {URLSearchParams} query @param {string} zone where the operator is
 * @returns {{question: Question, problem: string}} `problem` says what makes no sense
 */
export function questionFrom(query, zone) {
  const bucket = query.get("bucket") ?? "day";
  const question = {
    site: query.get("site") ?? "",
    locker: query.get("locker") ?? "",
    range: query.get("range") ?? "31d",
    since: query.get("since") ?? "",
    until: query.get("until") ?? "",
    bucket: /** @type {Bucket} */ (bucket),
    zone: query.get("zone") ?? zone,
  };
  let problem = "";
  if (!BUCKETS.includes(question.bucket)) problem = `“${bucket}” is no width of a bar: there are hour, day, week and month.`;
  else if (!(question.range in SPANS) && question.range !== "custom") problem = `There is no span “${question.range}”.`;
  else if (question.range === "custom") problem = spanProblem(question);
  return { question, problem };
}

/** The query of an address that asks for this; usual values are left out. @param {Question} question @param {string} zone */
export function addressQuery(question, zone) {
  const usual = { range: "31d", bucket: "day", zone, site: "", locker: "", since: "", until: "" };
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(question)) {
    const isSpan = name === "since" || name === "until";
    if (value && value !== usual[/** @type {keyof Question} */ (name)] && !(isSpan && question.range !== "custom")) query.set(name, value);
  }
  return query.toString();
}

/** What the hub is asked. @param {Question} question @param {number} nowMs @returns {URLSearchParams} */
export function hubQuery(question, nowMs) {
  const { since, until } = spanOf(question, nowMs);
  const query = new URLSearchParams({ since, until, bucket: question.bucket, zone: question.zone });
  if (question.site) query.set("site", question.site);
  if (question.locker) query.set("locker", question.locker);
  return query;
}

/** Whole hours, the present one included. @param {Question} question @param {number} nowMs */
function spanOf(question, nowMs) {
  if (question.range === "custom") return { since: new Date(question.since).toISOString(), until: new Date(question.until).toISOString() };
  const until = Math.ceil((nowMs + 1) / HOUR_MS) * HOUR_MS;
  const since = until - SPANS[question.range].days * 24 * HOUR_MS;
  return { since: new Date(since).toISOString(), until: new Date(until).toISOString() };
}

/** @param {Question} question */
function spanProblem({ since, until }) {
  const [from, to] = [Date.parse(since), Date.parse(until)];
  if (Number.isNaN(from) || Number.isNaN(to)) return "From and to have to be times.";
  return to > from ? "" : "Its end is not after its beginning.";
}

/**
 * Where a length of time lies among the steps of the histogram, in steps from the first one's middle.
 * @param {Collect["histogram"]} histogram @param {number} seconds
 */
export function placeOf(histogram, seconds) {
  let before = 0;
  for (let index = 0; index < histogram.length; index += 1) {
    const { within_s: within } = histogram[index];
    if (seconds <= within) return index - 0.5 + (seconds - before) / (within - before);
    before = within;
  }
  return histogram.length - 0.5;
}

/**
 * What the bars that begin at these times are called in a zone. Where the clocks show an hour twice, each says which.
 * @param {readonly string[]} times @param {string} zone @param {Intl.DateTimeFormatOptions} options @param {string} [locale]
 */
export function barLabels(times, zone, options, locale) {
  const plain = new Intl.DateTimeFormat(locale, { timeZone: zone, ...options });
  const exact = new Intl.DateTimeFormat(locale, { timeZone: zone, ...options, timeZoneName: "short" });
  const labels = times.map((one) => plain.format(new Date(one)));
  return labels.map((one, index) => (one === labels[index - 1] || one === labels[index + 1] ? exact.format(new Date(times[index])) : one));
}

/** A length of time as short as it is exact enough: "10 min", "4 h", "2.5 d". @param {number} seconds */
export function lengthWords(seconds) {
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 2 * 86_400 && seconds !== 86_400) return `${trimmed(seconds / 3600)} h`;
  return `${trimmed(seconds / 86_400)} d`;
}

/** A share as a percentage; "–" where there is none. @param {number | null} value */
export function shareWords(value) {
  if (value === null) return "–";
  const percent = value * 100;
  return `${percent !== 0 && percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
}

/** @param {number} value */
function trimmed(value) {
  return value < 10 ? String(Number(value.toFixed(1))) : String(Math.round(value));
}
