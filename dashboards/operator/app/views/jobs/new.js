/** A new job in three steps: what, what that comes to, and a typed number before it is made. */

import { html, nothing } from "../../../vendor/lit.js";
import { Refusal, freshKey } from "../../api.js";
import { View } from "../../element.js";
import { number, some } from "../../format.js";
import { icon, toneMark } from "../marks.js";
import { refused } from "../more.js";
import { jobTitle } from "./words.js";

/** @import {JobPlan, Problem} from "../../types.js" */

/** Lockers chosen in the list are handed over here: an address is too short for thousands. */
export const CHOSEN = "lockerhub.chosen";
const ITEMS_SHOWN_MAX = 200;

export class JobNew extends View {
  static properties = { plan: { state: true }, problem: { state: true }, busy: { state: true }, typed: { state: true }, kind: { state: true } };

  /** @type {Record<string, any> | null} */
  #body = null;
  #key = "";
  /** @type {string[]} */
  #chosen = [];

  constructor() {
    super();
    /** @type {JobPlan | null} */
    this.plan = null;
    /** @type {Problem | null} */
    this.problem = null;
    this.busy = false;
    this.typed = "";
    this.kind = "open";
  }

  connectedCallback() {
    super.connectedCallback();
    const params = new URLSearchParams(location.search);
    const kind = params.get("kind") ?? "";
    if (kind in KINDS) this.kind = kind;
    const named = params.get("lockers");
    this.#chosen = named ? named.split(",").filter(Boolean) : params.has("chosen") ? handedOver() : [];
  }

  render() {
    if (!this.app.can("operator")) {
      return html`${this.#back()}<p class="warning">${toneMark("caution")}<span>${this.app.refusal("operator") === "history" ? this.app.why("operator") : `Only operators may make jobs; you are signed in as ${this.app.role}.`}</span></p>`;
    }
    return html`${this.#back()}
      <header class="page-head"><h1>New job</h1></header>
      ${refused(this.problem)}
      ${this.plan ? this.#confirm(this.plan) : this.#form()}`;
  }

