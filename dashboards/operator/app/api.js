/**
 * The hub's HTTP calls that this page makes. Every failure is a Refusal with a title and a detail for people.
 *
 * @import {Problem, Command, LockerEvent} from "./types.js"
 */

/** No call waits longer: a command's own deadline is far below. */
const TIMEOUT_MS = 10_000;

/** The hub said no, or nobody knows what it said (`problem.code` is then `no_answer`). */
export class Refusal extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.title);
    this.problem = problem;
  }
}

export class Api {
  #signInNeeded;

  /** @param {() => void} signInNeeded called when any call is answered with 401. */
  constructor(signInNeeded) {
    this.#signInNeeded = signInNeeded;
  }

  /** @returns {Promise<{needed: boolean, signed_in: boolean, operator: string | null, role: string | null}>} */
  session() {
    return this.#call("GET", "/api/v1/session");
  }

  /** @param {string} token */
  signIn(token) {
    return this.#call("POST", "/api/v1/session", { body: { token } });
  }

  signOut() {
    return this.#call("DELETE", "/api/v1/session");
  }

  /**
   * Send a command and wait until the agent has replied or can no longer reply.
   * @param {string} lockerId
   * @param {{kind: "open" | "locate", door?: number, reason?: string}} body
   * @param {string} key the same key with the same body is the same command, however often it is sent
   * @returns {Promise<Command>}
   */
  send(lockerId, body, key) {
    const path = `/api/v1/lockers/${encodeURIComponent(lockerId)}/commands?wait=pulse`;
    return this.#call("POST", path, { body, headers: { "Idempotency-Key": key } });
  }

  /** @param {string} id @returns {Promise<Command>} */
  command(id) {
    return this.#call("GET", `/api/v1/commands/${encodeURIComponent(id)}`);
  }

  /**
   * One page of a locker's history, newest first. A cursor goes with the `until` of its first page.
   * @param {string} lockerId
   * @param {{until?: string, cursor?: string, limit: number}} page
   * @returns {Promise<{items: LockerEvent[], next_cursor: string | null}>}
   */
  events(lockerId, { until, cursor, limit }) {
    const query = new URLSearchParams({ limit: String(limit) });
    if (until) query.set("until", until);
    if (cursor) query.set("cursor", cursor);
    return this.#call("GET", `/api/v1/lockers/${encodeURIComponent(lockerId)}/events?${query}`);
  }

  /** @param {string} path with its query @returns {Promise<any>} */
  get(path) {
    return this.#call("GET", path);
  }

  /** @param {string} path @param {object} body @param {string} [key] see `send` @returns {Promise<any>} */
  post(path, body, key) {
    return this.#call("POST", path, { body, headers: key ? { "Idempotency-Key": key } : {} });
  }

  /** @param {string} path @param {object} body @returns {Promise<any>} */
  put(path, body) {
    return this.#call("PUT", path, { body });
  }

  /** @param {string} path @param {object} body @returns {Promise<any>} */
  patch(path, body) {
    return this.#call("PATCH", path, { body });
  }

  /**
   * @param {string} method @param {string} path
   * @param {{body?: object, headers?: Record<string, string>}} [more]
   * @returns {Promise<any>}
   */
  async #call(method, path, { body, headers = {} } = {}) {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), TIMEOUT_MS);
    try {
      const answer = await fetch(path, {
        method,
        signal: stop.signal,
        headers: body ? { ...headers, "Content-Type": "application/json" } : headers,
        body: body ? JSON.stringify(body) : undefined,
      });
      if (answer.ok) return answer.status === 204 ? null : await answer.json();
      const problem = await readProblem(answer);
      if (answer.status === 401) this.#signInNeeded();
      throw new Refusal(problem);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      throw new Refusal({ ...NO_ANSWER, retryAfterS: null });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** A key that no other command has, also where the page is not served over HTTPS. */
export function freshKey() {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

const NO_ANSWER = {
  status: 0,
  code: "no_answer",
  title: "The hub did not answer",
  detail: "Nobody knows here whether it arrived. Trying again is safe: the same command is never done twice.",
};

/** @param {Response} answer @returns {Promise<Problem>} */
async function readProblem(answer) {
  const problem = await answer.json().catch(() => ({}));
  const retryAfter = Number(answer.headers.get("Retry-After") ?? "");
  return {
    status: answer.status,
    code: String(problem.code ?? ""),
    title: String(problem.title ?? `The hub answered with status ${answer.status}`),
    detail: String(problem.detail ?? ""),
    retryAfterS: retryAfter > 0 ? retryAfter : null,
  };
}
