/**
 * What raises and clears an alarm, in words. Pure.
 *
 * @typedef {{kind: string, on?: string[], off?: string[], quiet_s?: number | null, while_closed_s?: number | null, for_s?: number,
 *   count?: number, within_s?: number, each?: string, per?: string, of?: string, above?: number | null, below?: number | null,
 *   lockers_min?: number, share?: number}} Condition
 * @typedef {{id: string, type: string, severity: import("./types.js").Severity, condition: Condition, on_delay_s: number, off_delay_s: number,
 *   deadband: number, scope: {tenant?: string | null, site?: string | null, locker?: string | null, door?: number | null}, enabled: boolean}} Rule
 */

/** Measures: what they are called, and their unit. @type {Record<string, [string, string]>} */
const MEASURES = {
  temperature_c: ["the temperature", "°C"],
  cpu_temp_c: ["the processor's temperature", "°C"],
  humidity_pct: ["the humidity", "%"],
  battery_pct: ["the battery", "%"],
  cpu_pct: ["the processor's load", "%"],
  memory_pct: ["the memory in use", "%"],
  supply_v: ["the supply voltage", "V"],
  rssi_dbm: ["the radio signal", "dBm"],
  disk_free_mb: ["the free disk space", "MB"],
  outbox_events: ["the number of events that wait in the locker", ""],
  event_age_s: ["the age of events when they come", "s"],
  board_errors: ["the number of errors of the boards", ""],
  dropped: ["the number of dropped samples", ""],
};

/** Events and what the hub sees itself, as a clause. @type {Record<string, string>} */
const EVENTS = {
  "door.unlocked": "a door was unlocked",
  "door.opened": "a door opened",
  "door.closed": "the door closed",
  "door.forced": "a door opened without a command",
  "door.left_open": "a door was left open",
  "door.open_not_detected": "an unlocked door was not seen to open",
  "door.jammed": "a door is jammed",
  "sensor.fault": "a sensor cannot be trusted",
  "sensor.ok": "the sensor works again",
  "occupancy.changed": "the contents of a door changed",
  "tamper.on": "the tamper contact tripped",
  "tamper.off": "the tamper contact is back to normal",
  "temperature.high": "the locker says that it is too hot",
  "power.lost": "mains power is lost",
  "power.restored": "mains power is back",
  "battery.low": "the locker says that its battery is low",
  "board.offline": "a board stopped answering",
  "board.online": "the board answers again",
  "access.granted": "access was granted",
  "access.denied": "access was denied",
  "outbox.gap": "the locker says that events were lost",
  "ledger.forked": "the locker says that its ledger was copied",
  "hub.clock_unset": "the locker's clock is not set",
  "hub.clock_set": "the locker's clock is set",
  "hub.ledger_gap": "numbers are missing among the locker's events",
  "hub.ledger_epochs": "the locker has begun too many ledgers",
  "hub.ledger_fork": "two different events have the same number",
  "hub.boards_missing": "fewer boards answer than there should be",
  "hub.boards_complete": "all boards answer",
};

/** One rule as a sentence. @param {Rule} rule */
export function ruleWords(rule) {
  const { condition } = rule;
  const say = KINDS[condition.kind];
  const { raised, cleared } = say ? say(condition, rule) : { raised: `by the condition “${condition.kind}”`, cleared: "" };
  const held = rule.on_delay_s > 0 ? ` for ${seconds(rule.on_delay_s)}` : "";
  const gone = rule.off_delay_s > 0 && cleared ? ` for ${seconds(rule.off_delay_s)}` : "";
  return `Raised ${raised}${held}${cleared ? `; cleared ${cleared}${gone}` : ""}.`;
}

/** Where a rule counts. @param {Rule["scope"]} scope */
export function scopeWords(scope) {
  const parts = [];
  if (scope.door) parts.push(`door ${scope.door}`);
  if (scope.locker) parts.push(`locker ${scope.locker}`);
  if (scope.site) parts.push(`site ${scope.site}`);
  if (scope.tenant) parts.push(`tenant ${scope.tenant}`);
  return parts.length > 0 ? parts.join(", ") : "everywhere";
}

/** A length of time in words: "45 s", "5 min", "1 h 30 min". @param {number} s */
export function seconds(s) {
  if (s < 60 || (s < 120 && s % 60 !== 0)) return `${s} s`;
  const hours = Math.floor(s / 3600);
  const minutes = Math.floor((s % 3600) / 60);
  const rest = s % 60;
  return [hours && `${hours} h`, minutes && `${minutes} min`, rest && `${rest} s`].filter(Boolean).join(" ");
}

/** @type {Record<string, (condition: Condition, rule: Rule) => {raised: string, cleared: string}>} */
const KINDS = {
  simple: (condition) => ({
    raised: `when ${anyOf(condition.on)}${condition.while_closed_s ? `, while it was closed for ${seconds(condition.while_closed_s)}` : ""}`,
    cleared: ends(condition),
  }),
  duration: (condition) => ({
    raised: `when ${anyOf(condition.on)} and that lasts ${seconds(condition.for_s ?? 0)}`,
    cleared: ends(condition),
  }),
  repeating: (condition) => {
    const doors = condition.each === "door" ? `, and that at ${condition.count} different doors` : `, ${condition.count} times`;
    const where = condition.per === "site" ? " of one site" : condition.each === "door" ? " of one locker" : "";
    return {
      raised: `when ${anyOf(condition.on)}${doors}${where} within ${seconds(condition.within_s ?? 0)}`,
      cleared: ends({ ...condition, quiet_s: condition.quiet_s ?? condition.within_s }),
    };
  },
  level: (condition, rule) => {
    const [name, unit] = MEASURES[condition.of ?? ""] ?? [condition.of ?? "a value", ""];
    const rising = condition.above !== null && condition.above !== undefined;
    const limit = (rising ? condition.above : condition.below) ?? 0;
    const back = rising ? limit - rule.deadband : limit + rule.deadband;
    const say = (/** @type {number} */ n) => `${n}${unit ? ` ${unit}` : ""}`;
    const quiet = condition.quiet_s ? `, or nothing beyond it came for ${seconds(condition.quiet_s)}` : "";
    return {
      raised: `when ${name} is ${rising ? "above" : "below"} ${say(limit)}`,
      cleared: `when it is ${rising ? "at or below" : "at or above"} ${say(back)}${quiet}`,
    };
  },
  no_data: (condition) =>
    condition.of === "site"
      ? {
          raised: `when at least ${condition.lockers_min} lockers and ${Math.round(100 * (condition.share ?? 0))} % of a site are lost within ${seconds(condition.within_s ?? 0)}, and stay away`,
          cleared: "when they are back",
        }
      : condition.of === "broker"
        ? { raised: "when the hub does not reach its broker", cleared: "when it does again" }
        : { raised: "when nothing is heard of a locker", cleared: "when it is heard again" },
};

/** @param {Condition} condition */
function ends(condition) {
  const ways = [];
  if (condition.off?.length) ways.push(`when ${anyOf(condition.off)}`);
  if (condition.quiet_s) ways.push(`after ${seconds(condition.quiet_s)} without it`);
  return ways.join(", or ");
}

/** @param {string[] | undefined} kinds */
function anyOf(kinds) {
  return (kinds ?? []).map((kind) => EVENTS[kind] ?? kind).join(", or ");
}
