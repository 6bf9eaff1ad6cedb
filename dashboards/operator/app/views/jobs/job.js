/** One job: how far it is, what became of each target, who did what, and the acts that it still takes. */

import { html, nothing, repeat } from "../../../vendor/lit.js";
import { Refusal } from "../../api.js";
import { View } from "../../element.js";
import { ago, clock, moment, some } from "../../format.js";
import { Pages, withQuery } from "../../pages.js";
import { lockerAddress } from "../../router.js";
import { commandAddress } from "../commands/row.js";
import { icon, toneMark } from "../marks.js";
import { more, refused } from "../more.js";
import { notice } from "../notice.js";
import { progressBar } from "./bar.js";
import { JOB_STATES, TARGET_STATES, filterWords, jobOver, jobTitle, progressWords } from "./words.js";

/** @import {Job, Problem} from "../../types.js" */

const ASK_EVERY_MS = 2000;

/** Acts by the state that a job must be in. @type {ReadonlyArray<[string, string, string[]]>} */
const ACTS = [
  ["approve", "Approve", ["waiting_approval"]],
  ["reject", "Reject", ["waiting_approval"]],
  ["pause", "Pause", ["running"]],
  ["resume", "Resume", ["paused"]],
  ["cancel", "Cancel the rest", ["waiting_approval", "running", "paused"]],
];

export class JobPage extends View {
  static properties = {
    jobId: { attribute: false },
    job: { state: true },
    problem: { state: true },
    busy: { state: true },
    shown: { state: true },
    said: { state: true },
  };

  /** @type {Pages | null} */
  #targets = null;
  #timer = 0;

  constructor() {
    super();
    this.jobId = "";
    /** @type {Job | null} */
    this.job = null;
    /** @type {Problem | null} */
    this.problem = null;
    this.busy = false;
    /** Which targets, by state. */
    this.shown = "";
    this.said = "";
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearTimeout(this.#timer);
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    super.willUpdate(changed);
    if (!this.app || !(changed.has("jobId") || changed.has("shown"))) return;
    if (changed.has("jobId")) {
      this.job = null;
      this.problem = null;
      this.#targets = null;
      void this.#ask();
    }
    this.#targets ??= new Pages(this.app.api, () => this.requestUpdate());
    void this.#targets.load(withQuery(`${this.#address()}/targets`, { state: this.shown, limit: 200 }));
  }

  render() {
    const back = html`<a class="back" href="/jobs">${icon("back")}Jobs</a>`;
    if (!this.job && this.problem?.status === 404) {
      return html`${back}<h1 class="unseen">Job</h1>${notice("There is no such job", html`The hub does not know <span class="mono">${this.jobId}</span>.`, "failed")}`;
    }
    if (!this.job && this.problem) return html`${back}<h1 class="unseen">Job</h1>${refused(this.problem, () => void this.#ask())}`;
    if (!this.job) return html`${back}<h1 class="unseen">Job</h1>${notice("Loading the job…", "", "loading")}`;
    return html`${back}${this.#whole(this.job)}`;
  }

  /** @param {Job} job */
  #whole(job) {
    const state = JOB_STATES[job.state];
    return html`
      <header class="page-head">
        <h1>${jobTitle(job)}</h1>
        <p class="job-state">${toneMark(state?.tone ?? "normal")}<strong>${state?.word ?? job.state}</strong></p>
        <span class="spring"></span>
        ${this.#acts(job)}
      </header>
      <p class="unseen" role="status">${this.said}</p>
      ${job.why ? html`<p class="warning">${toneMark("caution")}<span>${job.why}</span></p>` : nothing}
      ${refused(this.problem)}
      <p class="job-progress">${progressBar(job)}<span>${progressWords(job)}</span></p>
      <div class="command-columns">
        <section class="panel" aria-labelledby="targets-title">
          <div class="panel-head"><h2 id="targets-title">Targets</h2>${this.#states(job)}</div>
          ${this.#rows()}
        </section>
        <section class="panel" aria-labelledby="job-title">
          <div class="panel-head"><h2 id="job-title">Job</h2></div>
          <dl class="facts">
            ${fact("Reason", job.reason)} ${fact("Which", filterWords(job.filter))} ${fact("By", job.created_by)} ${fact("Made", moment(job.created_at))}
            ${job.approval ? fact("Second person", job.approval.by ?? `needed until ${moment(job.approval.until)}`) : nothing}
            ${fact("Rate", `${job.rate_per_minute} a minute`)} ${fact("First", some(job.canaries, "canary", "canaries"))}
            ${fact("Stops at", `${Math.round(job.abort_share * 100)} % failures, at least ${job.abort_min_count}`)}
            ${job.args ? fact("Settings", JSON.stringify(job.args)) : nothing}
            ${job.ended_at ? fact("Ended", moment(job.ended_at)) : job.expires_at ? fact("Ends", moment(job.expires_at)) : nothing}
          </dl>
          <h3 class="list-title">What happened</h3>
          <ol class="job-steps">
            ${(job.steps ?? []).map(
              (step) => html`<li><time datetime=${step.at} title=${moment(step.at)}>${clock(step.at)}</time>
                <span><strong>${JOB_STATES[step.state]?.word ?? step.state}</strong> by ${step.operator ?? "the hub"}${step.detail ? html`: ${step.detail}` : nothing}</span></li>`,
            )}
          </ol>
        </section>
      </div>
    `;
  }

