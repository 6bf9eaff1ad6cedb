/** Orders for many doors or lockers, newest first. */

import { html, nothing, repeat } from "../../../vendor/lit.js";
import { View } from "../../element.js";
import { ago, moment } from "../../format.js";
import { toneMark } from "../marks.js";
import { notice } from "../notice.js";
import { progressBar } from "./bar.js";
import { JOB_STATES, filterWords, jobOver, jobTitle, progressWords } from "./words.js";

/** @import {Job} from "../../types.js" */

export class Jobs extends View {
  render() {
    const may = this.app.can("operator");
    return html`
      <div class="page-head">
        <h1>Jobs</h1>
        <p class="quiet">One order for many doors or lockers: some first, then the rest at a rate, stopped when too many fail.</p>
        <span class="spring"></span>
        ${may
          ? html`<a class="button" href="/jobs/new">New job…</a>`
          : html`<button class="button" disabled title="Only operators may make jobs">New job…</button>`}
      </div>
      ${this.#body()}
    `;
  }

  #body() {
    const { store } = this.app;
    const { phase, detail } = store.status("jobs");
    if (phase === "failed") return notice("The hub does not show its jobs", detail, "failed");
    /** @type {Job[]} */
    const jobs = [...store.list("jobs").items.values()].sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
    if (phase === "loading" && jobs.length === 0) return notice("Loading jobs…", "", "loading");
    if (jobs.length === 0) return notice("No jobs yet", "A job opens, locates, configures or restarts many at once.");
    const running = jobs.filter((job) => !jobOver(job));
    const over = jobs.filter(jobOver);
    return html`
      ${running.length > 0 ? html`<h2 class="list-title">Under way</h2>${this.#rows(running)}` : nothing}
      ${over.length > 0 ? html`<h2 class="list-title">Over</h2>${this.#rows(over)}` : nothing}
    `;
  }

  /** @param {Job[]} jobs */
  #rows(jobs) {
    const now = this.app.now();
    return html`<ul class="job-rows panel">
      ${repeat(
        jobs,
        (job) => job.id,
        (job) => html`<li class="job-row" data-job=${job.id} data-state=${job.state}>
          ${toneMark(JOB_STATES[job.state]?.tone ?? "normal")}
          <a class="job-row-what" href=${`/jobs/${encodeURIComponent(job.id)}`}><strong>${jobTitle(job)}</strong> <span>${job.reason}</span></a>
          <span class="job-row-state">${JOB_STATES[job.state]?.word ?? job.state}</span>
          <span class="job-row-progress">${progressBar(job)}<span class="quiet">${progressWords(job)}</span></span>
          <span class="job-row-where quiet">${filterWords(job.filter)}</span>
          <span class="job-row-who quiet" title=${moment(job.created_at)}>${job.created_by}, ${ago(job.created_at, now)}</span>
        </li>`,
      )}
    </ul>`;
  }
}

customElements.define("lh-jobs", Jobs);
