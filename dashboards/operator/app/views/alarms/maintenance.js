/** Times in which alarms are expected, and nobody is told of them: what runs, what is planned, a new one. */

import { html, live, nothing, repeat } from "../../../vendor/lit.js";
import { Refusal } from "../../api.js";
import { View } from "../../element.js";
import { clock, day, moment, number, span } from "../../format.js";
import { Pages } from "../../pages.js";
import { WINDOW_WORDS, check, fieldTime, targetWords } from "../../windows.js";
import { toneMark } from "../marks.js";
import { more, refused } from "../more.js";
import { notice } from "../notice.js";
import { deniedNote } from "./acts.js";
import { alarmTabs } from "./tabs.js";

/**
 * @import {Problem} from "../../types.js"
 * @import {Draft, Window} from "../../windows.js"
 */

/** What is over is asked for anew so often: a window begins and ends on its own. */
const ASK_EVERY_MS = 30_000;
const SUGGESTED_MAX = 50;
const QUICK_HOURS = [1, 2, 8];

export class Maintenance extends View {
  static properties = { draft: { state: true }, tried: { state: true }, sending: { state: true }, problem: { state: true }, ending: { state: true }, said: { state: true } };

  /** @type {Pages | null} */
  #pages = null;
  #timer = 0;

  constructor() {
    super();
    /** @type {Draft} */
    this.draft = { where: "site", name: "", door: "", from: "", to: "", why: "" };
    /** Whether somebody has tried to make it: until then nothing is called wrong. */
    this.tried = false;
    this.sending = false;
    /** @type {Problem | null} */
    this.problem = null;
    /** The windows that are being ended. @type {ReadonlySet<string>} */
    this.ending = new Set();
    this.said = "";
  }

  connectedCallback() {
    super.connectedCallback();
    const asked = new URLSearchParams(location.search);
    if (asked.has("locker")) this.draft = { ...this.draft, where: "locker", name: asked.get("locker") ?? "", door: asked.get("door") ?? "" };
    else if (asked.has("site")) this.draft = { ...this.draft, name: asked.get("site") ?? "" };
    this.#timer = setInterval(() => void this.#pages?.again(), ASK_EVERY_MS);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this.#timer);
  }

  render() {
    const pages = (this.#pages ??= new Pages(this.app.api, () => this.requestUpdate()));
    if (pages.phase === "idle") queueMicrotask(() => void pages.load("/api/v1/maintenance?all=true&limit=100"));
    const denied = this.app.why("operator");
    return html`${alarmTabs("/maintenance")}
      <div class="page-head"><h1>Maintenance</h1>
        <p class="quiet">While a window runs, alarms of its place are kept and shown as suppressed, and nobody is told.</p></div>
      ${deniedNote(denied)}
      <p class="unseen" role="status" aria-live="polite">${this.said}</p>
      <div class="maintenance-columns">
        <div>${this.#windows(pages, denied)}</div>
        ${this.#form(pages.items, denied)}
      </div>`;
  }

  /** @param {Pages} pages @param {string} denied */
  #windows(pages, denied) {
    /** @type {Window[]} */
    const all = pages.items;
    if (pages.phase === "failed" && all.length === 0) return refused(pages.problem, () => void pages.again());
    if (all.length === 0) {
      return pages.phase === "ready"
        ? notice("No maintenance is planned", "Make a window before work begins, and its alarms disturb nobody.")
        : notice("Loading the windows…", "", "loading");
    }
    const soonest = [...all].sort((a, b) => (a.starts_at < b.starts_at ? -1 : 1));
    const over = soonest.filter(({ state }) => state === "over" || state === "ended").reverse();
    return html`
      ${this.#list("Running", soonest.filter(({ state }) => state === "running"), denied)}
      ${this.#list("Planned", soonest.filter(({ state }) => state === "planned"), denied)}
      ${this.#list("Over", over, denied)} ${more(pages, "window")}`;
  }

