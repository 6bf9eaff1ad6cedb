/**
 * Everything in words: ages, times, durations, sentences. Pure; the time now is an argument.
 *
 * @import {AlarmState, LockerEvent, Command, Door, Locker, LockerState, Severity} from "./types.js"
 */

/** @typedef {"normal" | "caution" | "serious"} Tone */

/** @type {Record<LockerState, string>} */
export const LOCKER_WORDS = { online: "Online", offline: "Offline", never_seen: "Never seen" };

/** From the most urgent to the least. @type {readonly Severity[]} */
export const SEVERITIES = ["critical", "high", "medium", "low"];

/** @type {Record<Severity, string>} */
export const SEVERITY_WORDS = { critical: "Critical", high: "High", medium: "Medium", low: "Low" };

/** @type {Record<Severity, Tone>} */
export const SEVERITY_TONES = { critical: "serious", high: "serious", medium: "caution", low: "normal" };

/** @type {Record<AlarmState, string>} */
export const ALARM_STATE_WORDS = {
  active_unacked: "Active, unacknowledged",
  active_acked: "Active, acknowledged",
  cleared_unacked: "Cleared, unacknowledged",
  normal: "Closed",
};

/**
 * How long ago, short: "now", "12 s", "4 min", "3 h", "9 d".
 * @param {string | null} at @param {number} nowMs @returns {string} "" without a time.
 */
export function age(at, nowMs) {
  if (!at) return "";
  return span(nowMs - Date.parse(at));
}

/** A length of time, short. @param {number} ms */
export function span(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 2) return "now";
  if (s < 100) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 36 * 3600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

/** `age` for a sentence: "just now", "4 min ago". @param {string | null} at @param {number} nowMs */
export function ago(at, nowMs) {
  const text = age(at, nowMs);
  return text === "now" ? "just now" : text && `${text} ago`;
}

/** A duration with the digits that matter: "0.9 ms", "42 ms", "1.24 s". @param {number} ms */
export function millis(ms) {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(2)} s`;
}

/** Time of day where the operator is, to the second. @param {string | number} at */
export function clock(at) {
  return CLOCK.format(new Date(at));
}

/** Day and time where the operator is, for a tooltip, with UTC beside it. @param {string} at */
export function moment(at) {
  const date = new Date(at);
  return `${MOMENT.format(date)} (${date.toISOString().replace("T", " ").replace("Z", " UTC")})`;
}

/** "today" is left out; any other day is named. @param {string} at @param {number} nowMs */
export function day(at, nowMs) {
  const date = new Date(at);
  return date.toDateString() === new Date(nowMs).toDateString() ? "" : DAY.format(date);
}

/** A count with its noun. @param {number} n @param {string} one @param {string} [many] */
export function some(n, one, many = `${one}s`) {
  return `${number(n)} ${n === 1 ? one : many}`;
}

/** A whole number, grouped. @param {number} n */
export function number(n) {
  return COUNT.format(n);
}

/** What a screen reader and a tooltip say of a door. @param {Door} door */
export function doorWords(door) {
  const words = [`Door ${door.label}`];
  // What is written on the door comes first, in that order: who speaks to the page says what they see.
  if (door.service === "out") words.push("out of service");
  words.push(doorState(door));
  if (door.occupied) words.push("item present");
  return words.join(", ");
}

/** A door's state; an unknown one keeps what was seen last. @param {Door} door */
export function doorState(door) {
  if (door.state !== "unknown") return door.state;
  return door.last_known && door.last_known !== "unknown" ? `unknown, last seen ${door.last_known}` : "unknown";
}

/** What is not as it should be with a locker, in a few words; "" when all is normal. @param {Locker} locker */
export function trouble(locker) {
  if (locker.state !== "online") return "";
  const silent = locker.boards.total - locker.boards.online;
  return silent > 0 ? `${some(silent, "board")} silent` : "";
}

/** One event as a sentence. @param {LockerEvent} event @returns {{text: string, tone: Tone}} */
export function sentence(event) {
  const say = SENTENCES[event.kind];
  const door = event.door === null || event.door === undefined ? "A door" : `Door ${event.door}`;
  const data = event.data ?? {};
  if (!say) {
    const where = event.door ? ` (door ${event.door})` : "";
    return { text: `${event.kind}${where}`, tone: "normal" };
  }
  return { text: say.text(door, data), tone: say.tone ?? "normal" };
}

/** What came of a command, in words for who pressed the button. @param {Command} command */
export function outcome(command) {
  const what = command.door === null ? "The locker" : `Door ${command.door}`;
  const late = command.late ? " The answer came late." : "";
  return OUTCOMES[command.state]?.(command, what) + late;
}

/** The same in few words, for a list. @param {Command} command */
export function outcomeBrief(command) {
  const detail = command.detail ? `: ${command.detail}` : "";
  const words = {
    queued: "Waits for the locker",
    sent: "Sent, not answered yet",
    accepted: "The locker works on it",
    rejected: `Refused by the locker${detail}`,
    succeeded: command.kind === "open" ? SEEN[command.outcome ?? ""] : "Done",
    failed: `Failed${detail}`,
    unknown: `Nobody knows whether it acted${detail}`,
    expired: "Its time was over before it began",
    cancelled: "Cancelled before it began",
    timed_out: `No answer within ${budget(command.deadline_ms)}`,
  };
  return `${words[command.state]}${command.late ? " (late)" : ""}`;
}

/** A limit, which is a round number: "200 ms", "2 s". @param {number} ms */
export function budget(ms) {
  return ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`;
}

