/**
 * What the hub said, and what the page shows of it. Pure: no DOM, no clock, no network.
 *
 * Frames go into the truth at once; `publish` carries what changed over to what is shown. Pausing the page is
 * nothing but not publishing.
 *
 * @import {Locker, Command, Frame} from "./types.js"
 * @import {Detail, Feed, Listed, Tail, View, ViewStatus} from "./kept.js"
 */

import {
  DetailView,
  FeedView,
  FleetView,
  LOADING,
  ListView,
  NO_FEED,
  NO_IDS,
  NO_LIST,
  NO_LOCKERS,
  NO_TAIL,
  READY,
  TailView,
  ValueView,
} from "./kept.js";

export { COMMANDS_MAX, FEED_EVENTS_MAX, FLEET_COMMANDS_MAX, TAIL_MESSAGES_MAX, eventKey } from "./kept.js";

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

  /** Counts what was shown anew of the fleet: `touched` belongs to this publication, and to no earlier one. */
  get fleetRevision() {
    const view = this.#views.get("fleet");
    return view instanceof FleetView ? view.published : 0;
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
