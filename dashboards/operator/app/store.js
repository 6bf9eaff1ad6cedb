/**
 * What the hub said, and what the page shows of it. Pure: no DOM, no clock, no network.
 *
 * Frames go into the truth at once; `publish` carries what changed over to what is shown. Pausing the page is
 * nothing but not publishing. Entities are never changed in place, so a reference that is equal is equal.
 *
 * @import {Locker, Door, Command, LockerEvent, LockerDetail, Frame} from "./types.js"
 */

/** Events kept of each feed; the oldest leave first. The hub has them all. */
export const FEED_EVENTS_MAX = 500;

/** Commands kept of one locker, as many as the hub's own snapshot holds. */
export const COMMANDS_MAX = 20;

/**
 * @typedef {{phase: "loading" | "ready" | "failed", code: string, detail: string}} ViewStatus
 * @typedef {{locker: Locker, doors: Door[], commands: Command[]}} Detail
 * @typedef {{events: LockerEvent[], skipped: number}} Feed
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
    return "applied";
  }

  /**
   * Start to keep a view, empty and loading; nothing happens when it is kept already.
   * @param {string} name `fleet`, `locker:{id}`, `events` or `events:{id}`
   */
  open(name) {
    if (this.#views.has(name)) return;
    if (name === "fleet") this.#views.set(name, new FleetView());
    else if (name.startsWith("locker:")) this.#views.set(name, new DetailView());
    else this.#views.set(name, new FeedView());
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

/** @typedef {FleetView | DetailView | FeedView} View */

class ViewBase {
  /** The last frame's number; null while a snapshot is awaited. @type {number | null} */
  seq = null;
  status = LOADING;
  changed = false;
  everShown = false;
}

class FleetView extends ViewBase {
  /** @type {Map<string, Locker>} */
  truth = new Map();
  /** @type {Map<string, Locker>} */
  shown = new Map();
  /** @type {Set<string>} */
  dirty = new Set();

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

  /** @param {{lockers?: Locker[], removed?: string[]}} data */
  merge(data) {
    for (const locker of data.lockers ?? []) this.#set(locker);
    for (const id of data.removed ?? []) this.#remove(id);
    this.changed = true;
  }

  publish() {
    for (const id of this.dirty) {
      const locker = this.truth.get(id);
      if (locker) this.shown.set(id, locker);
      else this.shown.delete(id);
    }
    this.dirty.clear();
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

  /** @param {{locker?: Locker, doors?: Door[], commands?: Command[]}} data */
  merge(data) {
    if (data.locker) {
      this.locker = data.locker;
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

/** @param {Iterable<Command>} commands */
function newestFirst(commands) {
  return [...commands].sort((a, b) => (a.accepted_at < b.accepted_at ? 1 : a.accepted_at > b.accepted_at ? -1 : 0));
}

/** @param {unknown} a @param {unknown} b */
function same(a, b) {
  return a !== undefined && JSON.stringify(a) === JSON.stringify(b);
}
