/** Maintenance windows of one locker: its alarms are kept and told to nobody meanwhile. */

import { html, nothing } from "../../../vendor/lit.js";
import { Asked } from "../../asked.js";
import { Refusal } from "../../api.js";
import { View } from "../../element.js";
import { clock, day } from "../../format.js";
import { notice } from "../notice.js";

/** @import {Problem} from "../../types.js" */
/** @typedef {{id: string, site: string | null, locker: string | null, door: number | null, starts_at: string, ends_at: string, why: string, by: string, state: "planned" | "running" | "over" | "ended"}} Window */

/** @type {Record<number, string>} */
const HOURS = { 1: "1 hour", 2: "2 hours", 4: "4 hours", 8: "8 hours", 24: "1 day", 72: "3 days" };

export class LockerMaintenance extends View {
  static properties = {
    lockerId: { attribute: false },
    site: { attribute: false },
    isSending: { state: true },
    problem: { state: true },
  };

  #asked = new Asked(() => this.requestUpdate());

  constructor() {
    super();
    this.lockerId = "";
    this.site = "";
    this.isSending = false;
    /** @type {Problem | null} */
    this.problem = null;
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    super.willUpdate(changed);
    if (this.app && this.lockerId) this.#asked.want(this.app, this.lockerId, () => "/api/v1/maintenance?limit=200", 60_000);
  }

  render() {
    const why = this.app.why("operator");
    return html`<section class="panel" aria-labelledby="maintenance-title">
      <div class="panel-head"><h2 id="maintenance-title">Maintenance</h2><a href="/maintenance">All windows</a></div>
      ${this.#windows(why)}
      <form class="fields fields-line" @submit=${this.#submit}>
        <p class="quiet small">Begins at once. Until its end, alarms of this locker are kept and told to nobody.</p>
        <label for="maintenance-why">Why</label>
        <input id="maintenance-why" name="why" required minlength="3" maxlength="200" autocomplete="off" ?disabled=${why !== ""} aria-describedby="maintenance-no" />
        <label for="maintenance-hours">For</label>
        <select id="maintenance-hours" name="hours" ?disabled=${why !== ""}>${Object.entries(HOURS).map(([hours, label]) => html`<option value=${hours} ?selected=${hours === "2"}>${label}</option>`)}</select>
        <p class="form-acts"><span id="maintenance-no" class="quiet small">${why}</span>
          <button class="button" type="submit" ?disabled=${why !== "" || this.isSending} aria-describedby="maintenance-no">Begin maintenance</button></p>
        ${this.problem ? html`<p class="serious" role="alert">${this.problem.title}. ${this.problem.detail}</p>` : nothing}
      </form>
    </section>`;
  }

  /** @param {string} why */
  #windows(why) {
    const { data, problem } = this.#asked;
    if (!data) {
      return problem ? notice("The windows did not come", problem.detail || problem.title, "failed") : notice("Loading windows…", "", "loading");
    }
    /** @type {Window[]} */
    const mine = data.items.filter((/** @type {Window} */ one) =>
      (one.state === "planned" || one.state === "running") && (one.locker === this.lockerId || (one.locker === null && one.site === this.site)));
    if (mine.length === 0) return html`<p class="feed-note">No maintenance is planned or running.</p>`;
    return html`<ul class="windows">${mine.map((one) => html`<li>
      <div><p><strong>${one.state === "running" ? "Running" : "Planned"}</strong>${one.door === null ? nothing : `, door ${one.door}`}${one.locker === null ? `, all of ${one.site}` : nothing}: ${one.why}</p>
        <p class="quiet small">${this.#when(one.starts_at)} to ${this.#when(one.ends_at)}, by ${one.by}</p></div>
      <button class="button button-small" type="button" ?disabled=${why !== "" || this.isSending} aria-describedby="maintenance-no" @click=${() => this.#end(one)}>${one.state === "running" ? "End now" : "Cancel"}<span class="unseen">: ${one.why}</span></button>
    </li>`)}</ul>`;
  }

  /** @param {string} at */
  #when(at) {
    const date = day(at, this.app.now());
    return `${date ? `${date} ` : ""}${clock(at).slice(0, 5)}`;
  }

  /** @param {SubmitEvent} event */
  async #submit(event) {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    const given = new FormData(form);
    const now = this.app.now();
    const body = {
      locker: this.lockerId,
      starts_at: new Date(now).toISOString(),
      ends_at: new Date(now + Number(given.get("hours")) * 3_600_000).toISOString(),
      why: String(given.get("why")).trim(),
    };
    if (await this.#send("/api/v1/maintenance", body)) form.reset();
  }

  /** @param {Window} one */
  async #end(one) {
    await this.#send(`/api/v1/maintenance/${encodeURIComponent(one.id)}/end`, {});
  }

  /** @param {string} path @param {object} body */
  async #send(path, body) {
    this.isSending = true;
    this.problem = null;
    try {
      await this.app.api.post(path, body);
      this.#asked.again();
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.problem = error.problem;
      return false;
    } finally {
      this.isSending = false;
    }
  }
}

customElements.define("lh-locker-maintenance", LockerMaintenance);
