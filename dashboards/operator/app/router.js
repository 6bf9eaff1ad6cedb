/**
 * Addresses of the page. Every view is a link; the hub answers each of them with the same document.
 *
 * @typedef {{name: "fleet"} | {name: "events"} | {name: "locker", id: string} | {name: "missing"}} Route
 */

/** @param {string} path @returns {Route} */
export function routeOf(path) {
  if (path === "/" || path === "/index.html") return { name: "fleet" };
  if (path === "/events" || path === "/events/") return { name: "events" };
  const locker = /^\/lockers\/([^/]+)\/?$/.exec(path);
  if (!locker) return { name: "missing" };
  try {
    return { name: "locker", id: decodeURIComponent(locker[1]) };
  } catch {
    return { name: "missing" };
  }
}

/** The views that a route lives on. @param {Route} route @returns {string[]} */
export function viewsOf(route) {
  if (route.name === "fleet") return ["fleet"];
  if (route.name === "events") return ["events"];
  if (route.name === "locker") return [`locker:${route.id}`, `events:${route.id}`];
  return [];
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