  #back() {
    return html`<a class="back" href="/jobs">${icon("back")}Jobs</a>`;
  }

  #form() {
    const sites = [...new Set([...this.app.store.lockers.values()].map((locker) => locker.site))].sort();
    const given = this.#body ?? {};
    const filter = given.filter ?? {};
    return html`<form class="panel job-form" @submit=${this.#ask}>
      <label>What<select name="kind" @change=${(/** @type {Event} */ e) => (this.kind = /** @type {HTMLSelectElement} */ (e.target).value)}>
        ${Object.entries(KINDS).map(([kind, word]) => html`<option value=${kind} ?selected=${this.kind === kind}>${word}</option>`)}
      </select></label>
      <label>Reason <span class="quiet">(kept with every command)</span>
        <input name="reason" required maxlength="200" autocomplete="off" .value=${given.reason ?? ""} /></label>
      <fieldset><legend>Which lockers</legend>
        <label>Ids, with commas or spaces<textarea name="lockers" rows="2" spellcheck="false" .value=${(filter.lockers ?? this.#chosen).join(", ")}></textarea></label>
        <label>Site<input name="site" list="job-sites" autocomplete="off" .value=${filter.site ?? ""} /></label>
        <datalist id="job-sites">${sites.map((site) => html`<option value=${site}></option>`)}</datalist>
        <label>Text in id, name or site<input name="q" maxlength="100" autocomplete="off" .value=${filter.q ?? ""} /></label>
        <p class="quiet small">All that is given has to fit; nothing given is the whole fleet.</p>
      </fieldset>
      ${this.kind === "open" || this.kind === "locate"
        ? html`<fieldset><legend>Which doors</legend>
            <label>Numbers <span class="quiet">(as 1, 2, 3; empty: ${this.kind === "open" ? "by size" : "the locker itself"})</span>
              <input name="doors" inputmode="numeric" autocomplete="off" /></label>
            <label>Size<select name="size">
              <option value="">${this.kind === "open" ? "All doors" : "–"}</option>
              ${["S", "M", "L", "XL"].map((size) => html`<option value=${size}>${size}</option>`)}
            </select></label>
          </fieldset>`
        : nothing}
      ${this.kind === "configure"
        ? html`<label>Settings <span class="quiet">(one a line: name = value)</span>
            <textarea name="args" rows="3" required spellcheck="false" placeholder="doors.left_open_s = 120"></textarea></label>`
        : nothing}
      <fieldset class="job-form-row"><legend>How fast, and when to stop</legend>
        <label>A minute<input name="rate" type="number" min="1" max="6000" required .value=${String(given.rate_per_minute ?? 20)} /></label>
        <label>First so many<input name="canary" type="number" min="0" max="1000" placeholder="5 %" /></label>
        <label>Stop at % failures<input name="abort" type="number" min="1" max="100" required .value=${String(Math.round((given.abort_share ?? 0.2) * 100))} /></label>
      </fieldset>
      <footer><button class="button" type="submit" ?disabled=${this.busy}>${this.busy ? "Looking…" : "See what that comes to"}</button></footer>
    </form>`;
  }

  /** @param {JobPlan} plan */
  #confirm(plan) {
    const going = plan.items.filter((one) => !one.why_not).length;
    const body = this.#body ?? {};
    const title = jobTitle({ kind: body.kind, targets: plan.targets, openings: plan.openings });
    const sure = this.typed.trim() === String(plan.targets);
    return html`<section class="panel job-confirm" aria-labelledby="confirm-title">
      <div class="panel-head"><h2 id="confirm-title">${title} at ${some(plan.lockers, "locker")}?</h2></div>
      <dl class="facts">
        <div><dt>Reason</dt><dd>${body.reason}</dd></div>
        <div><dt>First</dt><dd>${some(plan.canaries, "canary", "canaries")}</dd></div>
        <div><dt>Takes about</dt><dd>${plan.minutes < 1 ? "less than a minute" : some(Math.ceil(plan.minutes), "minute")}</dd></div>
        <div><dt>Second person</dt><dd>${plan.approval_needed ? "needed before it begins" : "not needed"}</dd></div>
        <div><dt>Would act now</dt><dd>${number(going)} of ${number(plan.items.length)}</dd></div>
      </dl>
      ${Object.keys(plan.why_not).length > 0
        ? html`<p class="warning">${toneMark("caution")}<span>Left out as things are: ${Object.entries(plan.why_not)
            .map(([why, n]) => `${n} ${why.replaceAll("_", " ")}`)
            .join(", ")}.</span></p>`
        : nothing}
      <ol class="target-rows job-plan" aria-label="Targets" tabindex="0">
        ${plan.items.slice(0, ITEMS_SHOWN_MAX).map(
          (one) => html`<li><span class="mono">${one.locker}</span><span>${one.door === null ? "locker" : `door ${one.door}`}</span>
            <span class="quiet">${one.why_not ? one.why_not.replaceAll("_", " ") : ""}</span></li>`,
        )}
      </ol>
      ${plan.items.length > ITEMS_SHOWN_MAX ? html`<p class="feed-note">and ${number(plan.items.length - ITEMS_SHOWN_MAX)} more</p>` : nothing}
      <form class="job-sure" @submit=${this.#make}>
        <label>To go on, type the number of targets
          <input name="count" inputmode="numeric" autocomplete="off" .value=${this.typed} @keydown=${noEnter}
            @input=${(/** @type {Event} */ e) => (this.typed = /** @type {HTMLInputElement} */ (e.target).value)} /></label>
        <footer>
          <button class="button" type="button" @click=${() => (this.plan = null)}>Back</button>
          <button class="button button-strong" type="submit" ?disabled=${!sure || this.busy}>${this.busy ? "Making it…" : title}</button>
        </footer>
      </form>
    </section>`;
  }

  /** @param {SubmitEvent} event */
  async #ask(event) {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const text = (/** @type {string} */ name) => String(form.get(name) ?? "").trim();
    try {
      this.#body = bodyOf(this.kind, text);
    } catch (error) {
      this.problem = { status: 0, code: "", title: "This cannot be asked", detail: /** @type {Error} */ (error).message, retryAfterS: null };
      return;
    }
    await this.#post({ ...this.#body, dry_run: true }, "", (plan) => {
      this.plan = plan;
      this.typed = "";
      this.#key = freshKey();
    });
    await this.updateComplete;
    this.querySelector(".job-confirm h2")?.scrollIntoView({ block: "nearest" });
  }

  /** @param {SubmitEvent} event */
  async #make(event) {
    event.preventDefault();
    if (!this.#body) return;
    await this.#post(this.#body, this.#key, (job) => this.app.router.go(`/jobs/${encodeURIComponent(job.id)}`));
  }

  /** @param {object} body @param {string} key @param {(answer: any) => void} then */
  async #post(body, key, then) {
    this.busy = true;
    this.problem = null;
    try {
      then(await this.app.api.post("/api/v1/jobs", body, key || undefined));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.problem = error.problem;
    }
    this.busy = false;
  }
}

