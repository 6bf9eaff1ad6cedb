/**
 * Which alarms a filter leaves, in which order and under which headings, and how many of each there are. Pure.
 *
 * @import {Alarm, AlarmState, Severity} from "./types.js"
 */

import { SEVERITIES } from "./format.js";
import { TYPE_WORDS, placeWords, typeWords } from "./alarm-words.js";

/** @type {readonly AlarmState[]} */
export const OPEN_STATES = ["active_unacked", "active_acked", "cleared_unacked"];
/** @type {readonly AlarmState[]} */
export const UNACKED = ["active_unacked", "cleared_unacked"];

/**
 * @typedef {object} AlarmFilter
 * @property {readonly Severity[]} severity none is every
 * @property {readonly AlarmState[]} state
 * @property {readonly string[]} type
 * @property {string} site
 * @property {string} locker
 * @property {string} q
 * @property {boolean} suppressed whether those are shown as well that are told to nobody
 * @property {boolean} closed history instead of what is open
 * @property {string} since
 * @property {string} until
 * @property {"" | "type" | "site"} group
 *
 * @typedef {{kind: "alarm", id: string, level: number, children: string[], open: boolean}} AlarmRow
 * @typedef {{kind: "group", id: string, key: string, title: string, ids: string[], open: boolean}} GroupRow
 * @typedef {{kind: "more", id: string, count: number}} MoreRow
 * @typedef {AlarmRow | GroupRow | MoreRow} Row
 */

/** @type {Readonly<AlarmFilter>} */
export const NO_FILTER = Object.freeze({
  severity: [],
  state: [],
  type: [],
  site: "",
  locker: "",
  q: "",
  suppressed: false,
  closed: false,
  since: "",
  until: "",
  group: "",
});

/**
 * Read a filter from an address. What makes no sense is left out, and a sentence says so.
 * @param {URLSearchParams} params
 * @returns {{filter: AlarmFilter, problems: string[]}}
 */
export function filterFrom(params) {
  /** @type {string[]} */
  const problems = [];
  const closed = oneOf(params, "open", ["true", "false"], problems) === "false";
  const filter = {
    ...NO_FILTER,
    severity: /** @type {Severity[]} */ (several(params, "severity", SEVERITIES, problems)),
    state: closed ? [] : /** @type {AlarmState[]} */ (several(params, "state", OPEN_STATES, problems)),
    type: several(params, "type", Object.keys(TYPE_WORDS), problems),
    site: params.get("site") ?? "",
    locker: params.get("locker") ?? "",
    q: params.get("q") ?? "",
    suppressed: oneOf(params, "suppressed", ["shown", "hidden"], problems) === "shown",
    closed,
    since: time(params, "since", problems),
    until: time(params, "until", problems),
    group: /** @type {AlarmFilter["group"]} */ (oneOf(params, "group", ["type", "site"], problems)),
  };
  if (filter.since && filter.until && Date.parse(filter.since) >= Date.parse(filter.until)) {
    problems.push("“Since” is not before “until”, so nothing can be in between.");
  }
  return { filter, problems };
}

/** Write a filter as an address, defaults left out. @param {AlarmFilter} filter */
export function addressOf(filter) {
  const params = new URLSearchParams();
  if (filter.closed) params.set("open", "false");
  for (const name of /** @type {const} */ (["severity", "state", "type"])) {
    if (filter[name].length > 0) params.set(name, filter[name].join(","));
  }
  for (const name of /** @type {const} */ (["site", "locker", "q", "since", "until", "group"])) {
    if (filter[name]) params.set(name, filter[name]);
  }
  if (filter.suppressed) params.set("suppressed", "shown");
  const text = params.toString();
  return text ? `/alarms?${text}` : "/alarms";
}

/** The filter as the hub takes it, in a query or with an act. @param {AlarmFilter} filter @returns {Record<string, string>} */
export function askedOf(filter) {
  /** @type {Record<string, string>} */
  const asked = {};
  for (const name of /** @type {const} */ (["severity", "state", "type"])) {
    if (filter[name].length > 0) asked[name] = filter[name].join(",");
  }
  for (const name of /** @type {const} */ (["site", "locker", "q", "since", "until"])) {
    if (filter[name]) asked[name] = filter[name];
  }
  if (filter.closed) asked.open = "false";
  else if (!filter.suppressed) asked.suppressed = "none";
  return asked;
}

/** Whether anything but headings is asked for. @param {AlarmFilter} filter */
export function isNarrow(filter) {
  return addressOf({ ...filter, group: "", closed: false }) !== "/alarms";
}