/** The tone of a command's outcome. @param {Command} command @returns {Tone} */
export function outcomeTone(command) {
  if (command.state === "failed" || command.state === "unknown" || command.state === "timed_out") return "serious";
  if (command.state === "rejected" || command.state === "expired") return "caution";
  return command.outcome === "open_not_detected" ? "caution" : "normal";
}

/** Whether nothing more is to come of a command. @param {Command} command */
export function settled(command) {
  if (["rejected", "failed", "expired", "cancelled"].includes(command.state)) return true;
  if (command.state !== "succeeded") return false;
  return command.kind !== "open" || (command.outcome !== null && command.outcome !== undefined);
}

/** A command in a list: "Open door 3". @param {Pick<Command, "kind" | "door">} command */
export function order(command) {
  const verb = VERBS[command.kind] ?? command.kind;
  if (command.door !== null) return `${verb} door ${command.door}`;
  return command.kind === "open" ? verb : `${verb} locker`;
}

/** @type {Record<string, string>} */
const VERBS = { open: "Open", locate: "Locate", configure: "Configure", restart: "Restart", forget: "Forget somebody on" };

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const COUNT = new Intl.NumberFormat(undefined);

/** @type {Record<string, string>} */
const SEEN = {
  "": "Unlocked",
  opened: "Opened",
  closed: "Opened, closed again",
  open_not_detected: "Unlocked, not seen to open",
};

/** @type {Record<string, string>} */
const DONE = { open: "opened", locate: "found", restart: "restarted" };

/** @typedef {Record<string, unknown>} Data */

/** A value of an event's free data, when it is plain text or a number. @param {Data} data @param {string} key */
function value(data, key) {
  const found = data[key];
  return typeof found === "string" || typeof found === "number" ? String(found) : "";
}

/** @param {Data} data @param {string} key @param {string} before @param {string} [after] */
function clause(data, key, before, after = "") {
  const text = value(data, key);
  return text && `${before}${text}${after}`;
}

