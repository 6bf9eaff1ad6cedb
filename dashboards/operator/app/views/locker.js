/** One locker: its doors and what happens to them now, and behind tabs what is looked at less often. */

import { html, nothing } from "../../vendor/lit.js";
import { View } from "../element.js";
import { LOCKER_WORDS, age, ago, moment, some, trouble } from "../format.js";
import { addressOf } from "../select.js";
import "./alarms/of-locker.js";
import { CommandDialog } from "./command-dialog.js";
import "./doors.js";
import "./feed.js";
import "./locker/commands.js";
import "./locker/door-panel.js";
import "./locker/ledger.js";
import "./locker/maintenance.js";
import "./locker/registry.js";
import "./locker/sensors.js";
import "./locker/tail.js";
import "./locker/telemetry.js";
import { icon, lockerMark, toneMark } from "./marks.js";
import { notice } from "./notice.js";

/** @import {Alarm, Command, Door, Locker, LockerEvent} from "../types.js" */
/** @typedef {{locker: Locker, doors: readonly Door[], commands: readonly Command[], alarms: readonly Alarm[], events: LockerEvent[] | null}} Shown */

/** The part of the address behind # that each tab has. @type {readonly (readonly [string, string])[]} */
const TABS = [
  ["doors", "Overview"],
  ["telemetry", "Telemetry"],
  ["ledger", "Ledger"],
  ["messages", "Messages"],
  ["settings", "Settings"],
];
/** Parts of the overview that an address can lead to. */
const PARTS = ["alarms", "sensors", "commands", "events"];

export class LockerPage extends View {
  static properties = { lockerId: { attribute: false } };

  /** The part that was scrolled to, so that it is done once. */
  #scrolledTo = "";
  /** The part of the address whose tab was brought into view. */
  #tabShown = "";

  constructor() {
    super();
    this.lockerId = "";
  }

