/** The events of the fleet: live as they come, or any question about the past, page by page. */

import { html, nothing, repeat } from "../../vendor/lit.js";
import { some } from "../format.js";
import { Pages, withQuery } from "../pages.js";
import { eventKey } from "../store.js";
import { Feed } from "./feed.js";
import { more, refused } from "./more.js";
import { notice } from "./notice.js";

const PAGE_ROWS = 200;

/** The questions that the hub answers, with their words. @type {ReadonlyArray<[string, string, string]>} */
const FIELDS = [
  ["locker", "Locker", "id"],
  ["site", "Site", "name"],
  ["door", "Door", "number"],
  ["kind", "Kind", "door.opened"],
  ["actor", "Person", "actor id"],
  ["command", "Command", "id"],
  ["transaction", "Transaction", "id"],
  ["since", "Since", "2026-11-20T08:00Z"],
  ["until", "Until", "2026-11-21T08:00Z"],
];

export class Events extends Feed {
  /** @type {Pages | null} */
  #pages = null;
  #asked = "";

  render() {
    const asked = this.#question();
    const filtered = Object.values(asked).some(Boolean);
    return html`<section class="events-page">
      <div class="page-head">
        <h1>Events</h1>
        <div class="toolbar-plain">
          <label class="search"><span class="unseen">Search what is shown</span>
            <input id="search" type="search" placeholder="Search what is shown" autocomplete="off" spellcheck="false"
              @input=${(/** @type {Event} */ e) => (this.q = /** @type {HTMLInputElement} */ (e.target).value)} /></label>
          ${this.topics()}
        </div>
        <a class="button" href=${withQuery("/api/v1/export/events", asked)} download target="_self">CSV file</a>
        <a href="/audit">Audit</a>
      </div>
      <details class="panel question" ?open=${filtered}>
        <summary>Look into the past</summary>
        <form role="search" aria-label="Past events" @submit=${this.#ask}>
          ${FIELDS.map(
            ([name, word, hint]) => html`<label>${word}<input name=${name} autocomplete="off" spellcheck="false" placeholder=${hint} .value=${asked[name]} /></label>`,
          )}
          <footer>
            <button class="button" type="submit">Ask</button>
            ${filtered ? html`<a href="/events">Back to what happens now</a>` : nothing}
          </footer>
        </form>
      </details>
      ${filtered ? this.#past(asked) : this.#now()}
    </section>`;
  }

  #now() {
    const { events, skipped } = this.app.store.feed("events");
    return html`
      ${skipped ? html`<p class="feed-note">${some(skipped, "event")} came too fast to be shown; each locker's history has them.</p>` : nothing}
      <div class="panel">${this.entries("events", events, true)}</div>
    `;
  }

  /** @param {Record<string, string>} asked */
  #past(asked) {
    const pages = (this.#pages ??= new Pages(this.app.api, () => this.requestUpdate()));
    const path = withQuery("/api/v1/events", { ...asked, limit: PAGE_ROWS });
    if (path !== this.#asked) {
      this.#asked = path;
      void pages.load(path);
    }
    if (pages.phase === "failed" && pages.items.length === 0) return refused(pages.problem, () => void pages.again());
    if (pages.phase === "loading" && pages.items.length === 0) return notice("Looking for events…", "", "loading");
    if (pages.items.length === 0) return notice("Nothing of that kind happened", "Or it is gone: events live seven years, unless a policy or a person said otherwise.");
    const found = this.narrowed(pages.items);
    return html`<div class="panel">
      ${found.length > 0
        ? html`<ol class="feed" aria-label="Events, newest first">
            ${repeat(found, eventKey, (event, index) => this.entry(event, found[index - 1], true))}
          </ol>`
        : notice("No event matches", `${some(pages.items.length, "event")} loaded.`)}
      ${more(pages, "event")}
    </div>`;
  }

  /** What the address asks for. */
  #question() {
    const params = new URLSearchParams(location.search);
    const asked = Object.fromEntries(FIELDS.map(([name]) => [name, params.get(name) ?? ""]));
    // In the past nothing later has happened yet.
    if (!asked.until && params.get("at")) asked.until = params.get("at") ?? "";
    return asked;
  }

  /** @param {SubmitEvent} event */
  #ask(event) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const asked = Object.fromEntries(FIELDS.map(([name]) => [name, String(form.get(name) ?? "").trim()]));
    this.app.router.go(withQuery("/events", asked));
  }
}

customElements.define("lh-events", Events);
