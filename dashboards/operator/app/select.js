/**
 * Which lockers a filter leaves, in which order, and how many of each state there are. Pure.
 *
 * @import {AlarmFilter, Locker, Filter, Row, Severity, Sort, StateFilter} from "./types.js"
 */

import { natural } from "./natural.js";

/** @type {readonly StateFilter[]} */
export const STATES = ["all", "online", "offline", "open", "never_seen"];

/** @type {readonly Severity[]} */
export const SEVERITIES = ["critical", "high", "medium", "low"];

/** @type {readonly Sort[]} */
export const SORTS = ["attention", "alarms", "id", "name", "heard"];

/** @type {Readonly<Filter>} */
export const NO_FILTER = Object.freeze({
  q: "",
  state: "all",
  site: "",
  tag: "",
  alarms: "",
  maintenance: false,
  out: false,
  sort: "attention",
  grouped: false,
});

/**
 * Lockers by state filter, and the doors that are open in all of them.
 * @param {Iterable<Locker>} lockers
 * @returns {Record<StateFilter, number> & {openDoors: number}}
 */
export function count(lockers) {
  const counts = { all: 0, online: 0, offline: 0, open: 0, never_seen: 0, openDoors: 0 };
  for (const locker of lockers) {
    counts.all += 1;
    counts[locker.state] += 1;
    if (locker.door_counts.open > 0) counts.open += 1;
    counts.openDoors += locker.door_counts.open;
  }
  return counts;
}

/** Every site's name, once, sorted. @param {Iterable<Locker>} lockers */
export function sites(lockers) {
  const names = new Set();
  for (const locker of lockers) names.add(locker.site);
  return [...names].sort(natural);
}

/** Every tag, once, sorted. @param {Iterable<Locker>} lockers */
export function tags(lockers) {
  const names = new Set();
  for (const locker of lockers) for (const tag of locker.tags ?? []) names.add(tag);
  return [...names].sort(natural);
}

/** Whether anything is left out. @param {Filter} filter */
export function isNarrow(filter) {
  const { q, state, site, tag, alarms, maintenance, out } = filter;
  return Boolean(q || state !== "all" || site || tag || alarms || maintenance || out);
}

/** How many alarms of these severities a locker has. @param {Locker} locker @param {readonly Severity[]} [severities] */
export function alarmCount(locker, severities = SEVERITIES) {
  return severities.reduce((sum, severity) => sum + (locker.alarms?.[severity] ?? 0), 0);
}

/** The worst of a locker's alarms; "" without any. @param {Pick<Locker, "alarms">} locker @returns {Severity | ""} */
export function worst(locker) {
  return SEVERITIES.find((severity) => (locker.alarms?.[severity] ?? 0) > 0) ?? "";
}

/** @param {Locker} locker @param {Filter} filter */
export function matches(locker, filter) {
  if (filter.site && locker.site !== filter.site) return false;
  if (filter.tag && !locker.tags?.includes(filter.tag)) return false;
  if (filter.maintenance && !locker.maintenance) return false;
  if (filter.out && locker.door_counts.out_of_service === 0) return false;
  if (filter.alarms && alarmCount(locker, filter.alarms === "any" ? SEVERITIES : [filter.alarms]) === 0) return false;
  if (filter.state === "open") {
    if (locker.door_counts.open === 0) return false;
  } else if (filter.state !== "all" && locker.state !== filter.state) return false;
  return filter.q === "" || filter.q.toLowerCase().split(/\s+/).every((word) => haystack(locker).includes(word));
}

/**
 * The rows of the list: lockers in order, and with `grouped` one heading before each site's.
 * @param {Iterable<Locker>} lockers
 * @param {Filter} filter
 * @returns {Row[]}
 */
export function rows(lockers, filter) {
  const found = [];
  for (const locker of lockers) if (matches(locker, filter)) found.push(locker);
  const order = ORDERS[filter.sort];
  found.sort(filter.grouped ? (a, b) => natural(a.site, b.site) || order(a, b) : order);
  if (!filter.grouped) return found.map((locker) => ({ type: "locker", id: locker.id }));
  /** @type {Row[]} */
  const out = [];
  let heading = /** @type {Extract<Row, {type: "site"}> | null} */ (null);
  for (const locker of found) {
    if (heading?.site !== locker.site) {
      heading = { type: "site", site: locker.site, total: 0, abnormal: 0 };
      out.push(heading);
    }
    heading.total += 1;
    if (locker.state === "offline") heading.abnormal += 1;
    out.push({ type: "locker", id: locker.id });
  }
  return out;
}

