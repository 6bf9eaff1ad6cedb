/** The addresses of the hub's HTTP side that one locker's page asks. */

/** @param {string} id @param {number} seconds @param {number} untilMs @param {number} points */
export function plotPath(id, seconds, untilMs, points) {
  return spanPath(id, untilMs - seconds * 1000, untilMs, points);
}

/** @param {string} id @param {number} sinceMs @param {number} untilMs @param {number} points */
export function spanPath(id, sinceMs, untilMs, points) {
  const query = new URLSearchParams({
    since: new Date(sinceMs).toISOString(),
    until: new Date(untilMs).toISOString(),
    points: String(points),
  });
  return `${lockerPath(id)}/telemetry/plot?${query}`;
}

export function rulesPath() {
  return "/api/v1/alarms/rules";
}

/** @param {string} id */
export function lockerPath(id) {
  return `/api/v1/lockers/${encodeURIComponent(id)}`;
}
