/** What is wrong now, the most urgent first; rows stay still while somebody points at them. History page by page. */

import { html, live, nothing, repeat } from "../../../vendor/lit.js";
import { CSV_NAMES, addressOf, askedOf, count, csvRow, filterFrom, foundOnHub, rows, sitesOf } from "../../alarm-select.js";
import { csvOf, download } from "../../csv.js";
import { View, placed } from "../../element.js";
import { SEVERITIES, SEVERITY_WORDS, clock, number, some } from "../../format.js";
import { Pages, withQuery } from "../../pages.js";
import { Selection } from "../../selection.js";
import { severityMark, toneMark } from "../marks.js";
import { more, refused } from "../more.js";
import { notice } from "../notice.js";
import "../saved-views.js";
import { AlarmActs, actButtons, deniedNote, targetOf } from "./acts.js";
import { KeyWalk, SHORTCUTS, windowOf } from "./keys.js";
import { alarmCells } from "./row.js";
import { alarmTabs } from "./tabs.js";
import { filterFields, nonsense, severityTiles, typeChips, unfiltered } from "./toolbar.js";

/**
 * @import {Alarm} from "../../types.js"
 * @import {Act} from "../../alarm-words.js"
 * @import {AlarmFilter, GroupRow, Row} from "../../alarm-select.js"
 * @import {Target} from "./acts.js"
 */

/** Rows are sorted anew at most this often. */
const SORT_EVERY_MS = 1000;
const PAGE_ROWS = 100;
/** @type {ReadonlyMap<string, Alarm>} */
const NO_ALARMS = new Map();

