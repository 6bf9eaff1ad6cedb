/**
 * What the hub said, and what the page shows of it. Pure: no DOM, no clock, no network.
 *
 * Frames go into the truth at once; `publish` carries what changed over to what is shown. Pausing the page is
 * nothing but not publishing. Entities are never changed in place, so a reference that is equal is equal.
 *
 * @import {Locker, Door, Command, LockerEvent, LockerDetail, Frame, TailMessage} from "./types.js"
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

export class Store {
  /** Counts publications; equal revisions mean that nothing shown has changed. */
  revision = 0;

  /** @type {Map<string, View>} */
  #views = new Map();

  /**
   * Take one snapshot, diff, resync or error frame in.
   * @param {Frame & {code?: string, detail?: string}} frame
   * @returns {"applied" | "gap" | "ignored"} `gap`: a diff is missing; ask for a snapshot of that view.
   */
  apply(frame) {
    const view = frame.view ? this.#views.get(frame.view) : undefined;
    if (!view) return "ignored";
    if (frame.type === "error") {
      if (view.status.phase === "ready") return "ignored";
      view.status = { phase: "failed", code: frame.code ?? "", detail: frame.detail ?? "" };
      view.changed = true;
      return "applied";
    }
    if (frame.type === "resync") {
      view.seq = null;
      return "applied";
    }
    const seq = frame.seq ?? 0;
    if (frame.type === "snapshot") {
      view.replace(frame.data);
      view.seq = seq;
      view.at = frame.at ?? "";
      view.status = READY;
      return "applied";
    }
    if (frame.type !== "diff" || view.seq === null) return "ignored";
    if (seq <= view.seq) return "ignored";
    if (seq !== view.seq + 1) {
      view.seq = null;
      return "gap";
    }
    view.merge(frame.data);
    view.seq = seq;
    view.at = frame.at ?? "";
    return "applied";
  }

  /**
   * Start to keep a view, empty and loading; nothing happens when it is kept already.
   * @param {string} name one of those in docs/api.md, as `fleet` or `locker:{id}`
   */
  open(name) {
    if (this.#views.has(name)) return;
    const kind = name.split(":", 1)[0];
    if (kind === "fleet" || kind === "site") this.#views.set(name, new FleetView());
    else if (kind === "locker") this.#views.set(name, new DetailView());
    else if (kind === "alarms" || kind === "commands" || kind === "jobs") this.#views.set(name, new ListView(kind));
    else if (kind === "tail") this.#views.set(name, new TailView());
    else if (kind === "events") this.#views.set(name, new FeedView());
    else this.#views.set(name, new ValueView());
  }

  /** Forget a view. @param {string} name */
  close(name) {
    this.#views.delete(name);
  }

  /** A new connection: every view waits for its snapshot, and keeps showing what it has until then. */
  disconnected() {
    for (const view of this.#views.values()) view.seq = null;
  }

  /**
   * Show what is known.
   * @param {boolean} paused then only views that never showed anything are brought up.
   * @returns {boolean} whether anything shown has changed.
   */
  publish(paused = false) {
    let changed = false;
    for (const view of this.#views.values()) {
      if (view.changed && !(paused && view.everShown)) {
        view.publish();
        view.changed = false;
        view.everShown = view.status.phase === "ready";
        changed = true;
      }
    }
    if (changed) this.revision += 1;
    return changed;
  }

  /** How many changed things wait to be shown. */
  get waiting() {
    let sum = 0;
    for (const view of this.#views.values()) if (view.everShown) sum += view.waiting;
    return sum;
  }

  /** @param {string} name @returns {ViewStatus} */
  status(name) {
    return this.#views.get(name)?.status ?? LOADING;
  }

  /** The fleet as shown, by id. @returns {ReadonlyMap<string, Locker>} */
  get lockers() {
    const view = this.#views.get("fleet");
    return view instanceof FleetView ? view.shown : NO_LOCKERS;
  }

  /** Lockers that the last publication changed: what a drawing of all of them has to draw again. @returns {ReadonlySet<string>} */
  get touched() {
    const view = this.#views.get("fleet");
    return view instanceof FleetView ? view.touched : NO_IDS;
  }

  /** The lockers of one site as shown, by id. @param {string} site @returns {ReadonlyMap<string, Locker>} */
  site(site) {
    const view = this.#views.get(`site:${site}`);
    return view instanceof FleetView ? view.shown : NO_LOCKERS;
  }

  /**
   * Open alarms, newest commands or jobs as shown, by id, and what stands beside them (`total`, `health`).
   * @param {string} name `alarms`, `alarms:{locker}`, `commands` or `jobs`
   * @returns {Listed}
   */
  list(name) {
    const view = this.#views.get(name);
    return view instanceof ListView ? view.shown : NO_LIST;
  }

  /** `summary` or `health` as shown, null before the first. @param {string} name @returns {any} */
  value(name) {
    const view = this.#views.get(name);
    return view instanceof ValueView ? view.shown : null;
  }

  /** Messages of one locker as shown, newest last. @param {string} id @returns {Tail} */
  tail(id) {
    const view = this.#views.get(`tail:${id}`);
    return view instanceof TailView ? view.shown : NO_TAIL;
  }

  /** When the hub made what is shown of a view, in its own clock; "" before the first. @param {string} name */
  madeAt(name) {
    return this.#views.get(name)?.at ?? "";
  }

  /** One locker as shown; null until its snapshot. @param {string} id @returns {Detail | null} */
  detail(id) {
    const view = this.#views.get(`locker:${id}`);
    return view instanceof DetailView ? view.shown : null;
  }

  /**
   * One command as known, paused or not: who pressed a button sees what came of it.
   * @param {string} lockerId @param {string} commandId @returns {Command | null}
   */
  command(lockerId, commandId) {
    const view = this.#views.get(`locker:${lockerId}`);
    return (view instanceof DetailView && view.commands.get(commandId)) || null;
  }

  /** A feed as shown, newest first. @param {string} name @returns {Feed} */
  feed(name) {
    const view = this.#views.get(name);
    return view instanceof FeedView ? view.shown : NO_FEED;
  }
}

/** What makes an event that event. @param {LockerEvent} event */
export function eventKey(event) {
  return `${event.locker} ${event.epoch} ${event.seq}`;
}

/** @type {ViewStatus} */
const LOADING = { phase: "loading", code: "", detail: "" };
/** @type {ViewStatus} */
const READY = { phase: "ready", code: "", detail: "" };
/** @type {ReadonlyMap<string, Locker>} */
const NO_LOCKERS = new Map();
/** @type {Feed} */
const NO_FEED = { events: [], skipped: 0 };

/** @type {ReadonlySet<string>} */
const NO_IDS = new Set();
/** @type {Listed} */
const NO_LIST = { items: new Map(), total: 0, health: null };
/** @type {Tail} */
const NO_TAIL = { messages: [], skipped: 0 };

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

class FleetView extends ViewBase {
  /** @type {Map<string, Locker>} */
  truth = new Map();
  /** @type {Map<string, Locker>} */
  shown = new Map();
  /** @type {Set<string>} */
  dirty = new Set();
  /** @type {ReadonlySet<string>} */
  touched = NO_IDS;

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

class DetailView extends ViewBase {
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

class FeedView extends ViewBase {
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
class ListView extends ViewBase {
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
class ValueView extends ViewBase {
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
class TailView extends ViewBase {
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

/** @param {unknown} a @param {unknown} b */
function same(a, b) {
  return a !== undefined && JSON.stringify(a) === JSON.stringify(b);
}
