/**
 * Which lockers a filter leaves, in which order, and how many of each state there are. Pure.
 *
 * @import {Locker, Filter, Row, StateFilter} from "./types.js"
 */

/** @type {readonly StateFilter[]} */
export const STATES = ["all", "online", "offline", "open", "never_seen"];

/** @type {Readonly<Filter>} */
export const NO_FILTER = Object.freeze({ q: "", state: "all", site: "", sort: "attention", grouped: false });

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
  return [...names].sort(compare);
}

/** @param {Locker} locker @param {Filter} filter */
export function matches(locker, filter) {
  if (filter.site && locker.site !== filter.site) return false;
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
  found.sort(filter.grouped ? (a, b) => compare(a.site, b.site) || order(a, b) : order);
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

/** Read a filter from an address. @param {URLSearchParams} params @returns {Filter} */
export function filterFrom(params) {
  const state = STATES.find((name) => name === params.get("state")) ?? "all";
  const sort = params.get("sort");
  return {
    q: params.get("q") ?? "",
    state,
    site: params.get("site") ?? "",
    sort: sort === "id" || sort === "heard" ? sort : "attention",
    grouped: params.get("group") === "site",
  };
}

/** Write a filter as an address, defaults left out. @param {Filter} filter @returns {string} */
export function addressOf(filter) {
  const params = new URLSearchParams();
  if (filter.q) params.set("q", filter.q);
  if (filter.state !== "all") params.set("state", filter.state);
  if (filter.site) params.set("site", filter.site);
  if (filter.sort !== "attention") params.set("sort", filter.sort);
  if (filter.grouped) params.set("group", "site");
  const text = params.toString();
  return text ? `/lockers?${text}` : "/lockers";
}

/** @type {WeakMap<Locker, string>} */
const haystacks = new WeakMap();

/** @param {Locker} locker */
function haystack(locker) {
  let text = haystacks.get(locker);
  if (text === undefined) {
    text = `${locker.id}\n${locker.name}\n${locker.site}`.toLowerCase();
    haystacks.set(locker, text);
  }
  return text;
}

/** @type {Record<Filter["sort"], (a: Locker, b: Locker) => number>} */
const ORDERS = {
  id: (a, b) => compare(a.id, b.id),
  attention: (a, b) => urgency(a) - urgency(b) || compare(a.id, b.id),
  heard: (a, b) => compare(b.last_heard ?? "", a.last_heard ?? "") || compare(a.id, b.id),
};

/** @param {Locker} locker */
function urgency(locker) {
  if (locker.state === "offline") return 0;
  if (locker.state === "online" && locker.boards.online < locker.boards.total) return 1;
  if (locker.door_counts.open > 0) return 2;
  return locker.state === "never_seen" ? 4 : 3;
}

/** @param {string} a @param {string} b */
function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
