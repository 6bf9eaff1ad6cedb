/**
 * What the page keeps of each kind of live view: the truth as frames bring it, and what is shown of it. Pure.
 *
 * Entities are never changed in place, so a reference that is equal is equal.
 *
 * @import {Locker, Door, Command, LockerEvent, LockerDetail, TailMessage} from "./types.js"
 */

/** Events kept of each feed; the oldest leave first. The hub has them all. */
export const FEED_EVENTS_MAX = 500;

/** Commands kept of the fleet; the hub's snapshot holds as many. */
export const FLEET_COMMANDS_MAX = 100;

/** Messages kept of one locker's tail. */
export const TAIL_MESSAGES_MAX = 500;

/** Commands kept of one locker, as many as the hub's own snapshot holds. */
export const COMMANDS_MAX = 20;

/**
 * @typedef {{phase: "loading" | "ready" | "failed", code: string, detail: string}} ViewStatus
 * @typedef {{locker: Locker, doors: Door[], commands: Command[]}} Detail
 * @typedef {{events: LockerEvent[], skipped: number}} Feed
 * @typedef {{items: ReadonlyMap<string, any>, total: number, health: any}} Listed
 * @typedef {{messages: TailMessage[], skipped: number}} Tail
 */

/** What makes an event that event. @param {LockerEvent} event */
export function eventKey(event) {
  return `${event.locker} ${event.epoch} ${event.seq}`;
}

/** @type {ViewStatus} */
export const LOADING = { phase: "loading", code: "", detail: "" };
/** @type {ViewStatus} */
export const READY = { phase: "ready", code: "", detail: "" };
/** @type {ReadonlyMap<string, Locker>} */
export const NO_LOCKERS = new Map();
/** @type {Feed} */
export const NO_FEED = { events: [], skipped: 0 };

/** @type {ReadonlySet<string>} */
export const NO_IDS = new Set();
/** @type {Listed} */
export const NO_LIST = { items: new Map(), total: 0, health: null };
/** @type {Tail} */
export const NO_TAIL = { messages: [], skipped: 0 };

/** @typedef {FleetView | DetailView | FeedView | ListView | ValueView | TailView} View */

class ViewBase {
  /** The last frame's number; null while a snapshot is awaited. @type {number | null} */
  seq = null;
  status = LOADING;
  changed = false;
  everShown = false;
  /** When the hub made the last frame. */
  at = "";
}

export class FleetView extends ViewBase {
  /** @type {Map<string, Locker>} */
  truth = new Map();
  /** @type {Map<string, Locker>} */
  shown = new Map();
  /** @type {Set<string>} */
  dirty = new Set();
  /** @type {ReadonlySet<string>} */
  touched = NO_IDS;
  published = 0;

  get waiting() {
    return this.dirty.size;
  }

  /** @param {{lockers: Locker[]}} data */
  replace(data) {
    const gone = new Set(this.truth.keys());
    for (const locker of data.lockers) {
      gone.delete(locker.id);
      this.#set(locker);
    }
    for (const id of gone) this.#remove(id);
    this.changed = true;
  }

  /** @param {{lockers?: [string, Partial<Locker>][], removed?: string[]}} data */
  merge(data) {
    for (const [id, changed] of data.lockers ?? []) {
      const known = this.truth.get(id);
      this.truth.set(id, /** @type {Locker} */ (known ? { ...known, ...changed } : changed));
      this.dirty.add(id);
    }
    for (const id of data.removed ?? []) this.#remove(id);
    this.changed = true;
  }

  publish() {
    for (const id of this.dirty) {
      const locker = this.truth.get(id);
      if (locker) this.shown.set(id, locker);
      else this.shown.delete(id);
    }
    this.touched = this.dirty;
    this.published += 1;
    this.dirty = new Set();
  }

  /** @param {Locker} locker */
  #set(locker) {
    if (same(this.truth.get(locker.id), locker)) return;
    this.truth.set(locker.id, locker);
    this.dirty.add(locker.id);
  }

  /** @param {string} id */
  #remove(id) {
    if (this.truth.delete(id)) this.dirty.add(id);
  }
}

export class DetailView extends ViewBase {
  /** @type {Locker | null} */
  locker = null;
  /** @type {Map<number, Door>} */
  doors = new Map();
  /** @type {Map<string, Command>} */
  commands = new Map();
  /** @type {Detail | null} */
  shown = null;
  /** @type {Set<string>} */
  dirty = new Set();

  get waiting() {
    return this.dirty.size;
  }

  /** @param {LockerDetail} data */
  replace(data) {
    const { doors, commands, ...locker } = data;
    this.doors.clear();
    this.commands.clear();
    this.merge({ locker, doors, commands });
  }