  updated() {
    if (this.#tabShown !== location.hash) {
      this.#tabShown = location.hash;
      this.querySelector(".tab[aria-selected='true']")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    const part = location.hash.slice(1);
    const wanted = `${this.lockerId} ${part}`;
    if (wanted === this.#scrolledTo) return;
    const element = PARTS.includes(part) ? this.querySelector(`#${part}`) : null;
    if (PARTS.includes(part) && !element) return;
    this.#scrolledTo = wanted;
    element?.scrollIntoView({ block: "start" });
  }

  render() {
    const at = this.app.at?.toISOString() ?? "";
    const shown = at ? this.#then() : this.#now();
    if (!shown) return html`${this.#back()}<h1 class="unseen">Locker ${this.lockerId}</h1>${this.#absent(at)}`;
    const { locker } = shown;
    const tab = tabOf(location.hash);
    return html`
      ${this.#back()} ${this.#head(locker, at)}
      <div class="part-tabs" role="tablist" aria-label="Parts of this page" @keydown=${this.#walk}>
        ${TABS.map(([name, word]) => html`<button class="tab" role="tab" type="button" id=${`tab-${name}`} data-tab=${name}
          aria-selected=${tab === name} aria-controls="tab-panel" tabindex=${tab === name ? 0 : -1} @click=${() => this.#turn(name)}>${word}</button>`)}
      </div>
      <div id="tab-panel" role="tabpanel" aria-labelledby=${`tab-${tab}`}>${this.#tab(tab, shown, at)}</div>
      <lh-command-dialog .app=${this.app} .locker=${locker} .doors=${shown.doors}></lh-command-dialog>
    `;
  }

  /** @param {string} tab @param {Shown} shown @param {string} at */
  #tab(tab, shown, at) {
    const { app, lockerId } = this;
    if (tab === "telemetry") return html`<lh-telemetry .app=${app} .lockerId=${lockerId} .at=${at}></lh-telemetry>`;
    if (tab === "ledger") return html`<lh-ledger .app=${app} .lockerId=${lockerId}></lh-ledger>`;
    if (tab === "messages") {
      return at
        ? notice("Messages are of now only", "The hub keeps none of them. Go back to now to see them pass.")
        : html`<lh-tail .app=${app} .lockerId=${lockerId}></lh-tail>`;
    }
    if (tab === "settings") {
      return html`<div class="settings-columns">
        <lh-registry .app=${app} .locker=${shown.locker}></lh-registry>
        <lh-locker-maintenance .app=${app} .lockerId=${lockerId} .site=${shown.locker.site}></lh-locker-maintenance>
      </div>`;
    }
    return this.#overview(shown, at);
  }

  /** @param {Shown} shown @param {string} at */
  #overview({ locker, doors, commands, alarms, events }, at) {
    const { app, lockerId } = this;
    const asked = new URLSearchParams(location.search).get("door");
    const door = doors.find((one) => String(one.number) === asked);
    return html`<div class="locker-columns"
      @door-chosen=${(/** @type {CustomEvent<number>} */ e) => this.#choose(e.detail)}
      @door-open=${(/** @type {CustomEvent<number>} */ e) => this.#ask(e.detail)}
      @command-again=${(/** @type {CustomEvent<Command>} */ e) => this.#again(e.detail)}>
      <section class="panel" id="doors" aria-labelledby="doors-title">
        <div class="panel-head">
          <h2 id="doors-title">Doors</h2>
          <p class="quiet">${doorSummary(locker)}</p>
        </div>
        ${doors.length > 0
          ? html`<lh-doors .app=${app} .doors=${doors} .alarms=${alarms} .selected=${door?.number ?? null}></lh-doors>`
          : notice("No doors yet", "Doors appear when the agent has reported them.")}
      </section>
      <div class="locker-side">
        ${door
          ? html`<lh-door-panel .app=${app} .locker=${locker} .door=${door} .alarms=${alarms}></lh-door-panel>`
          : html`<section class="panel" aria-labelledby="door-title"><div class="panel-head"><h2 id="door-title">Door</h2></div>
              ${asked && doors.length > 0
                ? html`<p class="feed-note" role="alert">This locker has no door ${asked}. Choose one of those there are.</p>`
                : html`<p class="feed-note quiet">Choose a door to see it and to open it.</p>`}</section>`}
        <lh-locker-alarms id="alarms" .app=${app} .lockerId=${lockerId} .alarms=${at ? alarms : null}></lh-locker-alarms>
        <lh-locker-commands .app=${app} .commands=${commands} .past=${at !== ""}></lh-locker-commands>
        <section class="panel" id="sensors" aria-labelledby="sensors-title">
          <div class="panel-head"><h2 id="sensors-title">Sensors</h2><a href="#telemetry">Plots</a></div>
          <lh-sensors .app=${app} .lockerId=${lockerId} .at=${at}></lh-sensors>
        </section>
        <section class="panel" aria-labelledby="facts-title">
          <div class="panel-head"><h2 id="facts-title">Locker</h2></div>
          ${this.#facts(locker)}
        </section>
      </div>
      <lh-locker-feed id="events" class="locker-feed" .app=${app} .lockerId=${lockerId} .past=${at ? { at, events: events ?? [] } : null}></lh-locker-feed>
    </div>`;
  }

  /** @returns {Shown | null} */
  #now() {
    const { store } = this.app;
    const detail = store.detail(this.lockerId);
    return detail && { ...detail, alarms: [...store.list(`alarms:${this.lockerId}`).items.values()], events: null };
  }

  /** @returns {Shown | null} */
  #then() {
    const { locker: detail, alarms, events } = this.app.past.locker(this.lockerId);
    if (!detail) return null;
    const { doors, commands, ...locker } = detail;
    return { locker, doors, commands, alarms, events };
  }

  #back() {
    return html`<a class="back" href=${addressOf(this.app.filter)}>${icon("back")}Fleet</a>`;
  }

  /** @param {string} at */
  #absent(at) {
    const { phase, code, detail } = at ? this.app.past.locker(this.lockerId) : this.app.store.status(`locker:${this.lockerId}`);
    if (phase !== "failed") return notice(at ? "Looking up how it was…" : "Loading the locker…", "", "loading");
    if (code === "locker_unknown") {
      return notice("There is no such locker", html`The hub does not know <span class="mono">${this.lockerId}</span>. <a href="/lockers">Go to the fleet</a>`, "failed");
    }
    return notice(at ? "Nobody knows how it was" : "The hub does not show this locker", detail, "failed");
  }

  /** @param {Locker} locker @param {string} at */
  #head(locker, at) {
    const why = this.app.why("operator");
    const now = at ? Date.parse(at) : this.app.now();
    return html`<header class="locker-head">
      <div class="locker-title">
        <h1>${locker.name}</h1>
        <p class="quiet"><span class="mono">${locker.id}</span>${[locker.site, locker.address].filter(Boolean).map((part) => html` · ${part}`)}
          ${(locker.tags ?? []).map((tag) => html`<a class="tag" href=${`/lockers?${new URLSearchParams({ q: tag })}`}>${tag}</a>`)}</p>
      </div>
      <p class="locker-state" data-state=${locker.state}>
        ${lockerMark(locker.state)}<strong>${LOCKER_WORDS[locker.state]}</strong>
        <span class="quiet">${locker.state_changed_at ? `for ${age(locker.state_changed_at, now)}` : nothing}</span>
        ${locker.disabled ? html`<span class="tag tag-plain" title="Nothing is taken from it and sent to it">Disabled: ${locker.disabled}</span>` : nothing}
        ${locker.maintenance ? html`<a class="tag tag-plain" href="#settings">In maintenance</a>` : nothing}
      </p>
      <p class="locker-acts">
        <button class="button" ?disabled=${why !== ""} @click=${this.#locate} title=${why || "The locker blinks or beeps"} aria-describedby="locate-why">${icon("locate")}Locate</button>
        <span id="locate-why" class="unseen">${why}</span>
        <a class="button" href=${`${location.pathname.replace(/\/$/, "")}/label`}>Label</a>
      </p>
    </header>`;
  }

  /** @param {Locker} locker */
  #facts(locker) {
    const silent = trouble(locker);
    const { boards } = locker;
    return html`<dl class="facts">
      <div><dt>Last heard</dt><dd title=${locker.last_seen_at ? moment(locker.last_seen_at) : ""}>${ago(locker.last_seen_at, this.app.at?.getTime() ?? this.app.now()) || (locker.state === "never_seen" ? "never" : "not known")}</dd></div>
      <div><dt>Lock boards</dt><dd class=${silent ? "serious" : ""}>${silent ? toneMark("serious") : nothing}${boards.total ? `${boards.online} of ${boards.total} answer` : "not known"}</dd></div>
      <div><dt>Firmware</dt><dd>${locker.agent ?? "not known"}</dd></div>
      <div><dt>Serial number</dt><dd>${locker.serial || "not entered"}</dd></div>
      <div><dt>Address</dt><dd>${locker.address || "not entered"}</dd></div>
      <div><dt>Session</dt><dd>${locker.session ?? "none"}</dd></div>
    </dl>`;
  }

  /** @param {string} name */
  #turn(name) {
    this.app.router.turn(name === TABS[0][0] ? "" : `#${name}`);
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const names = TABS.map(([name]) => name);
    const here = names.indexOf(tabOf(location.hash));
    const next = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: names.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const name = names[(next + names.length) % names.length];
    this.#turn(name);
    const tab = this.querySelector(`[data-tab="${name}"]`);
    if (tab instanceof HTMLElement) tab.focus();
  }

  /** A door that is chosen already is to be opened: two presses lead to the question. @param {number} number */
  async #choose(number) {
    const query = new URLSearchParams(location.search);
    if (query.get("door") === String(number)) {
      if (this.app.can("operator")) this.#ask(number);
      return;
    }
    query.set("door", String(number));
    this.app.router.rename(`${location.pathname}?${query}${location.hash}`);
    this.requestUpdate();
    await this.updateComplete;
    const panel = this.querySelector("lh-door-panel");
    if (panel && matchMedia("(max-width: 1060px)").matches) panel.scrollIntoView({ block: "nearest" });
  }

  /** @param {number} door @param {string} [reason] */
  #ask(door, reason) {
    const dialog = this.querySelector("lh-command-dialog");
    if (dialog instanceof CommandDialog) void dialog.ask(door, reason);
  }

  /** @param {Command} command */
  #again(command) {
    if (command.kind === "open" && command.door !== null) this.#ask(command.door, command.reason ?? "");
    else this.#locate();
  }

  #locate() {
    const dialog = this.querySelector("lh-command-dialog");
    if (dialog instanceof CommandDialog) void dialog.locate();
  }
}

/** @param {string} hash */
function tabOf(hash) {
  const name = hash.slice(1);
  return TABS.some(([tab]) => tab === name) ? name : TABS[0][0];
}

/** @param {Locker} locker */
function doorSummary(locker) {
  const { total, open, unknown, out_of_service: out } = locker.door_counts;
  return html`${some(total, "door")}${open ? html`, <span class="open">${open} open</span>` : nothing}${unknown ? `, ${unknown} unknown` : nothing}${out ? `, ${out} out of service` : nothing}`;
}

customElements.define("lh-locker", LockerPage);