export class Alarms extends View {
  /** @type {Row[]} */
  rows = [];
  /** The row that the keyboard is on; -1 without one. */
  cursor = -1;
  rowHeight = 60;
  selection = new Selection();
  /** Whether all that the filter finds on the hub is meant, also what is not shown. */
  everything = false;
  work = new AlarmActs(this, () => this.#acted());
  /** @type {ReadonlyMap<string, Alarm>} */
  items = NO_ALARMS;

  #filter = filterFrom(new URLSearchParams()).filter;
  #at = "";
  /** @type {Pages | null} */
  #pages = null;
  #path = "";
  /** Ids of outages and groups that are unfolded. @type {Set<string>} */
  #opened = new Set();
  #sorted = { asked: "", items: NO_ALARMS, atMs: 0 };
  /** New alarms that wait until nobody points at the rows. */
  #fresh = 0;
  #pointed = false;
  #focused = false;
  #counted = { asked: "", items: NO_ALARMS, counts: count([], this.#filter), sites: /** @type {string[]} */ ([]) };
  #drawn = false;
  #keys = new KeyWalk(this);
  #moved = () => this.requestUpdate();

  connectedCallback() {
    super.connectedCallback();
    addEventListener("scroll", this.#moved, { passive: true });
    addEventListener("resize", this.#moved);
    addEventListener("popstate", this.#moved);
    this.#keys.listen();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    removeEventListener("scroll", this.#moved);
    removeEventListener("resize", this.#moved);
    removeEventListener("popstate", this.#moved);
    this.#keys.leave();
  }

  render() {
    const params = new URLSearchParams(location.search);
    const { filter, problems } = filterFrom(params);
    this.#filter = filter;
    this.#at = this.app.at ? this.app.at.toISOString() : "";
    const paged = filter.closed || this.#at !== "";
    if (paged) this.#ask();
    const { phase } = this.#phase(paged);
    this.items = paged ? this.#pagedItems() : this.app.store.list("alarms").items;
    this.selection.keep((id) => this.items.has(id) || phase !== "ready");
    this.#recount();
    this.#resort(paged);
    const denied = this.app.why("operator");
    return html`
      ${alarmTabs("/alarms")}
      <h1 class="unseen">${filter.closed ? "Closed alarms" : "Alarms"}</h1>
      ${nonsense(problems, filter)} ${this.#flood()} ${deniedNote(denied)}
      ${filter.closed ? nothing : html`${severityTiles(filter, this.#counted.counts, phase === "loading")} ${typeChips(filter, this.#counted.counts)}`}
      <div class="toolbar alarm-toolbar">
        <div class="toolbar-fields" role="search">${filterFields(filter, this.#counted.sites, { go: (change) => this.#go(change), type: (q) => this.typed(q) })}
          <button class="button" type="button" ?disabled=${this.rows.length === 0} @click=${() => this.#export()}>CSV</button><lh-saved-views .app=${this.app}></lh-saved-views></div>
        ${this.#bar(paged, denied)}
      </div>
      ${this.#body(paged, denied)} ${this.work.result()} ${this.work.dialogs()}
    `;
  }

  updated() {
    const list = this.querySelector(".rows");
    if (list instanceof HTMLElement) {
      const height = parseFloat(getComputedStyle(list).getPropertyValue("--row-height"));
      if ((height > 0 && height !== this.rowHeight) || !this.#drawn) {
        this.rowHeight = height || this.rowHeight;
        // The first drawing did not know where the list would lie.
        this.#drawn = true;
        this.requestUpdate();
      }
    }
    this.#keys.focus();
  }

  /** The alarm that the keyboard is on. @returns {Alarm | undefined} */
  get current() {
    const row = this.rows[this.cursor];
    return row?.kind === "alarm" ? this.items.get(row.id) : undefined;
  }

  /** The ids of all alarms in the list, in its order, also of groups that are not unfolded. */
  get order() {
    return this.rows.flatMap((row) => (row.kind === "alarm" ? [row.id] : row.kind === "group" && !row.open ? row.ids : []));
  }

  /** Act on what is marked, or else on what the keyboard is on. @param {Act} act @param {boolean} [noted] */
  act(act, noted = false) {
    const target = this.#target();
    if (target) void this.work.start(act, target, noted);
    else this.work.say("No alarm is marked. Move to one with j and k, or mark some with x.");
  }

  /** Unfold or fold the row that the keyboard is on. @param {boolean} open */
  unfold(open) {
    const row = this.rows[this.cursor];
    if (!row || row.kind === "more" || row.open === open || (row.kind === "alarm" && row.children.length === 0)) return;
    this.#toggle(row.id);
  }

  /** Mark every alarm that the filter finds: on the hub, where it would find the same. */
  markAll() {
    const found = foundOnHub(this.items.values(), this.#filter);
    this.selection.all(found ? found.map(({ id }) => id) : this.order);
    this.everything = found !== null;
    this.requestUpdate();
  }

  /** Mark one or no longer, or all from the last one to it. @param {string} id @param {boolean} range */
  mark(id, range) {
    this.#marked(() => (range ? this.selection.reach(id, this.order) : this.selection.toggle(id)));
  }

  unmark() {
    this.#marked(() => this.selection.clear());
  }

  shortcuts() {
    return { title: "Alarms", shortcuts: SHORTCUTS.map(({ keys, what, run }) => ({ keys, what, run: () => run(this, this.#keys) })) };
  }

  acts() {
    const why = this.app.why("operator") || (this.#target() ? "" : "No alarm is marked.");
    return [
      ...ACTS.map(([act, word]) => ({ name: `${word} what is marked`, why, run: () => this.act(act) })),
      { name: "Mark all alarms that match", run: () => this.markAll() },
      { name: "Keep the listed alarms as CSV", run: () => this.#export() },
      { name: "Alarms by type", run: () => this.#go({ group: "type" }) },
      { name: "Closed alarms", run: () => this.#go({ closed: true, state: [], group: "" }) },
    ];
  }

  /** @returns {Target | null} */
  #target() {
    const { selection } = this;
    if (selection.size === 0) return this.current ? targetOf([this.current]) : null;
    const known = selection.ids.map((id) => this.items.get(id)).filter((alarm) => alarm !== undefined);
    return this.everything ? { ids: [], filter: askedOf(this.#filter), known } : targetOf(known);
  }

  #acted() {
    if (this.work.outcome && !this.work.outcome.problem) this.unmark();
  }

  #ask() {
    const pages = (this.#pages ??= new Pages(this.app.api, () => this.requestUpdate()));
    const path = withQuery("/api/v1/alarms", { ...askedOf(this.#filter), at: this.#at, limit: PAGE_ROWS });
    if (path === this.#path) return;
    this.#path = path;
    // Not while drawing: loading asks for the next drawing at once.
    queueMicrotask(() => void pages.load(path));
  }

  #pagedItems() {
    const known = this.#pages?.items ?? [];
    if (this.items.size === known.length && known.every((alarm) => this.items.get(alarm.id) === alarm)) return this.items;
    return new Map(known.map((alarm) => [alarm.id, alarm]));
  }

  /** @param {boolean} paged @returns {{phase: string, detail: string}} */
  #phase(paged) {
    if (paged) return { phase: this.#pages?.phase === "idle" ? "loading" : (this.#pages?.phase ?? "loading"), detail: "" };
    return this.app.store.status("alarms");
  }

  #recount() {
    const asked = addressOf(this.#filter);
    if (this.#counted.items === this.items && this.#counted.asked === asked) return;
    const alarms = [...this.items.values()];
    this.#counted = { asked, items: this.items, counts: count(alarms, this.#filter), sites: sitesOf(alarms) };
  }

  /** @param {boolean} paged */
  #resort(paged) {
    const asked = `${addressOf(this.#filter)} ${this.#at} ${[...this.#opened].join()}`;
    const same = asked === this.#sorted.asked;
    if (same && this.items === this.#sorted.items) return;
    if (same && !paged && this.rows.length > 0 && performance.now() - this.#sorted.atMs < SORT_EVERY_MS) return;
    const next = this.#filter.closed
      ? [...this.items.keys()].map((id) => /** @type {Row} */ ({ kind: "alarm", id, level: 0, children: [], open: false }))
      : rows(this.items, this.#filter, this.#opened);
    this.#sorted.atMs = performance.now();
    if (same && !paged && this.rows.length > 0 && (this.#pointed || this.#focused)) {
      const shown = new Set(this.rows.flatMap((row) => (row.kind === "group" ? row.ids : [row.id])));
      this.#fresh = next.flatMap((row) => (row.kind === "group" ? row.ids : [row.id])).filter((id) => !shown.has(id)).length;
      return;
    }
    const on = this.rows[this.cursor]?.id;
    this.rows = next;
    this.#fresh = 0;
    this.#sorted.asked = asked;
    this.#sorted.items = this.items;
    this.cursor = on === undefined ? -1 : next.findIndex((row) => row.id === on);
  }

  #flood() {
    const { health } = this.app.store.list("alarms");
    if (!health?.flood || this.#filter.closed || this.#at) return nothing;
    const since = health.flood_since ? ` since ${clock(health.flood_since)}` : "";
    const { group } = this.#filter;
    return html`<div class="refused flood" role="alert">${toneMark("serious")}
      <p><strong>Alarm flood${since}:</strong> ${some(health.rate_10min, "alarm")} in ten minutes. Look for what they have in common before you look at single ones.</p>
      ${group === "type" ? nothing : html`<a class="button" href=${addressOf({ ...this.#filter, group: "type" })}>Group by type</a>`}
      ${group === "site" ? nothing : html`<a class="button" href=${addressOf({ ...this.#filter, group: "site" })}>Group by site</a>`}
    </div>`;
  }

  /** @param {boolean} paged @param {string} denied */
  #bar(paged, denied) {
    const { selection, order } = this;
    const n = selection.size;
    const all = n > 0 && order.every((id) => selection.has(id));
    const total = this.app.store.list("alarms").total;
    const cut = !paged && total > this.items.size;
    return html`<div class="act-bar">
      ${paged
        ? nothing
        : html`<label class="check"><input type="checkbox" .checked=${live(all)} .indeterminate=${n > 0 && !all} aria-label="Mark all in the list"
              ?disabled=${order.length === 0} @change=${() => this.#marked(() => toggleAll(selection, order))} /></label>
            ${n > 0
              ? html`<span class="act-bar-count">${this.everything ? `All ${number(n)}${cut ? " and what is not shown" : ""} that match` : some(n, "alarm")} marked</span>
                  ${all && !this.everything && !this.#filter.q && (cut || n > 1)
                    ? html`<button class="button" type="button" @click=${() => this.markAll()}>Mark all ${cut ? "" : number(n)} matching, on the hub</button>`
                    : nothing}
                  ${ACTS.map(([act, word]) => html`<button class="button" type="button" ?disabled=${denied !== ""} title=${denied}
                    aria-describedby=${denied ? "acts-denied" : nothing} @click=${(/** @type {MouseEvent} */ e) => this.act(act, e.shiftKey)}>${word}</button>`)}
                  <button class="button" type="button" @click=${() => this.unmark()}>Unmark</button>`
              : nothing}`}
      <span class="toolbar-count" role="status">${this.#fresh > 0 && n === 0
        ? html`<button class="button fresh" type="button" @click=${() => this.#letIn()}>${some(this.#fresh, "new alarm")}: show</button>`
        : this.#summary(paged, cut, total)}</span>
    </div>`;
  }

  /** @param {boolean} paged @param {boolean} cut @param {number} total */
  #summary(paged, cut, total) {
    if (paged) return this.items.size > 0 ? some(this.items.size, "alarm") : "";
    if (cut) return `${number(total)} open alarms in all, the worst ${number(this.items.size)} shown`;
    const { all, suppressed } = this.#counted.counts;
    return `${some(all, "alarm")}${suppressed > 0 && !this.#filter.suppressed ? `, ${number(suppressed)} suppressed` : ""}`;
  }

  /** @param {boolean} paged @param {string} denied */
  #body(paged, denied) {
    const { phase, detail } = this.#phase(paged);
    if (paged && this.#pages && phase === "failed" && this.items.size === 0) {
      return refused(this.#pages.problem, () => void this.#pages?.again());
    }
    if (!paged && phase === "failed") return notice("The hub does not show its alarms", detail, "failed");
    if (phase === "loading" && this.items.size === 0) {
      return html`<div class="skeleton" role="status"><span class="unseen">Loading alarms</span>${Array.from({ length: 6 }, () => html`<i></i>`)}</div>`;
    }
    if (this.rows.length === 0) return this.#nothing();
    return html`${this.#list(denied)} ${paged && this.#pages ? more(this.#pages, "alarm") : nothing}`;
  }

  /** @param {string} denied */
  #list(denied) {
    const visible = windowOf(this.querySelector(".rows"), this.rowHeight, this.rows.length, this.cursor);
    return html`<div class="columns alarm-columns" aria-hidden="true">
        <span></span><span>Severity</span><span>What and where</span><span>State</span><span>Since</span><span>Value</span><span></span>
      </div>
      <ul class="rows alarm-rows" aria-label=${this.#filter.closed ? "Closed alarms" : "Alarms"} ${placed({ height: `${this.rows.length * this.rowHeight}px` })}
        @pointerenter=${() => (this.#pointed = true)} @pointerleave=${() => (this.#pointed = false)}
        @focusin=${() => (this.#focused = true)} @focusout=${() => (this.#focused = false)}>
        ${repeat(visible, (index) => this.rows[index].id, (index) => this.#row(index, denied))}
      </ul>`;
  }

  /** @param {number} index @param {string} denied */
  #row(index, denied) {
    const row = this.rows[index];
    const place = placed({ transform: `translateY(${index * this.rowHeight}px)` });
    if (row.kind === "more") {
      return html`<li class="row alarm-more quiet" data-index=${index} ${place}>${some(row.count, "more alarm")} of this outage ${row.count === 1 ? "is" : "are"} not loaded.</li>`;
    }
    if (row.kind === "group") return this.#group(row, index, place);
    const alarm = this.items.get(row.id);
    if (!alarm) {
      return html`<li class="row alarm-more" data-index=${index} ${place}><a class="quiet" href=${`/alarms/${encodeURIComponent(row.id)}`} @focus=${() => (this.cursor = index)}>Closed. Look at it</a></li>`;
    }
    const busy = this.work.busy(alarm);
    const check =
      alarm.state === "normal" || this.#at
        ? html`<span class="alarm-check"></span>`
        : html`<label class="alarm-check"><input type="checkbox" .checked=${live(this.selection.has(alarm.id))} aria-label=${`Mark ${alarm.what}`}
            @click=${(/** @type {MouseEvent} */ e) => this.mark(alarm.id, e.shiftKey)} /></label>`;
    const expand =
      row.children.length > 0
        ? html`<button class="alarm-fold" type="button" aria-expanded=${row.open} aria-label=${`${some(row.children.length, "alarm")} of this outage`}
            @click=${() => this.#toggle(row.id)}></button>`
        : nothing;
    const buttons = actButtons(alarm, { busy, denied, act: (act, one, event) => void this.work.start(act, targetOf([one]), event.shiftKey) });
    return html`<li class="row alarm" data-index=${index} data-alarm=${alarm.id} data-severity=${alarm.severity} data-state=${alarm.state}
      data-suppressed=${alarm.suppressed ?? nothing} data-level=${row.level} data-marked=${this.selection.has(alarm.id) ? "yes" : "no"}
      aria-busy=${busy ? "true" : nothing} ${place}>
      ${alarmCells(alarm, { nowMs: this.app.now(), busy, check, expand, buttons, focused: () => (this.cursor = index) })}
    </li>`;
  }

  /** @param {GroupRow} row @param {number} index @param {unknown} place */
  #group(row, index, place) {
    const known = row.ids.map((id) => this.items.get(id)).filter((alarm) => alarm !== undefined);
    const marked = row.ids.length > 0 && row.ids.every((id) => this.selection.has(id));
    const unacked = known.filter((alarm) => alarm.state !== "active_acked").length;
    return html`<li class="row alarm-group" data-index=${index} data-group=${row.key} ${place}>
      <label class="alarm-check"><input type="checkbox" .checked=${live(marked)} aria-label=${`Mark all of ${row.title}`}
        @click=${() => this.#marked(() => toggleAll(this.selection, row.ids))} /></label>
      <button class="alarm-fold alarm-fold-group" type="button" aria-expanded=${row.open} @click=${() => this.#toggle(row.id)} @focus=${() => (this.cursor = index)}>${row.title}</button>
      <span class="group-counts">
        ${SEVERITIES.map((severity) => {
          const n = known.filter((alarm) => alarm.severity === severity).length;
          return n > 0 ? html`<span class="group-count">${severityMark(severity)}${number(n)}<span class="unseen"> ${SEVERITY_WORDS[severity]}</span></span>` : nothing;
        })}
        <span class="quiet">${unacked > 0 ? `${number(unacked)} unacknowledged` : "all acknowledged"}</span></span>
    </li>`;
  }

  #nothing() {
    const filter = this.#filter;
    const back = unfiltered(filter);
    if (back) {
      return notice("No alarm matches", html`${this.items.size > 0 ? `${some(this.items.size, "alarm")} without the filter. ` : ""}<a href=${back}>Clear the filter</a>`);
    }
    if (filter.closed) return notice("No alarm was closed yet", "What has cleared and was acknowledged is kept here.");
    if (this.#at) return notice("No alarm was open then", nothing);
    const { suppressed } = this.#counted.counts;
    if (suppressed > 0) {
      return notice("No open alarm", html`${some(suppressed, "alarm")} suppressed: shelved, in maintenance or out of service.
        <a href=${addressOf({ ...filter, suppressed: true })}>Show ${suppressed === 1 ? "it" : "them"}</a>`);
    }
    return notice("No open alarm", "Everything is as it should be. Alarms appear here the moment they are raised.");
  }

  /** @param {string} id */
  #toggle(id) {
    if (!this.#opened.delete(id)) this.#opened.add(id);
    this.requestUpdate();
  }

  /** @param {() => void} change */
  #marked(change) {
    change();
    this.everything = false;
    this.requestUpdate();
  }

  /** Sort new alarms in, though somebody points at the rows. */
  #letIn() {
    this.#sorted.asked = "";
    this.requestUpdate();
  }

  #export() {
    const found = this.order.map((id) => this.items.get(id)).filter((alarm) => alarm !== undefined);
    download(`alarms-${new Date(this.app.now()).toISOString().slice(0, 19).replaceAll(":", "")}.csv`, csvOf(CSV_NAMES, found.map(csvRow)));
  }

  /** @param {Partial<AlarmFilter>} change */
  #go(change) {
    this.app.router.go(addressOf({ ...this.#filter, ...change }));
    this.requestUpdate();
  }

  /** Search for words. @param {string} q */
  typed(q) {
    this.app.router.rename(addressOf({ ...this.#filter, q }));
    this.requestUpdate();
  }
}

/** @type {ReadonlyArray<[Act, string]>} */
const ACTS = [
  ["acknowledge", "Acknowledge"],
  ["unacknowledge", "Unacknowledge"],
  ["shelve", "Shelve…"],
  ["unshelve", "Unshelve"],
];

/** Mark all of these, or none of them where all are marked. @param {Selection} selection @param {readonly string[]} ids */
function toggleAll(selection, ids) {
  const every = ids.every((id) => selection.has(id));
  selection.all(every ? selection.ids.filter((id) => !ids.includes(id)) : [...selection.ids, ...ids]);
}

customElements.define("lh-alarms", Alarms);