/**
 * @param {Alarm} alarm @param {AlarmFilter} filter
 * @param {"severity" | "state" | "type"} [except] what is not looked at: what is counted by it
 */
export function matches(alarm, filter, except) {
  if (except !== "severity" && filter.severity.length > 0 && !filter.severity.includes(alarm.severity)) return false;
  if (except !== "state" && filter.state.length > 0 && !filter.state.includes(alarm.state)) return false;
  if (except !== "type" && filter.type.length > 0 && !filter.type.includes(alarm.type)) return false;
  if (filter.site && alarm.site !== filter.site) return false;
  if (filter.locker && alarm.locker !== filter.locker) return false;
  if (filter.since && Date.parse(alarm.raised_at) < Date.parse(filter.since)) return false;
  if (filter.until && Date.parse(alarm.raised_at) >= Date.parse(filter.until)) return false;
  if (filter.q) {
    const text = haystack(alarm);
    if (!filter.q.toLowerCase().split(/\s+/).every((word) => text.includes(word))) return false;
  }
  return true;
}

/**
 * What the hub finds for the same filter, of what is known here; null for words, which it looks for in fewer places.
 * @param {Iterable<Alarm>} alarms @param {AlarmFilter} filter @returns {Alarm[] | null}
 */
export function foundOnHub(alarms, filter) {
  if (filter.q) return null;
  return [...alarms].filter((alarm) => matches(alarm, filter) && (filter.suppressed || !alarm.suppressed));
}

/** The most urgent first: not acknowledged before acknowledged, active before cleared, then severity, then the newest. @param {Alarm} a @param {Alarm} b */
export function byUrgency(a, b) {
  return (
    Number(Boolean(a.suppressed)) - Number(Boolean(b.suppressed)) ||
    OPEN_STATES.indexOf(a.state) - OPEN_STATES.indexOf(b.state) ||
    SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) ||
    compare(b.raised_at, a.raised_at) ||
    compare(a.id, b.id)
  );
}

/**
 * How many alarms there are by severity, by type, and not acknowledged; each as if it alone were not filtered by.
 * @param {Iterable<Alarm>} alarms @param {AlarmFilter} filter
 */
export function count(alarms, filter) {
  /** @type {Record<Severity, number>} */
  const severity = { critical: 0, high: 0, medium: 0, low: 0 };
  /** @type {Map<string, number>} */
  const type = new Map();
  let all = 0;
  let unacked = 0;
  let suppressed = 0;
  for (const alarm of alarms) {
    if (alarm.suppressed) suppressed += 1;
    if (alarm.suppressed && !filter.suppressed) continue;
    if (matches(alarm, filter, "severity")) severity[alarm.severity] += 1;
    if (matches(alarm, filter, "type")) type.set(alarm.type, (type.get(alarm.type) ?? 0) + 1);
    if (matches(alarm, { ...filter, severity: [] }, "state")) {
      all += 1;
      if (UNACKED.includes(alarm.state)) unacked += 1;
    }
  }
  const types = [...type].sort((a, b) => b[1] - a[1] || compare(a[0], b[0]));
  return { severity, types, all, unacked, suppressed };
}

/** Every site's name, once, sorted. @param {Iterable<Alarm>} alarms */
export function sitesOf(alarms) {
  const found = new Set();
  for (const alarm of alarms) if (alarm.site) found.add(alarm.site);
  return [...found].sort(compare);
}

/**
 * The rows to show. Alarms that are folded into another stand below it, where it is opened or where they are looked for.
 * @param {ReadonlyMap<string, Alarm>} alarms @param {AlarmFilter} filter
 * @param {ReadonlySet<string>} opened ids of alarms and of groups
 * @returns {Row[]}
 */
