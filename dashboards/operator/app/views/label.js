/** What is glued to a locker: its code to scan, its name. What is printed is the label alone. */

import { html, nothing } from "../../vendor/lit.js";
import { Asked } from "../asked.js";
import { View } from "../element.js";
import { lockerAddress } from "../router.js";
import { lockerPath } from "./locker/paths.js";
import { icon } from "./marks.js";
import { notice } from "./notice.js";

/** @import {Locker} from "../types.js" */

/** @type {Record<string, string>} */
const SIZES = { 62: "Roll, 62 mm wide", a6: "A6 sheet" };

export class Label extends View {
  static properties = { lockerId: { attribute: false } };

  #asked = new Asked(() => this.requestUpdate());

  constructor() {
    super();
    this.lockerId = "";
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    super.willUpdate(changed);
    if (this.app) this.#asked.want(this.app, this.lockerId, () => lockerPath(this.lockerId));
  }

  render() {
    const size = new URLSearchParams(location.search).get("size") ?? "62";
    return html`
      <div class="label-tools">
        <a class="back" href=${lockerAddress(this.lockerId)}>${icon("back")}Locker</a>
        <div class="page-head"><h1>Label</h1>
          <div class="segments" role="group" aria-label="Size">${Object.entries(SIZES).map(
            ([name, word]) => html`<button class="segment" type="button" aria-pressed=${size === name} @click=${() => this.#choose(name)}>${word}</button>`,
          )}</div>
          <button class="button" type="button" ?disabled=${!this.#asked.data || !(size in SIZES)} @click=${() => print()}>Print</button>
        </div>
      </div>
      ${size in SIZES ? this.#label(size) : notice("There is no such size", `“${size}” is none of those above.`, "failed")}
    `;
  }

  /** @param {string} size */
  #label(size) {
    /** @type {Locker | null} */
    const locker = this.#asked.data;
    const { problem } = this.#asked;
    if (!locker) {
      if (!problem) return notice("Loading the label…", "", "loading");
      return problem.code === "locker_unknown"
        ? notice("There is no such locker", html`The hub does not know <span class="mono">${this.lockerId}</span>. <a href="/lockers">Go to the fleet</a>`, "failed")
        : notice(problem.title, problem.detail, "failed");
    }
    return html`<article class="label" data-size=${size} aria-label=${`Label of ${locker.name}`}>
      <img class="label-code" src=${`${lockerPath(locker.id)}/label.svg`} alt="Code that leads to this locker's page" />
      <div class="label-words">
        <p class="label-name">${locker.name}</p>
        <p class="label-id mono">${locker.id}</p>
        ${locker.site ? html`<p>${locker.site}</p>` : nothing}
        ${size === "a6" && locker.address ? html`<p>${locker.address}</p>` : nothing}
        ${size === "a6" && locker.serial ? html`<p class="mono">${locker.serial}</p>` : nothing}
        <p class="label-what">Scan to see this locker.</p>
      </div>
    </article>`;
  }

  /** @param {string} size */
  #choose(size) {
    const query = new URLSearchParams(location.search);
    query.set("size", size);
    this.app.router.rename(`${location.pathname}?${query}`);
    this.requestUpdate();
  }
}

customElements.define("lh-label", Label);
