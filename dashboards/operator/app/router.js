/**
 * Addresses of the page. Every view is a link; the hub answers each of them with the same document.
 *
 * @typedef {"overview" | "lockers" | "locker" | "label" | "alarms" | "alarm" | "alarm-health" | "alarm-rules" | "maintenance"
 *   | "commands" | "command" | "jobs" | "job-new" | "job" | "events" | "audit" | "statistics" | "health" | "wall" | "missing"} RouteName
 * @typedef {{name: RouteName, id: string}} Route `id` is "" where the address has none.
 */

/** The first that fits; `*` is the id. @type {ReadonlyArray<[string, RouteName]>} */
const ADDRESSES = [
  ["/", "overview"],
  ["/index.html", "overview"],
  ["/lockers", "lockers"],
  ["/lockers/*", "locker"],
  ["/lockers/*/label", "label"],
  ["/alarms", "alarms"],
  ["/alarms/health", "alarm-health"],
  ["/alarms/rules", "alarm-rules"],
  ["/alarms/*", "alarm"],
  ["/maintenance", "maintenance"],
  ["/commands", "commands"],
  ["/commands/*", "command"],
  ["/jobs", "jobs"],
  ["/jobs/new", "job-new"],
  ["/jobs/*", "job"],
  ["/events", "events"],
  ["/audit", "audit"],
  ["/statistics", "statistics"],
  ["/health", "health"],
  ["/wall", "wall"],
];

/** Live views that a route is drawn from; `*` is its id. @type {Partial<Record<RouteName, readonly string[]>>} */
const VIEWS = {
  overview: ["fleet"],
  lockers: ["fleet"],
  locker: ["locker:*", "events:*", "alarms:*"],
  maintenance: ["fleet"],
  commands: ["commands"],
  jobs: ["jobs"],
  "job-new": ["fleet"],
  events: ["events"],
  health: ["health"],
  wall: ["fleet"],
};

/** What the frame around every view shows: the badge, and new alarms that are told. */
const ALWAYS = ["summary", "alarms"];
/** What remains live while the past is looked at: how many alarms there are now. */
const ALWAYS_NOW = ["summary"];

/** Pages that are drawn from history under `?at=`; the others say that they show now. @type {readonly RouteName[]} */
const WITH_PAST = ["overview", "lockers", "locker", "alarms"];

/** @param {string} path @returns {Route} */
export function routeOf(path) {
  const asked = path === "/" ? path : path.replace(/\/$/, "");
  for (const [pattern, name] of ADDRESSES) {
    const found = new RegExp(`^${pattern.replace("*", "([^/]+)")}$`).exec(asked);
    if (!found) continue;
    try {
      return { name, id: found[1] ? decodeURIComponent(found[1]) : "" };
    } catch {
      break;
    }
  }
  return { name: "missing", id: "" };
}

/** Live views that a part of a page is drawn from while it is open. @type {Partial<Record<string, readonly string[]>>} */
const PARTS = { "locker#messages": ["tail:*"] };

/**
 * The live views that a route lives on.
 * @param {Route} route @param {boolean} [past] whether a moment of the past is shown @param {string} [hash] @returns {string[]}
 */
export function viewsOf(route, past = false, hash = "") {
  if (past && hasPast(route)) return ALWAYS_NOW;
  const views = [...(VIEWS[route.name] ?? []), ...(PARTS[route.name + hash] ?? [])];
  return [...new Set([...ALWAYS, ...views.map((view) => view.replace("*", route.id))])];
}

/** Whether a page can show the past. @param {Route} route */
export function hasPast(route) {
  return WITH_PAST.includes(route.name);
}

/** The same address at the moment `at`, or now with "". @param {string} address @param {string} at */
export function addressAt(address, at) {
  const url = new URL(address, location.origin);
  url.searchParams.delete("at");
  if (at) url.searchParams.set("at", at);
  return url.pathname + url.search + url.hash;
}

/** @param {string} id */
export function lockerAddress(id) {
  return `/lockers/${encodeURIComponent(id)}`;
}

export class Router {
  /** @type {Route} */
  route = routeOf(location.pathname);
  /** The `at` of the address as it is written; "" without one. It stays while somebody moves from page to page. */
  at = new URLSearchParams(location.search).get("at") ?? "";
  #changed;

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed;
    addEventListener("popstate", () => this.#follow());
    document.addEventListener("click", (event) => this.#click(event));
  }

  /** Go to an address of this page, at the moment that is looked at. @param {string} address */
  go(address) {
    history.pushState(null, "", this.#kept(address));
    this.#follow();
    scrollTo(0, 0);
  }

  /** Change the address of what is shown, without a step in the history. @param {string} address */
  rename(address) {
    const kept = this.#kept(address);
    if (kept !== location.pathname + location.search) history.replaceState(null, "", kept);
  }

  /** Show the same page at another moment; "" is now. @param {string} at RFC 3339 */
  travel(at) {
    history.pushState(null, "", addressAt(location.pathname + location.search, at));
    this.#follow();
  }

  /** @param {string} address */
  #kept(address) {
    return this.at && !new URL(address, location.origin).searchParams.has("at") ? addressAt(address, this.at) : address;
  }

  /** Turn to another part of the same page, without a step in the history. @param {string} hash with its #; "" is none */
  turn(hash) {
    history.replaceState(null, "", location.pathname + location.search + hash);
    this.#follow();
  }

  #follow() {
    this.route = routeOf(location.pathname);
    this.at = new URLSearchParams(location.search).get("at") ?? "";
    this.#changed();
  }

  /** @param {MouseEvent} event */
  #click(event) {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
    if (!(link instanceof HTMLAnchorElement) || link.origin !== location.origin || link.target || link.hasAttribute("download")) return;
    if (link.hash && link.pathname + link.search === location.pathname + location.search) return;
    event.preventDefault();
    this.go(link.pathname + link.search + link.hash);
  }
}
