/**
 * The fleet, a locker and the open alarms at a moment of the past, from the hub's history. A few answers are kept:
 * stepping back and forth asks once.
 *
 * @import {Alarm, Locker, LockerDetail, LockerEvent} from "./types.js"
 */

import { Refusal } from "./api.js";

/** Answers kept; the oldest leaves first. A fleet of 5,000 lockers is some megabytes. */
const ANSWERS_MAX = 12;
/** Alarms asked for; the hub's own limit of a page. */
const ALARMS_MAX = 500;

/**
 * @typedef {"loading" | "ready" | "failed"} Phase
 * @typedef {{phase: Phase, code: string, detail: string, data: any}} Answer
 * @typedef {{phase: Phase, detail: string, knownSince: string, lockers: ReadonlyMap<string, Locker>}} PastFleet
 * @typedef {{phase: Phase, code: string, detail: string, knownSince: string, locker: LockerDetail | null, alarms: Alarm[], events: LockerEvent[]}} PastLocker
 */

/** @type {Answer} */
const LOADING = { phase: "loading", code: "", detail: "", data: null };

export class Past {
  /** The moment; null is now, and there is no past to ask for. @type {Date | null} */
  at = null;

  #get;
  #changed;
  /** @type {Map<string, Answer>} */
  #answers = new Map();

  /**
   * @param {object} parts
   * @param {(path: string) => Promise<any>} parts.get
   * @param {() => void} parts.changed called when an answer has come
   */
  constructor({ get, changed }) {
    this.#get = get;
    this.#changed = changed;
  }

  /** The fleet as of then. @returns {PastFleet} */
  get fleet() {
    const { phase, detail, data } = this.#ask("/api/v1/history/fleet", fleetOf);
    return { phase, detail, knownSince: data?.knownSince ?? "", lockers: data?.lockers ?? NO_LOCKERS };
  }

  /** One locker as of then, with the alarms that were open and the newest events before. @param {string} id @returns {PastLocker} */
  locker(id) {
    const { phase, code, detail, data } = this.#ask(`/api/v1/history/lockers/${encodeURIComponent(id)}`, lockerOf);
    return { phase, code, detail, ...(data ?? NO_LOCKER) };
  }

  /** Alarms that were open then, newest first. @returns {{phase: Phase, detail: string, alarms: Alarm[]}} */
  get alarms() {
    const { phase, detail, data } = this.#ask(`/api/v1/alarms?limit=${ALARMS_MAX}`, (answer) => answer.items);
    return { phase, detail, alarms: data ?? [] };
  }

  /** Ask again for what failed. */
  retry() {
    for (const [path, { phase }] of this.#answers) if (phase === "failed") this.#answers.delete(path);
    this.#changed();
  }

  /** @param {string} path @param {(answer: any) => any} read @returns {Answer} */
  #ask(path, read) {
    if (!this.at) return LOADING;
    const asked = `${path}${path.includes("?") ? "&" : "?"}at=${encodeURIComponent(this.at.toISOString())}`;
    const known = this.#answers.get(asked);
    if (known) return known;
    this.#answers.set(asked, LOADING);
    for (const old of this.#answers.keys()) {
      if (this.#answers.size <= ANSWERS_MAX) break;
      this.#answers.delete(old);
    }
    void this.#load(asked, read);
    return LOADING;
  }

  /** @param {string} asked @param {(answer: any) => any} read */
  async #load(asked, read) {
    /** @type {Answer} */
    let answer;
    try {
      answer = { phase: "ready", code: "", detail: "", data: read(await this.#get(asked)) };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { code, title, detail } = error.problem;
      answer = { phase: "failed", code, detail: `${title}. ${detail}`, data: null };
    }
    if (this.#answers.has(asked)) this.#answers.set(asked, answer);
    this.#changed();
  }
}

/** @type {ReadonlyMap<string, Locker>} */
const NO_LOCKERS = new Map();
const NO_LOCKER = { knownSince: "", locker: null, alarms: [], events: [] };

/** @param {any} answer */
function fleetOf(answer) {
  const lockers = new Map(answer.lockers.map((/** @type {any} */ locker) => [locker.id, whole(locker)]));
  return { knownSince: answer.known_since ?? "", lockers };
}

/** @param {any} answer */
function lockerOf(answer) {
  const { known_since: knownSince, locker, alarms, events } = answer;
  const detail = { commands: [], ...whole(locker), doors: locker.doors ?? [] };
  return { knownSince: knownSince ?? "", locker: detail, alarms: alarms ?? [], events: events ?? [] };
}

/** What history does not have is null there; what is drawn from has to have a shape. @param {any} locker @returns {Locker} */
function whole(locker) {
  return {
    ...locker,
    boards: locker.boards ?? { total: 0, online: 0 },
    door_counts: locker.door_counts ?? { total: 0, open: 0, closed: 0, unknown: 0, out_of_service: 0 },
    alarms: locker.alarms ?? { critical: 0, high: 0, medium: 0, low: 0 },
    address: locker.address ?? "",
    serial: locker.serial ?? "",
    tags: locker.tags ?? [],
    maintenance: locker.maintenance ?? false,
  };
}
