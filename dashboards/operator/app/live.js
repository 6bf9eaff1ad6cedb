/**
 * The live connection: one websocket, the views that are wanted, and an honest word about how fresh they are.
 *
 * @import {Store} from "./store.js"
 */

/** The protocol of docs/api.md that this page speaks. */
export const PROTOCOL = 2;

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15_000;
/** A retry is never sooner than this, however the jitter falls. */
const RETRY_MIN_MS = 200;
/** A view that is left stays subscribed for a while: coming back costs nothing. */
const LINGER_MS = 20_000;
/** More views than this do not linger; the hub allows each viewer 16. */
const VIEWS_MAX = 8;
/** After this silence the hub is pinged: a quiet fleet answers, a dead connection does not. */
const PROBE_AFTER_MS = 8_000;
/** An unanswered question makes the page stale after this, and is given up after that. */
const STALE_AFTER_MS = 3_000;
const GIVE_UP_AFTER_MS = 15_000;

/** @typedef {"connecting" | "live" | "stale" | "waiting" | "incompatible" | "stopped"} Phase */

export class Live {
  /** @type {Phase} */
  phase = "stopped";
  /** When the next try starts, by `clock`; only in phase `waiting`. */
  retryAt = 0;
  /** When the last frame came, by `clock`; 0 before the first. */
  heardAt = 0;
  /** The hub's wall clock minus this machine's. */
  skewMs = 0;
  /** What the hub said of itself. */
  hubVersion = "";

  #url;
  #store;
  #changed;
  #refused;
  /** @type {WebSocket | null} */
  #socket = null;
  #tries = 0;
  /** When the hub was asked whether it is still there; null when no answer is awaited. @type {number | null} */
  #probedAt = null;
  #retryTimer = 0;
  /** Subscribed views, with the time at which each is let go (0: wanted). @type {Map<string, number>} */
  #views = new Map();

  /**
   * @param {object} parts
   * @param {string} parts.url
   * @param {Store} parts.store
   * @param {() => void} parts.changed called after every frame and every change of phase
   * @param {() => void} parts.refused called when the hub closed before its hello: sign-in may be needed
   */
  constructor({ url, store, changed, refused }) {
    this.#url = url;
    this.#store = store;
    this.#changed = changed;
    this.#refused = refused;
  }

  /** Milliseconds that only go up, whatever happens to the wall clock. */
  static clock() {
    return performance.now();
  }

  /** Seconds since the last frame. */
  get silentS() {
    return this.heardAt ? Math.floor((Live.clock() - this.heardAt) / 1000) : 0;
  }

  start() {
    if (this.phase !== "stopped") return;
    this.#connect();
  }

  stop() {
    clearTimeout(this.#retryTimer);
    this.#drop();
    this.#become("stopped");
  }

  /** Try now instead of waiting. */
  retry() {
    if (this.phase === "waiting" || this.phase === "stale") this.#connect();
  }

  /** Say which views are wanted from now on. @param {readonly string[]} names */
  want(names) {
    for (const [name, letGoAt] of this.#views) {
      if (!names.includes(name) && letGoAt === 0) this.#views.set(name, Live.clock() + LINGER_MS);
    }
    for (const name of names) {
      const known = this.#views.has(name);
      this.#views.delete(name);
      this.#views.set(name, 0);
      if (known && this.#store.status(name).phase !== "failed") continue;
      this.#store.close(name);
      this.#store.open(name);
      this.#send("subscribe", name);
    }
    this.#letGo(Live.clock());
  }

  /** To be called once a second: lets views go, and finds out whether silence is quiet or loss. */
  tick() {
    const now = Live.clock();
    this.#letGo(now);
    if (this.phase !== "live" && this.phase !== "stale") return;
    if (now - this.heardAt < PROBE_AFTER_MS) return;
    if (this.#probedAt === null) {
      this.#probedAt = now;
      this.#send("ping");
    } else if (now - this.#probedAt >= GIVE_UP_AFTER_MS) {
      this.#lost();
    } else if (now - this.#probedAt >= STALE_AFTER_MS) {
      this.#become("stale");
    }
  }

  /** @param {number} now */
  #letGo(now) {
    for (const [name, letGoAt] of this.#views) {
      if (letGoAt !== 0 && (letGoAt <= now || this.#views.size > VIEWS_MAX)) {
        this.#views.delete(name);
        this.#store.close(name);
        this.#send("unsubscribe", name);
      }
    }
  }

  #connect() {
    clearTimeout(this.#retryTimer);
    this.#drop();
    this.#become("connecting");
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.addEventListener("message", (message) => this.#receive(message.data));
    socket.addEventListener("close", () => {
      if (this.#socket === socket) this.#lost();
    });
  }

  /** @param {unknown} text */
  #receive(text) {
    let frame;
    try {
      frame = JSON.parse(String(text));
    } catch {
      // Half a frame means that the stream cannot be trusted; a new connection brings snapshots.
      this.#lost();
      return;
    }
    this.heardAt = Live.clock();
    this.#probedAt = null;
    const sent = Date.parse(frame.at ?? frame.now ?? "");
    if (!Number.isNaN(sent)) this.skewMs = sent - Date.now();
    if (frame.type === "hello") this.#greet(frame);
    else if (this.#store.apply(frame) === "gap") this.#send("resync", frame.view);
    if (this.phase === "stale") this.#become("live");
    else this.#changed();
  }

  /** @param {{protocol: number, version: string}} hello */
  #greet(hello) {
    if (hello.protocol !== PROTOCOL) {
      this.#drop();
      this.#become("incompatible");
      return;
    }
    this.hubVersion = hello.version;
    this.#tries = 0;
    this.#become("live");
    for (const name of this.#views.keys()) this.#send("subscribe", name);
  }

  #lost() {
    const greeted = this.phase === "live" || this.phase === "stale";
    this.#drop();
    const longest = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** this.#tries);
    const delay = Math.max(RETRY_MIN_MS, Math.random() * longest);
    this.#tries += 1;
    this.retryAt = Live.clock() + delay;
    this.#retryTimer = setTimeout(() => this.#connect(), delay);
    this.#become("waiting");
    if (!greeted) this.#refused();
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#probedAt = null;
    socket?.close();
    this.#store.disconnected();
  }

  /** @param {string} type @param {string} [view] */
  #send(type, view) {
    const ready = this.phase === "live" || this.phase === "stale";
    if (ready && this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type, view }));
  }

  /** @param {Phase} phase */
  #become(phase) {
    this.phase = phase;
    this.#changed();
  }
}