  /** @param {Job} job */
  #acts(job) {
    const own = job.created_by === this.app.operator;
    return ACTS.filter(([, , states]) => states.includes(job.state)).map(([act, word]) => {
      const barred = !this.app.can("operator") ? "Only operators may do this" : act === "approve" && own ? "A second person has to approve it" : "";
      return html`<button class="button" ?disabled=${this.busy || barred !== ""} title=${barred} @click=${() => void this.#do(act, word)}>${word}</button>`;
    });
  }

  /** @param {Job} job */
  #states(job) {
    return html`<label class="choice"><span class="choice-label">State</span>
      <select @change=${(/** @type {Event} */ e) => (this.shown = /** @type {HTMLSelectElement} */ (e.target).value)}>
        <option value="" ?selected=${this.shown === ""}>All ${job.targets}</option>
        ${TARGET_STATES.filter((state) => job.counts?.[state]).map(
          (state) => html`<option value=${state} ?selected=${this.shown === state}>${state.replace("_", " ")} ${job.counts?.[state]}</option>`,
        )}
      </select></label>`;
  }

  #rows() {
    const pages = this.#targets;
    if (!pages) return nothing;
    if (pages.phase === "failed" && pages.items.length === 0) return refused(pages.problem, () => void pages.again());
    if (pages.items.length === 0) return notice(pages.phase === "loading" ? "Loading targets…" : "No target in this state", "", pages.phase === "loading" ? "loading" : "empty");
    const now = this.app.now();
    return html`<ol class="target-rows" aria-label="Targets in the order of sending">
        ${repeat(
          pages.items,
          (one) => `${one.locker} ${one.door}`,
          (one) => html`<li data-state=${one.state}>
            <a class="mono" href=${lockerAddress(one.locker)}>${one.locker}</a>
            <span>${one.door === null ? "locker" : `door ${one.door}`}</span>
            <span>${one.sent_at ? html`<a href=${commandAddress(one.command)}>${one.state.replace("_", " ")}</a>` : one.state.replace("_", " ")}${one.why ? html` <span class="quiet">${one.why.replaceAll("_", " ")}</span>` : nothing}${one.outcome ? html` <span class="quiet">${one.outcome.replaceAll("_", " ")}</span>` : nothing}</span>
            <span class="quiet">${one.settled_at ? ago(one.settled_at, now) : one.state === "sent" ? "under way" : ""}</span>
          </li>`,
        )}
      </ol>
      ${more(pages, "target")}`;
  }

  #address() {
    return `/api/v1/jobs/${encodeURIComponent(this.jobId)}`;
  }

  /** @param {string} act @param {string} word */
  async #do(act, word) {
    this.busy = true;
    this.problem = null;
    try {
      this.job = await this.app.api.post(`${this.#address()}/${act}`, {});
      this.said = `${word}: done.`;
      void this.#targets?.again();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.problem = error.problem;
    }
    this.busy = false;
  }

  async #ask() {
    clearTimeout(this.#timer);
    const id = this.jobId;
    try {
      const job = await this.app.api.get(this.#address());
      if (id !== this.jobId) return;
      const moved = JSON.stringify(job.counts) !== JSON.stringify(this.job?.counts);
      if (this.job && moved && this.#targets?.phase === "ready") void this.#targets.again();
      this.job = job;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (id !== this.jobId) return;
      if (!this.job) this.problem = error.problem;
      if (error.problem.status === 404) return;
    }
    if (!this.isConnected || (this.job && jobOver(this.job))) return;
    this.#timer = setTimeout(() => void this.#ask(), ASK_EVERY_MS);
  }
}

/** @param {string} name @param {unknown} value */
function fact(name, value) {
  return html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
}

customElements.define("lh-job", JobPage);
