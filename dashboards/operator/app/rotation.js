/**
 * What a wallboard shows, and for how long: read from its address. Pure.
 *
 * @typedef {{kind: "overview" | "alarms" | "site", site: string}} WallPage
 * @typedef {{pages: WallPage[], everyS: number, problems: string[]}} Rotation
 */

const EVERY_S = 20;
const EVERY_S_MIN = 5;
const EVERY_S_MAX = 3600;
const PAGES_MAX = 30;

/** @param {URLSearchParams} params @returns {Rotation} what makes no sense is left out and said */
export function rotationOf(params) {
  const problems = [];
  const asked = params.get("rotate");
  let everyS = asked === null ? EVERY_S : Number(asked);
  if (!(everyS >= EVERY_S_MIN && everyS <= EVERY_S_MAX)) {
    problems.push(`“rotate=${asked}” is no number of seconds from ${EVERY_S_MIN} to ${EVERY_S_MAX}.`);
    everyS = EVERY_S;
  }
  /** @type {WallPage[]} */
  const pages = [];
  for (const name of (params.get("pages") ?? "overview,alarms").split(",").filter(Boolean)) {
    if (name === "overview" || name === "alarms") pages.push({ kind: name, site: "" });
    else if (name.startsWith("site:") && name.length > 5) pages.push({ kind: "site", site: name.slice(5) });
    else problems.push(`“${name}” is no page of a wallboard; it can be overview, alarms or site:NAME.`);
  }
  if (pages.length > PAGES_MAX) problems.push(`Only the first ${PAGES_MAX} pages are shown.`);
  return { pages: pages.length > 0 ? pages.slice(0, PAGES_MAX) : [{ kind: "overview", site: "" }], everyS, problems };
}