  /** @param {string} title @param {Window[]} windows @param {string} denied */
  #list(title, windows, denied) {
    if (windows.length === 0) return nothing;
    const now = this.app.now();
    return html`<h2 class="list-title">${title} <span class="quiet">${number(windows.length)}</span></h2>
      <ul class="panel work-windows" aria-label=${title}>
        ${repeat(windows, ({ id }) => id, (one) => html`<li class="work-window" data-window=${one.id} data-state=${one.state}>
          <span class="work-what"><a href=${one.locker ? `/lockers/${encodeURIComponent(one.locker)}` : `/lockers?${new URLSearchParams({ site: one.site ?? "" })}`}><strong>${targetWords(one)}</strong></a>
            <span class="work-why">${one.why} <span class="quiet">by ${one.by}</span></span></span>
          <span class="work-when" title=${`${moment(one.starts_at)} to ${moment(one.ends_at)}`}>${times(one, now)}
            <span class="quiet">${this.#left(one, now)}</span></span>
          ${one.state === "running" || one.state === "planned"
            ? html`<button class="button" type="button" ?disabled=${denied !== "" || this.ending.has(one.id)} title=${denied} aria-describedby=${denied ? "acts-denied" : nothing}
                aria-label=${`${one.state === "planned" ? "Cancel" : "End now"}: ${targetWords(one)}, ${one.why}`} @click=${() => this.#end(one)}>
                ${this.ending.has(one.id) ? "Ending…" : one.state === "planned" ? "Cancel" : "End now"}</button>`
            : html`<span class="quiet">${WINDOW_WORDS[one.state]}</span>`}
        </li>`)}
      </ul>`;
  }

