/** One command by its address: everything that is known of it, until nothing more is to come. */

import { html, nothing } from "../../../vendor/lit.js";
import { Refusal } from "../../api.js";
import { View } from "../../element.js";
import { moment, order, outcome, outcomeTone, settled } from "../../format.js";
import { lockerAddress } from "../../router.js";
import { icon, toneMark } from "../marks.js";
import { refused } from "../more.js";
import { notice } from "../notice.js";
import { waterfall } from "../waterfall.js";
import { CommandActs } from "./acts.js";
import { author } from "./row.js";

/** @import {Command, Problem} from "../../types.js" */

const ASK_EVERY_MS = 2000;
/** For ten minutes; a durable command may take days, and the page can be loaded again. */
const ASK_TIMES_MAX = 300;

export class CommandPage extends View {
  static properties = { commandId: { attribute: false }, command: { state: true }, problem: { state: true } };

  #timer = 0;
  #asked = 0;

  constructor() {
    super();
    this.commandId = "";
    /** @type {Command | null} */
    this.command = null;
    /** @type {Problem | null} */
    this.problem = null;
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    super.willUpdate(changed);
    if (!changed.has("commandId") || !this.app) return;
    clearTimeout(this.#timer);
    this.command = null;
    this.problem = null;
    this.#asked = 0;
    void this.#ask();
  }

  render() {
    const back = html`<a class="back" href="/commands">${icon("back")}Commands</a>`;
    if (!this.command && this.problem?.status === 404) {
      return html`${back}<h1 class="unseen">Command</h1>${notice("There is no such command", html`The hub does not know <span class="mono">${this.commandId}</span>.`, "failed")}`;
    }
    if (!this.command && this.problem) return html`${back}<h1 class="unseen">Command</h1>${refused(this.problem, () => void this.#ask())}`;
    if (!this.command) return html`${back}<h1 class="unseen">Command</h1>${notice("Loading the command…", "", "loading")}`;
    return html`${back}${this.#whole(this.command)}`;
  }

  /** @param {Command} command */
  #whole(command) {
    const tone = outcomeTone(command);
    const acts = this.querySelector("lh-command-acts");
    return html`
      <header class="page-head">
        <h1>${order(command)}</h1>
        <p><a class="mono" href=${lockerAddress(command.locker)}>${command.locker}</a></p>
        <span class="spring"></span>
        ${acts instanceof CommandActs && acts.app ? acts.buttons(command) : nothing}
      </header>
      <lh-command-acts .app=${this.app} @command-changed=${() => void this.#ask()}></lh-command-acts>
      ${refused(this.problem)}
      <div class="command-result" data-tone=${tone} role="status">${toneMark(tone)}<strong>${outcome(command)}</strong></div>
      <div class="command-columns">
        <section class="panel" aria-labelledby="stages-title">
          <div class="panel-head"><h2 id="stages-title">Stages</h2></div>
          <div class="panel-body">${waterfall(command)}</div>
        </section>
        <section class="panel" aria-labelledby="facts-title">
          <div class="panel-head"><h2 id="facts-title">Command</h2></div>
          <dl class="facts">
            ${fact("Given", moment(command.accepted_at))} ${fact("By", author(command))} ${fact("Reason", command.reason ?? "none given")}
            ${fact("State", command.state.replace("_", " "))} ${command.detail ? fact("Detail", command.detail) : nothing}
            ${fact("Class", command.class ?? "instant")}
            ${command.expires_at ? fact("Ends", moment(command.expires_at)) : nothing}
            ${command.class === "durable" ? fact("Sent", `${command.attempts} times`) : nothing}
            ${command.args ? fact("Settings", JSON.stringify(command.args)) : nothing}
            ${fact("Id", html`<span class="mono">${command.id}</span>`)}
            <div><dt>Then</dt><dd><a href=${`${lockerAddress(command.locker)}?at=${encodeURIComponent(command.accepted_at)}`}>The locker at that moment</a></dd></div>
          </dl>
        </section>
      </div>
    `;
  }

  updated() {
    // The buttons live in an element that is only there once this one has been drawn.
    if (this.command && !this.#drawn) {
      this.#drawn = true;
      this.requestUpdate();
    }
  }

  #drawn = false;

  async #ask() {
    clearTimeout(this.#timer);
    const id = this.commandId;
    try {
      const command = await this.app.api.get(`/api/v1/commands/${encodeURIComponent(id)}`);
      if (id !== this.commandId) return;
      this.command = command;
      this.problem = null;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (id !== this.commandId) return;
      this.problem = error.problem;
      if (error.problem.status === 404) return;
    }
    if ((this.command && settled(this.command)) || this.#asked >= ASK_TIMES_MAX || !this.isConnected) return;
    this.#asked += 1;
    this.#timer = setTimeout(() => void this.#ask(), ASK_EVERY_MS);
  }
}

/** @param {string} name @param {unknown} value */
function fact(name, value) {
  return html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
}

customElements.define("lh-command-page", CommandPage);