  /** @param {{locker?: Partial<Locker>, doors?: Door[], commands?: Command[]}} data */
  merge(data) {
    if (data.locker) {
      this.locker = /** @type {Locker} */ ({ ...this.locker, ...data.locker });
      this.dirty.add("locker");
    }
    for (const door of data.doors ?? []) {
      this.doors.set(door.number, door);
      this.dirty.add(`door ${door.number}`);
    }
    for (const command of data.commands ?? []) {
      this.commands.set(command.id, command);
      this.dirty.add(command.id);
    }
    if (this.commands.size > COMMANDS_MAX) {
      for (const command of newestFirst(this.commands.values()).slice(COMMANDS_MAX)) {
        this.commands.delete(command.id);
      }
    }
    this.changed = true;
  }

  publish() {
    this.dirty.clear();
    if (!this.locker) return;
    this.shown = {
      locker: this.locker,
      doors: [...this.doors.values()].sort((a, b) => a.number - b.number),
      commands: newestFirst(this.commands.values()),
    };
  }
}

export class FeedView extends ViewBase {
  /** @type {Feed} */
  truth = { events: [], skipped: 0 };
  /** @type {Feed} */
  shown = NO_FEED;
  waiting = 0;

  /** @param {{events: LockerEvent[]}} data */
  replace(data) {
    const known = new Set(this.truth.events.map(eventKey));
    this.waiting += data.events.filter((event) => !known.has(eventKey(event))).length;
    this.truth = { events: data.events.slice(0, FEED_EVENTS_MAX), skipped: 0 };
    this.changed = true;
  }

  /** @param {{events: LockerEvent[], skipped?: number}} data */
  merge(data) {
    const known = new Set(this.truth.events.map(eventKey));
    const fresh = data.events.filter((event) => !known.has(eventKey(event)));
    this.waiting += fresh.length;
    this.truth = {
      events: [...fresh, ...this.truth.events].slice(0, FEED_EVENTS_MAX),
      skipped: this.truth.skipped + (data.skipped ?? 0),
    };
    this.changed = true;
  }

  publish() {
    this.shown = this.truth;
    this.waiting = 0;
  }
}

/** Alarms, commands or jobs, each whole in every frame; what is closed leaves. */
export class ListView extends ViewBase {
  /** @type {Map<string, any>} */
  truth = new Map();
  /** @type {Listed} */
  shown = NO_LIST;
  total = 0;
  /** @type {any} */
  health = null;
  /** @type {Set<string>} */
  dirty = new Set();

  /** @param {"alarms" | "commands" | "jobs"} kind */
  constructor(kind) {
    super();
    this.kind = kind;
  }

  get waiting() {
    return this.dirty.size;
  }

  /** @param {any} data */
  replace(data) {
    this.truth.clear();
    this.merge(data);
  }

  /** @param {any} data */
  merge(data) {
    for (const one of data[this.kind] ?? []) {
      this.truth.set(one.id, one);
      this.dirty.add(one.id);
    }
    for (const id of data.closed ?? []) if (this.truth.delete(id)) this.dirty.add(id);
    if (this.kind === "commands" && this.truth.size > FLEET_COMMANDS_MAX) {
      for (const old of newestFirst(this.truth.values()).slice(FLEET_COMMANDS_MAX)) this.truth.delete(old.id);
    }
    this.total = data.total ?? this.truth.size;
    this.health = data.health ?? this.health;
    this.changed = true;
  }

  publish() {
    this.shown = { items: new Map(this.truth), total: this.total, health: this.health };
    this.dirty.clear();
  }
}

/** One value that every frame brings whole. */
export class ValueView extends ViewBase {
  /** @type {any} */
  truth = null;
  /** @type {any} */
  shown = null;

  get waiting() {
    return this.truth === this.shown ? 0 : 1;
  }

  /** @param {any} data */
  replace(data) {
    this.merge(data);
  }

  /** @param {any} data */
  merge(data) {
    this.truth = data;
    this.changed = true;
  }

  publish() {
    this.shown = this.truth;
  }
}

/** The newest messages of one locker. */
export class TailView extends ViewBase {
  /** @type {Tail} */
  truth = NO_TAIL;
  /** @type {Tail} */
  shown = NO_TAIL;
  waiting = 0;

  /** @param {{messages: TailMessage[]}} data */
  replace(data) {
    this.truth = { messages: data.messages.slice(-TAIL_MESSAGES_MAX), skipped: 0 };
    this.changed = true;
  }

  /** @param {{messages: TailMessage[], skipped?: number}} data */
  merge(data) {
    this.waiting += data.messages.length;
    const messages = [...this.truth.messages, ...data.messages].slice(-TAIL_MESSAGES_MAX);
    this.truth = { messages, skipped: this.truth.skipped + (data.skipped ?? 0) };
    this.changed = true;
  }

  publish() {
    this.shown = this.truth;
    this.waiting = 0;
  }
}

/** @param {Iterable<Command>} commands */
function newestFirst(commands) {
  return [...commands].sort((a, b) => (a.accepted_at < b.accepted_at ? 1 : a.accepted_at > b.accepted_at ? -1 : 0));
}

/** Whether two values of JSON are the same. @param {any} a @param {any} b @returns {boolean} */
function same(a, b) {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => same(a[name], b[name]));
}
