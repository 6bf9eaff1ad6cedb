/** What narrows the list of lockers: tiles by state, search, choices, and a chip for each that is set. */

import { html, nothing } from "../../vendor/lit.js";
import { View } from "../element.js";
import { number, some } from "../format.js";
import { NO_FILTER, SEVERITIES, STATES, addressOf, count, isNarrow, sites, tags } from "../select.js";
import { fleetMark, icon, lockerMark, openMark } from "./marks.js";
import "./saved-views.js";

/** @import {AlarmFilter, Filter, Sort, StateFilter} from "../types.js" */

/** @type {Record<StateFilter, {label: string, mark: () => unknown}>} */
const TILES = {
  all: { label: "All lockers", mark: fleetMark },
  online: { label: "Online", mark: () => lockerMark("online") },
  offline: { label: "Offline", mark: () => lockerMark("offline") },
  open: { label: "Doors open", mark: openMark },
  never_seen: { label: "Never seen", mark: () => lockerMark("never_seen") },
};

/** @type {Record<Sort, string>} */
const SORTS = { attention: "Attention first", alarms: "Worst alarms", id: "By id", name: "By name", heard: "Last heard" };

/** Tells with an event `narrowed`, whose detail is the change, and `exported`. */
class LockerFilters extends View {
  static properties = { shown: { attribute: false }, open: { state: true } };

  constructor() {
    super();
    /** How many lockers are listed. */
    this.shown = 0;
    /** Whether the choices are unfolded where there is no room for them. */
    this.open = false;
  }

  #counted = { key: "", counts: count([]), sites: /** @type {string[]} */ ([]), tags: /** @type {string[]} */ ([]) };

  render() {
    const { filter, fleet } = this.app;
    if (this.#counted.key !== fleet.key) {
      const lockers = fleet.lockers;
      this.#counted = { key: fleet.key, counts: count(lockers.values()), sites: sites(lockers.values()), tags: tags(lockers.values()) };
    }
    return html`${this.#tiles(fleet.phase !== "ready")} ${this.#toolbar(filter)} ${this.#chips(filter)}`;
  }