/** @type {Record<string, {text: (door: string, data: Data) => string, tone?: Tone}>} */
const SENTENCES = {
  "door.unlocked": { text: (door) => `${door} unlocked` },
  "door.opened": { text: (door) => `${door} opened` },
  "door.closed": { text: (door) => `${door} closed` },
  "door.open_not_detected": { text: (door) => `${door} was unlocked, but not seen to open`, tone: "caution" },
  "door.forced": { text: (door) => `${door} opened without a command`, tone: "serious" },
  "door.left_open": { text: (door) => `${door} was left open`, tone: "caution" },
  "door.jammed": { text: (door) => `${door} is jammed`, tone: "serious" },
  "sensor.fault": { text: (door) => `${door}: its sensor cannot be trusted`, tone: "caution" },
  "sensor.ok": { text: (door) => `${door}: its sensor works again` },
  "occupancy.changed": {
    text: (door, data) =>
      data.occupied === true ? `${door}: item present` : data.occupied === false ? `${door}: empty` : `${door}: contents changed`,
  },
  "board.offline": { text: (_, data) => `Lock board${clause(data, "board", " ")} stopped answering`, tone: "serious" },
  "board.online": { text: (_, data) => `Lock board${clause(data, "board", " ")} answers again` },
  "tamper.on": { text: () => "Tamper contact tripped", tone: "serious" },
  "tamper.off": { text: () => "Tamper contact back to normal" },
  "power.lost": { text: () => "Mains power lost", tone: "serious" },
  "power.restored": { text: () => "Mains power restored" },
  "battery.low": { text: (_, data) => `Battery low${clause(data, "battery_pct", " (", " %)")}`, tone: "caution" },
  "temperature.high": { text: (_, data) => `Temperature high${clause(data, "temperature_c", " (", " °C)")}`, tone: "caution" },
  "access.granted": { text: (door) => (door === "A door" ? "Access granted" : `Access granted to ${door.toLowerCase()}`) },
  "access.denied": { text: (_, data) => `Access denied${clause(data, "reason", ": ")}`, tone: "caution" },
  "command.finished": {
    text: (door, data) => {
      const kind = value(/** @type {Data} */ (data.command ?? {}), "kind");
      const what = ["Command", kind, door === "A door" ? "" : door.toLowerCase()].filter(Boolean).join(" ");
      return `${what}: ${value(data, "state") || "finished"}${clause(data, "reason", ", ")}`;
    },
  },
  "agent.started": { text: (_, data) => `Agent started${clause(data, "version", ", version ")}` },
  "agent.stopping": { text: (_, data) => `Agent stopping${clause(data, "reason", ": ")}` },
  snapshot: { text: () => "All doors reported their state" },
  "outbox.gap": {
    text: (_, data) =>
      data.events === undefined
        ? `Events${clause(data, "from", " ")}${clause(data, "to", " to ")} were lost${clause(data, "reason", ": ")}`
        : `${value(data, "events")} events could not be written down${clause(data, "reason", ": ")}`,
    tone: "serious",
  },
  "ledger.forked": {
    text: (_, data) => `A new ledger began: another one had the same name${clause(data, "reason", " (", ")")}`,
    tone: "serious",
  },
};

/** @type {Record<string, (command: Command, what: string) => string>} */
const OUTCOMES = {
  queued: () => "Kept until the locker is there.",
  sent: () => "Sent. The locker has not answered yet.",
  accepted: () => "The locker works on it.",
  rejected: (command) => `The locker refused${command.detail ? `: ${command.detail}` : "."}`,
  succeeded: (command, what) => {
    if (command.kind === "locate") return "The locker is showing itself.";
    if (command.kind !== "open") return "The locker has done it.";
    if (command.outcome === "opened") return `${what} opened.`;
    if (command.outcome === "closed") return `${what} opened, and is closed again.`;
    if (command.outcome === "open_not_detected") return `${what} was unlocked, but nobody saw it open. It may be stuck.`;
    return `${what} is unlocked. Waiting for it to open.`;
  },
  failed: (command, what) => `${what} was not ${DONE[command.kind] ?? "changed"}${command.detail ? `: ${command.detail}` : "."}`,
  unknown: (command, what) =>
    `Nobody can know whether ${what.toLowerCase()} acted. Look at it before you try again.${command.detail ? ` (${command.detail})` : ""}`,
  expired: () => "Its time was over before it began.",
  cancelled: () => "Cancelled before it began.",
  timed_out: (command) => `No answer within ${budget(command.deadline_ms)}. A late answer would still be shown here.`,
};