  /** @param {Window} one @param {number} now */
  #left(one, now) {
    if (one.state === "running") return `${span(Math.max(0, Date.parse(one.ends_at) - now))} left`;
    if (one.state === "planned") return `begins in ${span(Math.max(0, Date.parse(one.starts_at) - now))}`;
    return "";
  }

  /** @param {readonly Window[]} windows @param {string} denied */
  #form(windows, denied) {
    const { draft } = this;
    const lockers = this.app.store.lockers;
    const sites = [...new Set([...lockers.values()].map(({ site }) => site).filter(Boolean))].sort();
    const { wrong, overlap } = check(draft, windows, this.app.now(), { sites, lockers });
    const shown = this.tried ? wrong : {};
    const words = draft.name.toLowerCase();
    const suggested = (draft.where === "site" ? sites : [...lockers.keys()]).filter((name) => name.toLowerCase().includes(words)).slice(0, SUGGESTED_MAX);
    return html`<section class="panel" aria-labelledby="window-title">
      <div class="panel-head"><h2 id="window-title">New window</h2></div>
      <form class="work-form" @submit=${this.#submit} novalidate>
        <fieldset class="shelve-times"><legend>Of</legend>
          ${/** @type {const} */ (["site", "locker"]).map(
            (where) => html`<label class="shelve-time"><input type="radio" name="window-where" .checked=${live(draft.where === where)}
              @change=${() => this.#set({ where, name: "", door: "" })} />${where === "site" ? "A site" : "A locker or door"}</label>`,
          )}</fieldset>
        ${this.#field("name", draft.where === "site" ? "Site" : "Locker id", shown.name, { list: "window-names" })}
        <datalist id="window-names">${suggested.map((name) => html`<option value=${name}></option>`)}</datalist>
        ${draft.where === "locker" ? this.#field("door", "Door", shown.door, { inputmode: "numeric", hint: "empty: all of the locker" }) : nothing}
        <div class="work-quick"><span class="quiet">From now for</span>
          ${QUICK_HOURS.map((hours) => html`<button class="button" type="button" @click=${() => this.#quick(hours)}>${hours} h</button>`)}</div>
        ${this.#field("from", "From", shown.from, { type: "datetime-local" })}
        ${this.#field("to", "To", shown.to, { type: "datetime-local" })}
        ${overlap ? html`<p class="warning" id="window-overlap">${toneMark("caution")}<span>${overlap}</span></p>` : nothing}
        ${this.#field("why", "Why", shown.why, { maxlength: "200" })}
        ${this.problem ? refused(this.problem) : nothing}
        <button class="button button-strong" type="submit" ?disabled=${denied !== "" || this.sending} title=${denied}
          aria-describedby=${denied ? "acts-denied" : nothing}>${this.sending ? "Making it…" : "Make the window"}</button>
      </form>
    </section>`;
  }

  /**
   * @param {"name" | "door" | "from" | "to" | "why"} name @param {string} label @param {string | undefined} wrong
   * @param {{type?: string, list?: string, inputmode?: string, maxlength?: string, hint?: string}} options
   */
  #field(name, label, wrong, { type = "text", list, inputmode, maxlength = "120", hint }) {
    const id = `window-${name}`;
    return html`<div class="field"><label for=${id}>${label} ${hint ? html`<span class="quiet">(${hint})</span>` : nothing}</label>
      <input id=${id} type=${type} list=${list ?? nothing} inputmode=${inputmode ?? nothing} maxlength=${maxlength} autocomplete="off"
        .value=${live(this.draft[name])} aria-invalid=${wrong ? "true" : "false"} aria-describedby=${wrong ? `${id}-wrong` : nothing}
        @input=${(/** @type {Event} */ e) => this.#set({ [name]: /** @type {HTMLInputElement} */ (e.target).value })} />
      ${wrong ? html`<p class="field-wrong" id=${`${id}-wrong`}>${wrong}</p>` : nothing}</div>`;
  }

  /** @param {Partial<Draft>} change */
  #set(change) {
    this.draft = { ...this.draft, ...change };
  }

  /** @param {number} hours */
  #quick(hours) {
    const now = this.app.now();
    this.#set({ from: fieldTime(now), to: fieldTime(now + hours * 3_600_000) });
  }

  /** @param {SubmitEvent} event */
  async #submit(event) {
    event.preventDefault();
    this.tried = true;
    this.problem = null;
    const lockers = this.app.store.lockers;
    const sites = [...new Set([...lockers.values()].map(({ site }) => site).filter(Boolean))];
    const { wanted } = check(this.draft, this.#pages?.items ?? [], this.app.now(), { sites, lockers });
    if (!wanted) {
      await this.updateComplete;
      const first = this.querySelector("[aria-invalid=true]");
      if (first instanceof HTMLElement) first.focus();
      return;
    }
    this.sending = true;
    try {
      const made = await this.app.api.post("/api/v1/maintenance", wanted);
      this.said = `Made: ${targetWords(made)}, ${WINDOW_WORDS[/** @type {Window} */ (made).state]}`;
      this.draft = { ...this.draft, name: "", door: "", from: "", to: "", why: "" };
      this.tried = false;
      await this.#pages?.again();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.problem = error.problem;
    }
    this.sending = false;
  }

  /** @param {Window} window */
  async #end(window) {
    this.ending = new Set([...this.ending, window.id]);
    this.problem = null;
    try {
      await this.app.api.post(`/api/v1/maintenance/${encodeURIComponent(window.id)}/end`, {});
      this.said = `Ended: ${targetWords(window)}`;
      await this.#pages?.again();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.problem = error.problem;
    }
    this.ending = new Set([...this.ending].filter((id) => id !== window.id));
  }
}

/** @param {Window} window @param {number} now */
function times({ starts_at, ends_at }, now) {
  const from = `${day(starts_at, now)} ${clock(starts_at).slice(0, 5)}`.trim();
  const until = `${day(ends_at, now) === day(starts_at, now) ? "" : day(ends_at, now) || "today"} ${clock(ends_at).slice(0, 5)}`.trim();
  return `${from} to ${until}`;
}

customElements.define("lh-maintenance", Maintenance);
