/** What people entered about a locker, and the form to change it. */

import { html, nothing } from "../../../vendor/lit.js";
import { Refusal } from "../../api.js";
import { View } from "../../element.js";
import { lockerPath } from "./paths.js";

/** @import {Locker, Problem} from "../../types.js" */

/** @type {readonly {name: "name" | "site" | "address" | "serial", label: string, max: number}[]} */
const FIELDS = [
  { name: "name", label: "Name", max: 120 },
  { name: "site", label: "Site", max: 120 },
  { name: "address", label: "Address", max: 200 },
  { name: "serial", label: "Serial number", max: 64 },
];

export class Registry extends View {
  static properties = {
    locker: { attribute: false },
    isSending: { state: true },
    said: { state: true },
    problem: { state: true },
  };

  constructor() {
    super();
    /** @type {Locker} */
    this.locker;
    this.isSending = false;
    this.said = "";
    /** @type {Problem | null} */
    this.problem = null;
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    super.willUpdate(changed);
    const before = /** @type {Locker | undefined} */ (changed.get("locker"));
    if (before && before.id !== this.locker.id) Object.assign(this, { said: "", problem: null, isSending: false });
  }

  render() {
    const why = this.app.why("admin");
    const { locker } = this;
    return html`<section class="panel" aria-labelledby="registry-title">
      <div class="panel-head"><h2 id="registry-title">Registry</h2></div>
      <form class="fields" @submit=${this.#submit} @input=${() => (this.said = "")}>
        <p id="registry-why" class=${why ? "feed-note small" : "unseen"}>${why}</p>
        ${FIELDS.map(({ name, label, max }) => html`<label for=${`registry-${name}`}>${label}</label>
          <input id=${`registry-${name}`} name=${name} maxlength=${max} autocomplete="off" ?required=${name === "name"} .defaultValue=${locker[name] ?? ""}
            ?disabled=${why !== ""} aria-describedby="registry-why" />`)}
        <label for="registry-tags">Tags <span class="quiet">(with commas between)</span></label>
        <input id="registry-tags" name="tags" maxlength="400" autocomplete="off" .defaultValue=${(locker.tags ?? []).join(", ")} ?disabled=${why !== ""} aria-describedby="registry-why" />
        <p class="form-acts">
          <span role="status" class="quiet">${this.said}</span>
          <button class="button" type="reset" ?disabled=${why !== ""} @click=${() => Object.assign(this, { said: "", problem: null })}>Undo</button>
          <button class="button" type="submit" ?disabled=${why !== "" || this.isSending} aria-describedby="registry-why">${this.isSending ? "Saving…" : "Save"}</button>
        </p>
        ${this.problem ? html`<p class="serious" role="alert">${this.problem.title}. ${this.problem.detail}</p>` : nothing}
      </form>
    </section>`;
  }

  /** @param {SubmitEvent} event */
  async #submit(event) {
    event.preventDefault();
    const { locker } = this;
    const changed = changes(new FormData(/** @type {HTMLFormElement} */ (event.target)), locker);
    this.problem = null;
    if (Object.keys(changed).length === 0) {
      this.said = "Nothing has changed.";
      return;
    }
    this.isSending = true;
    this.said = "";
    try {
      await this.app.api.patch(lockerPath(locker.id), changed);
      if (locker.id === this.locker.id) this.said = "Saved.";
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (locker.id === this.locker.id) this.problem = error.problem;
    } finally {
      this.isSending = false;
    }
  }
}

/** Only what differs: two people who change different fields do not undo each other. @param {FormData} given @param {Locker} locker */
function changes(given, locker) {
  /** @type {Record<string, unknown>} */
  const changed = {};
  for (const { name } of FIELDS) {
    const value = String(given.get(name) ?? "").trim();
    if (value !== (locker[name] ?? "")) changed[name] = value;
  }
  const tags = [...new Set(String(given.get("tags") ?? "").split(",").map((tag) => tag.trim()).filter(Boolean))];
  if (tags.join("\n") !== (locker.tags ?? []).join("\n")) changed.tags = tags;
  return changed;
}

customElements.define("lh-registry", Registry);
