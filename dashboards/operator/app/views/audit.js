/** Who did what: operators' acts, and the hub's own where they concern people or data. */

import { html, nothing, repeat } from "../../vendor/lit.js";
import { View } from "../element.js";
import { clock, day, moment } from "../format.js";
import { Pages, withQuery } from "../pages.js";
import { icon } from "./marks.js";
import { more, refused } from "./more.js";
import { notice } from "./notice.js";

/** @type {ReadonlyArray<[string, string, string]>} */
const FIELDS = [
  ["who", "Who", "anna"],
  ["action", "What", "hold.add"],
  ["subject", "Of what", "locker:berlin-01"],
];

export class Audit extends View {
  /** @type {Pages | null} */
  #pages = null;
  #asked = "";

  render() {
    const params = new URLSearchParams(location.search);
    const asked = Object.fromEntries(FIELDS.map(([name]) => [name, params.get(name) ?? ""]));
    return html`
      <a class="back" href="/events">${icon("back")}Events</a>
      <div class="page-head">
        <h1>Audit</h1>
        <form class="toolbar-plain" role="search" @submit=${this.#ask}>
          ${FIELDS.map(
            ([name, word, hint]) => html`<label class="choice"><span class="choice-label">${word}</span>
              <input name=${name} autocomplete="off" spellcheck="false" placeholder=${hint} .value=${asked[name]} /></label>`,
          )}
          <button class="button" type="submit">Ask</button>
        </form>
      </div>
      ${this.#body(asked)}
    `;
  }

  /** @param {Record<string, string>} asked */
  #body(asked) {
    const pages = (this.#pages ??= new Pages(this.app.api, () => this.requestUpdate()));
    const path = withQuery("/api/v1/audit", { ...asked, limit: 100 });
    if (path !== this.#asked) {
      this.#asked = path;
      void pages.load(path);
    }
    if (pages.phase === "failed" && pages.items.length === 0) return refused(pages.problem, () => void pages.again());
    if (pages.phase === "loading" && pages.items.length === 0) return notice("Reading the audit…", "", "loading");
    if (pages.items.length === 0) return notice("Nothing of that kind is in the audit", nothing);
    const now = this.app.now();
    return html`<div class="panel">
      <ol class="audit-rows" aria-label="Audit, newest first">
        ${repeat(
          pages.items,
          (row) => row.id,
          (row) => html`<li>
            <time datetime=${row.at} title=${moment(row.at)}>${day(row.at, now)} ${clock(row.at)}</time>
            <strong>${row.who}</strong><span class="mono">${row.action}</span>
            <span class="audit-subject mono">${row.subject ?? "emptied"}</span>
            <span class="quiet audit-detail">${row.detail ? JSON.stringify(row.detail) : nothing}</span>
          </li>`,
        )}
      </ol>
      ${more(pages, "entry")}
    </div>`;
  }

  /** @param {SubmitEvent} event */
  #ask(event) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    this.app.router.go(withQuery("/audit", Object.fromEntries(FIELDS.map(([name]) => [name, String(form.get(name) ?? "").trim()]))));
  }
}

customElements.define("lh-audit", Audit);