  /** @param {boolean} loading */
  #tiles(loading) {
    const { counts } = this.#counted;
    const { filter } = this.app;
    return html`<nav class="tiles" aria-label="Lockers by state">
      ${STATES.map(
        (state) => html`<a class="tile tile-${state}" href=${addressOf({ ...filter, state })}
          data-abnormal=${(state === "offline" || state === "open") && counts[state] > 0 ? "yes" : "no"}
          aria-current=${filter.state === state ? "true" : "false"}>
          <span class="tile-count">${loading ? "–" : number(counts[state])}</span>
          <span class="tile-label">${TILES[state].mark()}${TILES[state].label}</span>
          ${state === "open"
            ? html`<span class="tile-more">${counts.openDoors > counts.open ? some(counts.openDoors, "door") : nothing}</span>`
            : nothing}
        </a>`,
      )}
    </nav>`;
  }

  /** @param {Filter} filter */
  #toolbar(filter) {
    const set = [filter.site, filter.tag, filter.alarms, filter.maintenance, filter.out].filter(Boolean).length;
    return html`<div class="toolbar" role="search">
      <label class="search">
        ${icon("search")}<span class="unseen">Search by id, name, site, address, serial, firmware or tag</span>
        <input id="search" type="search" placeholder="Search" autocomplete="off" spellcheck="false"
          .value=${filter.q} @input=${(/** @type {InputEvent} */ e) => this.#narrow({ q: inputOf(e).value.trim() })} />
        <kbd aria-hidden="true">/</kbd>
      </label>
      <button class="button fold" aria-expanded=${this.open} aria-controls="choices" @click=${() => (this.open = !this.open)}>Filter${set ? ` (${set})` : nothing}</button>
      <div id="choices" class="choices" data-open=${this.open ? "yes" : "no"}>
        ${this.#choice("Site", filter.site, [["", "All sites"], ...this.#counted.sites.map((site) => pair(site))], (site) => ({ site }))}
        ${this.#counted.tags.length > 0 || filter.tag
          ? this.#choice("Tag", filter.tag, [["", "All tags"], ...this.#counted.tags.map((tag) => pair(tag))], (tag) => ({ tag }))
          : nothing}
        ${this.#choice("Alarms", filter.alarms, [["", "Alarms or not"], ["any", "With alarms"], ...SEVERITIES.map((one) => /** @type {[string, string]} */ ([one, `${one} alarms`]))], (alarms) => ({ alarms: /** @type {AlarmFilter} */ (alarms) }))}
        ${this.#choice("Order", filter.sort, Object.entries(SORTS), (sort) => ({ sort: /** @type {Sort} */ (sort) }))}
        ${this.#check("By site", filter.grouped, (grouped) => ({ grouped }))}
        ${this.#check("Maintenance", filter.maintenance, (maintenance) => ({ maintenance }))}
        ${this.#check("Out of service", filter.out, (out) => ({ out }))}
      </div>
      <div class="toolbar-end">
        <span class="toolbar-count" role="status">${this.#summary(filter)}</span>
        <lh-saved-views .app=${this.app}></lh-saved-views>
        <button class="button" ?disabled=${this.shown === 0} @click=${() => this.dispatchEvent(new CustomEvent("exported"))} title="The listed lockers as a file">CSV</button>
      </div>
    </div>`;
  }

  /**
   * @param {string} label @param {string} value @param {ReadonlyArray<readonly [string, string]>} options
   * @param {(value: string) => Partial<Filter>} change
   */
  #choice(label, value, options, change) {
    return html`<label class="choice"><span class="unseen">${label}</span>
      <select @change=${(/** @type {Event} */ e) => this.#narrow(change(/** @type {HTMLSelectElement} */ (e.target).value))}>
        ${options.map(([option, word]) => html`<option value=${option} ?selected=${value === option}>${word}</option>`)}
      </select></label>`;
  }

  /** @param {string} label @param {boolean} value @param {(value: boolean) => Partial<Filter>} change */
  #check(label, value, change) {
    return html`<label class="check"><input type="checkbox" .checked=${value}
      @change=${(/** @type {Event} */ e) => this.#narrow(change(inputOf(e).checked))} /> ${label}</label>`;
  }

  /** @param {Filter} filter */
  #chips(filter) {
    /** @type {Array<[string, Partial<Filter>]>} */
    const set = [];
    if (filter.q) set.push([`“${filter.q}”`, { q: "" }]);
    if (filter.state !== "all") set.push([TILES[filter.state].label, { state: "all" }]);
    if (filter.site) set.push([`Site ${filter.site}`, { site: "" }]);
    if (filter.tag) set.push([`Tag ${filter.tag}`, { tag: "" }]);
    if (filter.alarms) set.push([filter.alarms === "any" ? "With alarms" : `Alarms ${filter.alarms}`, { alarms: "" }]);
    if (filter.maintenance) set.push(["Maintenance", { maintenance: false }]);
    if (filter.out) set.push(["Out of service", { out: false }]);
    if (set.length === 0) return nothing;
    return html`<ul class="chips" aria-label="Filters that are set">
      ${set.map(([word, change]) => html`<li><a class="chip" href=${addressOf({ ...filter, ...change })} aria-label=${`Leave out ${word}`}>${word}${icon("close")}</a></li>`)}
      ${set.length > 1 ? html`<li><a href=${addressOf({ ...NO_FILTER, sort: filter.sort, grouped: filter.grouped })}>All lockers again</a></li>` : nothing}
    </ul>`;
  }

  /** @param {Filter} filter */
  #summary(filter) {
    const { lockers } = this.app.fleet;
    if (lockers.size === 0) return "";
    return isNarrow(filter) ? `${number(this.shown)} of ${number(lockers.size)}` : some(this.shown, "locker");
  }

  /** @param {Partial<Filter>} change */
  #narrow(change) {
    this.dispatchEvent(new CustomEvent("narrowed", { detail: change }));
  }
}

/** @param {string} word @returns {[string, string]} */
function pair(word) {
  return [word, word];
}

/** @param {Event} event */
function inputOf(event) {
  return /** @type {HTMLInputElement} */ (event.target);
}

customElements.define("lh-locker-filters", LockerFilters);
