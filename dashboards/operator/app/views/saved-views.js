/** Views under a name: go to one, keep this one, delete one. */

import { html, nothing } from "../../vendor/lit.js";
import { View } from "../element.js";
import { addressAt } from "../router.js";
import { deleteView, saveView, savedViews } from "../saved.js";
import { icon } from "./marks.js";

class SavedViews extends View {
  static properties = { problem: { state: true } };

  constructor() {
    super();
    this.problem = "";
  }

  render() {
    const all = savedViews();
    return html`<button class="button" popovertarget="saved-views">Views${all.length > 0 ? ` (${all.length})` : nothing}</button>
      <div id="saved-views" popover class="saved" role="group" aria-label="Saved views">
        ${all.length === 0
          ? html`<p class="quiet">Give what you see now a name, and come back to it here.</p>`
          : html`<ul>${all.map(
              ({ name, address }) => html`<li><a href=${address}>${name}</a>
                <button class="button button-icon" aria-label=${`Delete the view ${name}`} @click=${() => this.#delete(name)}>${icon("close")}</button></li>`,
            )}</ul>`}
        <form @submit=${this.#save}>
          <label for="view-name">Name of this view</label>
          <div class="saved-new"><input id="view-name" maxlength="60" autocomplete="off" aria-describedby="view-problem" />
            <button class="button">Keep</button></div>
          <p id="view-problem" class="serious small" role="alert">${this.problem}</p>
        </form>
      </div>`;
  }

  /** @param {SubmitEvent} event */
  #save(event) {
    event.preventDefault();
    const field = this.querySelector("input");
    if (!field) return;
    this.problem = saveView(field.value, addressAt(location.pathname + location.search, ""));
    if (!this.problem) field.value = "";
    this.requestUpdate();
  }

  /** @param {string} name */
  #delete(name) {
    deleteView(name);
    this.requestUpdate();
  }
}

customElements.define("lh-saved-views", SavedViews);