/** Read a filter from an address; what makes no sense there is left out. @param {URLSearchParams} params @returns {Filter} */
export function filterFrom(params) {
  return {
    q: params.get("q") ?? "",
    state: STATES.find((name) => name === params.get("state")) ?? "all",
    site: params.get("site") ?? "",
    tag: params.get("tag") ?? "",
    alarms: ALARMS.find((name) => name === params.get("alarms")) ?? "",
    maintenance: params.get("maintenance") === "yes",
    out: params.get("service") === "out",
    sort: SORTS.find((name) => name === params.get("sort")) ?? "attention",
    grouped: params.get("group") === "site",
  };
}

/** What an address asks for that is no filter of this list, as sentences. @param {URLSearchParams} params */
export function filterProblems(params) {
  const problems = [];
  for (const [name, value] of params) {
    if (FREE.includes(name)) continue;
    const known = WORDS[name];
    if (!known) problems.push(`There is no filter “${name}”.`);
    else if (!known.includes(value)) problems.push(`“${value}” is no ${name}; it can be ${known.join(", ")}.`);
  }
  return problems;
}

/** Write a filter as an address, defaults left out. @param {Filter} filter @returns {string} */
export function addressOf(filter) {
  const params = new URLSearchParams();
  if (filter.q) params.set("q", filter.q);
  if (filter.state !== "all") params.set("state", filter.state);
  if (filter.site) params.set("site", filter.site);
  if (filter.tag) params.set("tag", filter.tag);
  if (filter.alarms) params.set("alarms", filter.alarms);
  if (filter.maintenance) params.set("maintenance", "yes");
  if (filter.out) params.set("service", "out");
  if (filter.sort !== "attention") params.set("sort", filter.sort);
  if (filter.grouped) params.set("group", "site");
  const text = params.toString();
  return text ? `/lockers?${text}` : "/lockers";
}

/** @type {readonly AlarmFilter[]} */
const ALARMS = ["any", ...SEVERITIES];
const FREE = ["q", "site", "tag", "at"];
/** @type {Record<string, readonly string[]>} */
const WORDS = { state: STATES, alarms: ALARMS, maintenance: ["yes"], service: ["out"], sort: SORTS, group: ["site"] };

/** @type {WeakMap<Locker, string>} */
const haystacks = new WeakMap();

/** @param {Locker} locker */
function haystack(locker) {
  let text = haystacks.get(locker);
  if (text === undefined) {
    const { id, name, site, address, serial, agent, tags: marks } = locker;
    text = [id, name, site, address, serial, agent ?? "", ...(marks ?? [])].join("\n").toLowerCase();
    haystacks.set(locker, text);
  }
  return text;
}

/** @type {Record<Filter["sort"], (a: Locker, b: Locker) => number>} */
const ORDERS = {
  id: (a, b) => natural(a.id, b.id),
  name: (a, b) => natural(a.name, b.name) || natural(a.id, b.id),
  alarms: (a, b) => weight(b) - weight(a) || natural(a.id, b.id),
  attention: (a, b) => urgency(a) - urgency(b) || natural(a.id, b.id),
  heard: (a, b) => compare(b.last_seen_at ?? "", a.last_seen_at ?? "") || natural(a.id, b.id),
};

/** What needs somebody comes first: serious alarms, silence, other alarms, open doors. @param {Locker} locker */
function urgency(locker) {
  const grade = worst(locker);
  if (grade === "critical") return 0;
  if (grade === "high") return 1;
  if (locker.state === "offline") return 2;
  if (locker.state === "online" && locker.boards.online < locker.boards.total) return 3;
  if (grade) return 4;
  if (locker.door_counts.open > 0) return 5;
  return locker.state === "never_seen" ? 7 : 6;
}

/** One alarm of a severity outweighs all below it. @param {Locker} locker */
function weight(locker) {
  return SEVERITIES.reduce((sum, severity) => sum * 1000 + Math.min(999, locker.alarms?.[severity] ?? 0), 0);
}

/** @param {string} a @param {string} b */
function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
