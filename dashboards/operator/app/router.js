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
  overview: ["fleet", "alarms"],
  lockers: ["fleet"],
  locker: ["locker:*", "events:*", "alarms:*"],
  alarms: ["alarms"],
  "alarm-health": ["alarms"],
  alarm: ["alarms"],
  commands: ["commands"],
  jobs: ["jobs"],
  "job-new": ["fleet"],
  events: ["events"],
  health: ["health"],
  wall: ["fleet", "alarms"],
};

/** What the frame around every view shows. */
const ALWAYS = ["summary"];

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

/** The live views that a route lives on. @param {Route} route @returns {string[]} */
export function viewsOf(route) {
  return [...ALWAYS, ...(VIEWS[route.name] ?? []).map((view) => view.replace("*", route.id))];
}

/** @param {string} id */
export function lockerAddress(id) {
  return `/lockers/${encodeURIComponent(id)}`;
}

export class Router {
  /** @type {Route} */
  route = routeOf(location.pathname);
  #changed;

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed;
    addEventListener("popstate", () => this.#follow());
    document.addEventListener("click", (event) => this.#click(event));
  }

  /** Go to an address of this page. @param {string} address */
  go(address) {
    history.pushState(null, "", address);
    this.#follow();
    scrollTo(0, 0);
  }

  /** Change the address of what is shown, without a step in the history. @param {string} address */
  rename(address) {
    if (address !== location.pathname + location.search) history.replaceState(null, "", address);
  }

  #follow() {
    this.route = routeOf(location.pathname);
    this.#changed();
  }

  /** @param {MouseEvent} event */
  #click(event) {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
    if (!(link instanceof HTMLAnchorElement) || link.origin !== location.origin || link.target) return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }
}