export function rows(alarms, filter, opened) {
  /** @type {Map<string, Alarm[]>} */
  const folded = new Map();
  /** @type {Set<Alarm>} */
  const tops = new Set();
  /** @type {Set<string>} */
  const soughtWithin = new Set();
  const seeks = Boolean(filter.q || filter.locker || filter.type.length);
  for (const alarm of alarms.values()) {
    const parent = alarm.parent ? alarms.get(alarm.parent) : undefined;
    if (parent && alarm.suppressed === "folded") {
      if (!matches(alarm, seeks && !matches(parent, filter) ? filter : { ...filter, severity: [], state: [], type: [], q: "" })) continue;
      folded.set(parent.id, [...(folded.get(parent.id) ?? []), alarm]);
      if (seeks && matches(alarm, filter) && !matches(parent, filter)) {
        tops.add(parent);
        soughtWithin.add(parent.id);
      }
    } else if (matches(alarm, filter) && (filter.suppressed || !alarm.suppressed)) {
      tops.add(alarm);
    }
  }
  const order = [...tops].sort(byUrgency);
  /** @param {Alarm} alarm @param {number} level @returns {Row[]} */
  const grown = (alarm, level) => {
    const below = (folded.get(alarm.id) ?? []).sort(byUrgency);
    const open = below.length > 0 && (opened.has(alarm.id) || soughtWithin.has(alarm.id));
    /** @type {Row[]} */
    const out = [{ kind: "alarm", id: alarm.id, level, children: below.map((one) => one.id), open }];
    if (open) {
      for (const one of below) out.push({ kind: "alarm", id: one.id, level: level + 1, children: [], open: false });
      const missing = soughtWithin.has(alarm.id) ? 0 : alarm.children - below.length;
      if (missing > 0) out.push({ kind: "more", id: `more ${alarm.id}`, count: missing });
    }
    return out;
  };
  if (!filter.group) return order.flatMap((alarm) => grown(alarm, 0));
  return grouped(order, filter.group).flatMap(([key, members]) => {
    const id = `group ${filter.group} ${key}`;
    const open = opened.has(id);
    const title = filter.group === "type" ? typeWords(key) : key || "No site";
    /** @type {Row} */
    const head = { kind: "group", id, key, title, ids: members.map((one) => one.id), open };
    return [head, ...(open ? members.flatMap((alarm) => grown(alarm, 0)) : [])];
  });
}

/** @param {readonly Alarm[]} order @param {"type" | "site"} by @returns {[string, Alarm[]][]} the most urgent group first */
function grouped(order, by) {
  /** @type {Map<string, Alarm[]>} */
  const groups = new Map();
  for (const alarm of order) {
    const key = alarm[by] ?? "";
    const members = groups.get(key);
    if (members) members.push(alarm);
    else groups.set(key, [alarm]);
  }
  return [...groups];
}

/** The first line of a file of alarms. */
export const CSV_NAMES = [
  ...["id", "type", "severity", "state", "site", "locker", "door", "what", "began_at", "raised_at", "cleared_at", "last_at", "count"],
  ...["value", "limit", "unit", "acked_at", "acked_by", "ack_note", "suppressed", "shelved_until", "shelved_by", "shelved_why", "rule"],
];

/** @param {Alarm} alarm @returns {(string | number | null)[]} */
export function csvRow(alarm) {
  const { shelved } = alarm;
  return [
    ...[alarm.id, alarm.type, alarm.severity, alarm.state, alarm.site, alarm.locker, alarm.door, alarm.what],
    ...[alarm.began_at, alarm.raised_at, alarm.cleared_at, alarm.last_at, alarm.count, alarm.value, alarm.limit, alarm.unit],
    ...[alarm.acked_at, alarm.acked_by, alarm.ack_note, alarm.suppressed],
    ...[shelved?.until ?? null, shelved?.by ?? null, shelved?.why ?? null, alarm.rule],
  ];
}

/** @type {WeakMap<Alarm, string>} */
const haystacks = new WeakMap();

/** @param {Alarm} alarm */
function haystack(alarm) {
  let text = haystacks.get(alarm);
  if (text === undefined) {
    text = [alarm.what, placeWords(alarm), alarm.where, alarm.type, alarm.site, alarm.locker, alarm.rule].join("\n").toLowerCase();
    haystacks.set(alarm, text);
  }
  return text;
}

/** @param {URLSearchParams} params @param {string} name @param {readonly string[]} known @param {string[]} problems */
function several(params, name, known, problems) {
  const asked = (params.get(name) ?? "").split(",").filter(Boolean);
  for (const one of asked) {
    if (!known.includes(one)) problems.push(`There is no ${name} “${one}”. There are: ${known.join(", ")}.`);
  }
  return [...new Set(asked.filter((one) => known.includes(one)))];
}

/** @param {URLSearchParams} params @param {string} name @param {readonly string[]} known @param {string[]} problems */
function oneOf(params, name, known, problems) {
  const asked = params.get(name) ?? "";
  if (!asked || known.includes(asked)) return asked;
  problems.push(`“${name}” cannot be “${asked}”. It can be: ${known.join(", ")}.`);
  return "";
}

/** @param {URLSearchParams} params @param {string} name @param {string[]} problems */
function time(params, name, problems) {
  const asked = params.get(name) ?? "";
  if (!asked || !Number.isNaN(Date.parse(asked))) return asked;
  problems.push(`“${name}” is no time: “${asked}”. A time looks like ${new Date(0).toISOString()}.`);
  return "";
}

/** @param {string} a @param {string} b */
function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
