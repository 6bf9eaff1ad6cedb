/** What was ordered, newest first: live as long as nothing is filtered, page by page from the database otherwise. */

import { html, nothing, repeat } from "../../../vendor/lit.js";
import { View } from "../../element.js";
import { some } from "../../format.js";
import { Pages, withQuery } from "../../pages.js";
import { more, refused } from "../more.js";
import { notice } from "../notice.js";
import { CommandActs } from "./acts.js";
import { commandRow } from "./row.js";

/** @import {Command} from "../../types.js" */

const STATES = ["queued", "sent", "accepted", "timed_out", "rejected", "succeeded", "failed", "unknown", "expired", "cancelled"];
const PAGE_ROWS = 100;

/** @typedef {{locker: string, state: string, class: string}} Filter */

export class Commands extends View {
  #filter = /** @type {Filter} */ ({ locker: "", state: "", class: "" });
  #nonsense = "";
  /** @type {Pages | null} */
  #pages = null;
  #asked = "";
  #popped = () => this.requestUpdate();

  connectedCallback() {
    super.connectedCallback();
    addEventListener("popstate", this.#popped);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    removeEventListener("popstate", this.#popped);
  }

  render() {
    this.#read();
    const filtered = Object.values(this.#filter).some(Boolean);
    return html`
      <div class="page-head">
        <h1>Commands</h1>
        ${this.#toolbar()}
        <a class="button" href=${withQuery("/api/v1/export/commands", { locker: this.#filter.locker, state: this.#filter.state })} download
          target="_self">CSV file</a>
      </div>
      ${this.#nonsense ? html`<p class="banner banner-caution">${this.#nonsense} <a href="/commands">Show all commands</a></p>` : nothing}
      <lh-command-acts .app=${this.app} @command-changed=${() => void this.#pages?.again()}></lh-command-acts>
      ${filtered ? this.#history() : this.#live()}
    `;
  }

  #toolbar() {
    return html`<div class="toolbar-plain" role="search">
      <label class="search"><span class="unseen">Locker</span>
        <input id="search" type="search" placeholder="Locker id" autocomplete="off" spellcheck="false" .value=${this.#filter.locker}
          @change=${(/** @type {Event} */ e) => this.#narrow({ locker: valueOf(e).trim() })} /></label>
      <label class="choice"><span class="choice-label">State</span>
        <select @change=${(/** @type {Event} */ e) => this.#narrow({ state: valueOf(e) })}>
          <option value="" ?selected=${this.#filter.state === ""}>Any</option>
          ${STATES.map((state) => html`<option value=${state} ?selected=${this.#filter.state === state}>${state.replace("_", " ")}</option>`)}
        </select></label>
      <label class="choice"><span class="choice-label">Class</span>
        <select @change=${(/** @type {Event} */ e) => this.#narrow({ class: valueOf(e) })}>
          ${[["", "Both"], ["instant", "Instant"], ["durable", "Durable"]].map(
            ([value, word]) => html`<option value=${value} ?selected=${this.#filter.class === value}>${word}</option>`,
          )}
        </select></label>
    </div>`;
  }

  #live() {
    const { store } = this.app;
    const { phase, detail } = store.status("commands");
    if (phase === "failed") return notice("The hub does not show its commands", detail, "failed");
    const found = [...store.list("commands").items.values()].sort(newestFirst);
    if (phase === "loading" && found.length === 0) return notice("Loading commands…", "", "loading");
    if (found.length === 0) return notice("Nothing was ordered yet", "Commands appear here the moment somebody gives one.");
    return html`${this.#rows(found)}
      <p class="feed-note">${some(found.length, "command")}, the newest. A filter searches all of them.</p>`;
  }

  #history() {
    const pages = (this.#pages ??= new Pages(this.app.api, () => this.requestUpdate()));
    const path = withQuery("/api/v1/commands", { ...this.#filter, limit: PAGE_ROWS });
    if (path !== this.#asked) {
      this.#asked = path;
      void pages.load(path);
    }
    if (pages.phase === "failed" && pages.items.length === 0) return refused(pages.problem, () => void pages.again());
    if (pages.phase === "loading" && pages.items.length === 0) return notice("Looking for commands…", "", "loading");
    if (pages.items.length === 0) return notice("No command matches", html`<a href="/commands">Show all commands</a>`);
    return html`${this.#rows(pages.items.map((one) => newest(this.app.store.list("commands").items, one)))} ${more(pages, "command")}`;
  }

  /** @param {Command[]} commands */
  #rows(commands) {
    const acts = this.querySelector("lh-command-acts");
    const buttons = (/** @type {Command} */ one) => (acts instanceof CommandActs && acts.app ? acts.buttons(one) : nothing);
    const now = this.app.now();
    return html`<ol class="command-rows panel" aria-label="Commands, newest first">
      ${repeat(commands, (one) => one.id, (one) => commandRow(one, { now, acts: buttons(one) }))}
    </ol>`;
  }

  #read() {
    const params = new URLSearchParams(location.search);
    const state = params.get("state") ?? "";
    const kind = params.get("class") ?? "";
    const wrong = [];
    if (state && !STATES.includes(state)) wrong.push(`“${state}” is no state of a command.`);
    if (kind && kind !== "instant" && kind !== "durable") wrong.push(`“${kind}” is no class of commands.`);
    this.#nonsense = wrong.join(" ");
    this.#filter = {
      locker: params.get("locker") ?? "",
      state: STATES.includes(state) ? state : "",
      class: kind === "instant" || kind === "durable" ? kind : "",
    };
  }

  /** @param {Partial<Filter>} change */
  #narrow(change) {
    this.app.router.rename(withQuery("/commands", { ...this.#filter, ...change }));
    this.requestUpdate();
  }
}

/** What the live view knows of a command is newer than a page of before. @param {ReadonlyMap<string, Command>} live @param {Command} one */
function newest(live, one) {
  return live.get(one.id) ?? one;
}

/** @param {Command} a @param {Command} b */
function newestFirst(a, b) {
  return a.accepted_at < b.accepted_at ? 1 : a.accepted_at > b.accepted_at ? -1 : 0;
}

/** @param {Event} event */
function valueOf(event) {
  return /** @type {HTMLInputElement | HTMLSelectElement} */ (event.target).value;
}

customElements.define("lh-commands", Commands);
