/** One locker: its doors, its state, its commands, its events. */

import { html, nothing, repeat } from "../../vendor/lit.js";
import { View } from "../element.js";
import { LOCKER_WORDS, age, ago, clock, millis, moment, order, outcomeBrief, outcomeTone, some, trouble } from "../format.js";
import { addressOf } from "../select.js";
import { CommandDialog } from "./command-dialog.js";
import "./doors.js";
import "./feed.js";
import { icon, lockerMark, toneMark } from "./marks.js";
import { notice } from "./notice.js";
import { waterfall } from "./waterfall.js";

/** @import {Command, Locker} from "../types.js" */

export class LockerPage extends View {
  static properties = { lockerId: { attribute: false } };

  constructor() {
    super();
    this.lockerId = "";
  }

  render() {
    const { store } = this.app;
    const view = `locker:${this.lockerId}`;
    const detail = store.detail(this.lockerId);
    if (!detail) return html`${this.#back()}<h1 class="unseen">Locker ${this.lockerId}</h1>${this.#absent(view)}`;
    const { locker, doors, commands } = detail;
    return html`
      ${this.#back()}
      <header class="locker-head">
        <div class="locker-title">
          <h1>${locker.name}</h1>
          <p class="quiet"><span class="mono">${locker.id}</span>${locker.site ? html` · ${locker.site}` : nothing}</p>
        </div>
        <p class="locker-state" data-state=${locker.state}>
          ${lockerMark(locker.state)}<strong>${LOCKER_WORDS[locker.state]}</strong>
          <span class="quiet">${locker.since ? `for ${age(locker.since, this.app.now())}` : nothing}</span>
        </p>
        <button class="button" @click=${this.#locate} title="The locker blinks or beeps">${icon("locate")}Locate</button>
      </header>
      <div class="locker-columns">
        <section class="panel" aria-labelledby="doors-title">
          <div class="panel-head">
            <h2 id="doors-title">Doors</h2>
            <p class="quiet">${this.#doorSummary(locker)}</p>
          </div>
          ${doors.length > 0
            ? html`<lh-doors .app=${this.app} .doors=${doors} @door-chosen=${(/** @type {CustomEvent<number>} */ e) => this.#ask(e.detail)}></lh-doors>`
            : notice("No doors yet", "Doors appear when the agent has reported them.")}
        </section>
        <div class="locker-side">
          <section class="panel" aria-labelledby="facts-title">
            <div class="panel-head"><h2 id="facts-title">Locker</h2></div>
            ${this.#facts(locker)}
          </section>
          <section class="panel" aria-labelledby="commands-title">
            <div class="panel-head"><h2 id="commands-title">Commands</h2></div>
            ${commands.length > 0
              ? html`<ul class="commands">${repeat(commands, (command) => command.id, (command) => this.#command(command))}</ul>`
              : notice("No commands yet", "Choose a door to open it.")}
          </section>
        </div>
        <lh-locker-feed class="locker-feed" .app=${this.app} .lockerId=${this.lockerId}></lh-locker-feed>
      </div>
      <lh-command-dialog .app=${this.app} .locker=${locker} .doors=${doors}></lh-command-dialog>
    `;
  }

  #back() {
    return html`<a class="back" href=${addressOf(this.app.filter)}>${icon("back")}Fleet</a>`;
  }

  /** @param {string} view */
  #absent(view) {
    const { phase, code, detail } = this.app.store.status(view);
    if (phase !== "failed") return notice("Loading the locker…", "", "loading");
    if (code === "locker_unknown") {
      return notice("There is no such locker", html`The hub does not know <span class="mono">${this.lockerId}</span>. <a href="/">Go to the fleet</a>`, "failed");
    }
    return notice("The hub does not show this locker", detail, "failed");
  }

  /** @param {Locker} locker */
  #doorSummary(locker) {
    const { total, open, unknown, out_of_service: out } = locker.door_counts;
    return html`${some(total, "door")}${open ? html`, <span class="open">${open} open</span>` : nothing}${unknown ? `, ${unknown} unknown` : nothing}${out ? `, ${out} out of service` : nothing}`;
  }

  /** @param {Locker} locker */
  #facts(locker) {
    const silent = trouble(locker);
    return html`<dl class="facts">
      <div><dt>Last heard</dt><dd title=${locker.last_heard ? moment(locker.last_heard) : ""}>${ago(locker.last_heard, this.app.now()) || "never"}</dd></div>
      <div><dt>Lock boards</dt><dd class=${silent ? "serious" : ""}>${silent ? toneMark("serious") : nothing}${locker.boards.online} of ${locker.boards.total} answer</dd></div>
      <div><dt>Agent</dt><dd>${locker.agent ?? "not known"}</dd></div>
      <div><dt>Session</dt><dd>${locker.session ?? "none"}</dd></div>
    </dl>`;
  }

  /** @param {Command} command */
  #command(command) {
    const pulsed = command.stages_ms?.pulsed;
    const tone = outcomeTone(command);
    return html`<li><details class="command-entry" data-state=${command.state}>
      <summary>
        ${toneMark(tone)}
        <span class="command-entry-what"><strong>${order(command)}</strong>${command.reason ? html` <span class="quiet">${command.reason}</span>` : nothing}
          <span class="command-entry-outcome" data-tone=${tone}>${outcomeBrief(command)}</span></span>
        <span class="command-entry-time"><time datetime=${command.accepted_at} title=${moment(command.accepted_at)}>${clock(command.accepted_at)}</time>
          <span class="quiet">${pulsed === undefined ? nothing : millis(pulsed)}</span></span>
      </summary>
      ${waterfall(command)}
    </details></li>`;
  }

  /** @param {number} door */
  #ask(door) {
    const dialog = this.querySelector("lh-command-dialog");
    if (dialog instanceof CommandDialog) void dialog.ask(door);
  }

  #locate() {
    const dialog = this.querySelector("lh-command-dialog");
    if (dialog instanceof CommandDialog) void dialog.locate();
  }
}

customElements.define("lh-locker", LockerPage);