const KINDS = { open: "Open doors", locate: "Locate lockers", configure: "Change settings", restart: "Restart agents" };

/**
 * @param {string} kind @param {(name: string) => string} text
 * @returns {Record<string, any>}
 * @throws {Error} with a sentence for what is not understood
 */
function bodyOf(kind, text) {
  const lockers = text("lockers").split(/[\s,]+/).filter(Boolean);
  /** @type {Record<string, any>} */
  const filter = {};
  if (lockers.length > 0) filter.lockers = lockers;
  if (text("site")) filter.site = text("site");
  if (text("q")) filter.q = text("q");
  if (kind === "open" || kind === "locate") {
    const numbers = text("doors").split(/[\s,]+/).filter(Boolean);
    const wrong = numbers.find((one) => !/^[1-9]\d{0,2}$/.test(one));
    if (wrong !== undefined) throw new Error(`“${wrong}” is no door's number; doors are 1 to 999.`);
    if (numbers.length > 0 && text("size")) throw new Error("Give numbers of doors or a size, not both.");
    if (numbers.length > 0) filter.doors = numbers.map(Number);
    else if (text("size")) filter.doors = { size: text("size") };
    else if (kind === "open") filter.doors = "all";
  }
  const canary = text("canary");
  return {
    kind,
    reason: text("reason"),
    filter,
    rate_per_minute: Number(text("rate")),
    abort_share: Number(text("abort")) / 100,
    ...(canary === "" ? {} : { canary: { count: Number(canary) } }),
    ...(kind === "configure" ? { args: settingsOf(text("args")) } : {}),
  };
}

/** @param {string} text @returns {Record<string, string | number | boolean>} */
function settingsOf(text) {
  const pairs = text.split("\n").filter((line) => line.trim() !== "");
  return Object.fromEntries(
    pairs.map((line) => {
      const at = line.indexOf("=");
      if (at < 1) throw new Error(`“${line.trim()}” is no setting; a line is name = value.`);
      const value = line.slice(at + 1).trim();
      const known = value === "true" ? true : value === "false" ? false : value !== "" && Number.isInteger(Number(value)) ? Number(value) : value;
      return [line.slice(0, at).trim(), known];
    }),
  );
}

/** @returns {string[]} */
function handedOver() {
  try {
    const given = JSON.parse(sessionStorage.getItem(CHOSEN) ?? "[]");
    return Array.isArray(given) ? given.filter((one) => typeof one === "string") : [];
  } catch {
    return [];
  }
}

/** Enter in the number must not start a job: only the button does. @param {KeyboardEvent} event */
function noEnter(event) {
  if (event.key === "Enter") event.preventDefault();
}

customElements.define("lh-job-new", JobNew);
