/** Cancel and retry, wherever a command is shown. */

import { html, nothing } from "../../../vendor/lit.js";
import { Refusal } from "../../api.js";
import { View } from "../../element.js";
import { order } from "../../format.js";
import { CommandDialog } from "../command-dialog.js";
import { refused } from "../more.js";
import { cancellable, repeatable } from "./row.js";

/** @import {Command, LockerDetail, Problem} from "../../types.js" */

/** A list's acts on its commands, with the dialog that a retry asks in. */
export class CommandActs extends View {
  static properties = { detail: { state: true }, problem: { state: true }, said: { state: true } };

  constructor() {
    super();
    /** @type {LockerDetail | null} */
    this.detail = null;
    /** @type {Problem | null} */
    this.problem = null;
    this.said = "";
  }

  render() {
    return html`
      <p class="unseen" role="status">${this.said}</p>
      ${refused(this.problem)}
      ${this.detail
        ? html`<lh-command-dialog .app=${this.app} .locker=${this.detail} .doors=${this.detail.doors}></lh-command-dialog>`
        : nothing}
    `;
  }

  /** The buttons of one command. @param {Command} command */
  buttons(command) {
    const may = this.app.can("operator");
    const why = may ? "" : "Only operators may do this";
    return html`
      ${cancellable(command)
        ? html`<button class="button" ?disabled=${!may} title=${why} aria-label=${`Cancel: ${order(command)}, ${command.locker}`}
            @click=${() => void this.#cancel(command)}>Cancel</button>`
        : nothing}
      ${command.cancel_requested && !["cancelled", "succeeded", "failed", "expired"].includes(command.state)
        ? html`<span class="quiet">cancelling</span>`
        : nothing}
      ${repeatable(command) && !cancellable(command)
        ? html`<button class="button" ?disabled=${!may} title=${why} aria-label=${`Retry: ${order(command)}, ${command.locker}`}
            @click=${() => void this.#retry(command)}>Retry…</button>`
        : nothing}
    `;
  }

  /** @param {Command} command */
  async #cancel(command) {
    await this.#ask(async () => {
      const now = await this.app.api.post(`/api/v1/commands/${encodeURIComponent(command.id)}/cancel`, {});
      this.said = now.state === "cancelled" ? `${order(command)} was cancelled.` : `${order(command)}: the locker is asked not to begin it.`;
      this.dispatchEvent(new CustomEvent("command-changed", { detail: now, bubbles: true }));
    });
  }

  /** A retry is a new order: it is asked for in the same dialog as the first one. @param {Command} command */
  async #retry(command) {
    await this.#ask(async () => {
      this.detail = await this.app.api.get(`/api/v1/lockers/${encodeURIComponent(command.locker)}`);
      await this.updateComplete;
      const dialog = this.querySelector("lh-command-dialog");
      if (!(dialog instanceof CommandDialog)) return;
      await dialog.updateComplete;
      if (command.kind === "open" && command.door !== null) await dialog.ask(command.door);
      else await dialog.locate();
    });
  }

  /** @param {() => Promise<void>} act */
  async #ask(act) {
    this.problem = null;
    try {
      await act();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.problem = error.problem;
    }
  }
}

customElements.define("lh-command-acts", CommandActs);
