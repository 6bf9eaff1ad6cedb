/** All keyboard shortcuts that do something now, and the switch for them. */

import { html } from "../../vendor/lit.js";
import { View } from "../element.js";
import { icon } from "./marks.js";

export class Help extends View {
  /** Show it. */
  open() {
    this.requestUpdate();
    void this.updateComplete.then(() => this.#dialog?.showModal());
  }

  get #dialog() {
    return this.querySelector("dialog");
  }

  render() {
    const { keys } = this.app;
    return html`<dialog class="help" aria-labelledby="help-title">
      <div class="panel-head"><h2 id="help-title">Keyboard</h2>
        <button class="button button-icon" aria-label="Close" @click=${() => this.#dialog?.close()}>${icon("close")}</button></div>
      <div class="help-body">
        <label class="check"><input type="checkbox" .checked=${keys.on} @change=${this.#switch} /> Single keys do something</label>
        <p class="quiet">Ctrl or ⌘ with K, the arrow keys, Enter and Esc always work. Nothing fires while you type.</p>
        ${keys.offered.map(
          ({ title, shortcuts }) => html`<section><h3>${title}</h3>
            <dl class="help-keys">${shortcuts.map(({ keys: pressed, what }) => html`<div><dt>${pressed.split(" ").map((key) => html`<kbd>${shown(key)}</kbd> `)}</dt><dd>${what}</dd></div>`)}</dl>
          </section>`,
        )}
      </div>
    </dialog>`;
  }

  /** @param {Event} event */
  #switch(event) {
    this.app.keys.switch(/** @type {HTMLInputElement} */ (event.target).checked);
    this.requestUpdate();
  }
}

/** A key as a person reads it: "Shift X", "Ctrl K". @param {string} key */
function shown(key) {
  if (key.startsWith("Mod+")) return `Ctrl/⌘ ${key.slice(4).toUpperCase()}`;
  return /^[A-Z]$/.test(key) ? `Shift ${key}` : key;
}

customElements.define("lh-help", Help);
