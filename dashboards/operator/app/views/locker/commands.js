/** The newest commands of a locker: how far each came, and what can still be done about it. */

import { html, nothing, repeat } from "../../../vendor/lit.js";
import { Refusal } from "../../api.js";
import { View } from "../../element.js";
import { clock, millis, moment, order, outcomeBrief, outcomeTone } from "../../format.js";
import { toneMark } from "../marks.js";
import { notice } from "../notice.js";
import { waterfall } from "../waterfall.js";

/** @import {Command} from "../../types.js" */

const CANCELLABLE = ["queued", "sent", "accepted"];
/** What ended without having been done, or nobody knows. */
const AGAIN = ["rejected", "failed", "expired", "cancelled", "timed_out", "unknown"];

export class LockerCommands extends View {
  static properties = { commands: { attribute: false }, past: { attribute: false }, said: { state: true } };

  constructor() {
    super();
    /** @type {readonly Command[]} */
    this.commands = [];
    this.past = false;
    /** What came of the last press, by command. @type {{id: string, text: string, failed: boolean}} */
    this.said = { id: "", text: "", failed: false };
  }

  render() {
    return html`<section class="panel" id="commands" aria-labelledby="commands-title">
      <div class="panel-head"><h2 id="commands-title">Commands</h2></div>
      ${this.past
        ? notice("Commands are shown as they are now only", "Go back to now to see them.")
        : this.commands.length > 0
          ? html`<ul class="commands">${repeat(this.commands, (command) => command.id, (command) => this.#entry(command))}</ul>`
          : notice("No commands yet", "Choose a door to open it.")}
    </section>`;
  }

  /** @param {Command} command */
  #entry(command) {
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
      ${waterfall(command)} ${this.#acts(command)}
    </details></li>`;
  }

  /** @param {Command} command */
  #acts(command) {
    const why = this.app.why("operator");
    return html`<p class="command-acts">
      <a href=${`/commands/${command.id}`}>Details</a>
      ${CANCELLABLE.includes(command.state)
        ? html`<button class="button" type="button" ?disabled=${why !== ""} title=${why} @click=${() => this.#cancel(command)}>Cancel</button>`
        : nothing}
      ${AGAIN.includes(command.state) && (command.kind === "open" || command.kind === "locate")
        ? html`<button class="button" type="button" ?disabled=${why !== ""} title=${why} @click=${() => this.#again(command)}>Try again…</button>`
        : nothing}
      ${this.said.id === command.id ? html`<span role=${this.said.failed ? "alert" : "status"} class=${this.said.failed ? "serious" : "quiet"}>${this.said.text}</span>` : nothing}
    </p>`;
  }

  /** @param {Command} command */
  async #cancel(command) {
    this.said = { id: command.id, text: "Asking…", failed: false };
    try {
      const answer = await this.app.api.post(`/api/v1/commands/${command.id}/cancel`, {});
      const text = answer?.state === "cancelled" ? "Cancelled." : "The locker is asked not to begin it.";
      this.said = { id: command.id, text, failed: false };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.said = { id: command.id, text: `${error.problem.title}. ${error.problem.detail}`, failed: true };
    }
  }

  /** A door moves only after the question that every opening asks. @param {Command} command */
  #again(command) {
    this.dispatchEvent(new CustomEvent("command-again", { detail: command, bubbles: true }));
  }
}

customElements.define("lh-locker-commands", LockerCommands);
