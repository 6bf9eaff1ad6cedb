/** What doors did: how often they open, how long things lie there, how full the lockers are. */

import { html, nothing } from "../../vendor/lit.js";
import { Asked } from "../asked.js";
import { View, placed } from "../element.js";
import { number, some } from "../format.js";
import { BUCKETS, BUCKET_S, SPANS, addressQuery, barLabels, hubQuery, lengthWords, placeOf, questionFrom, shareWords } from "../statistics.js";
import "./bars.js";
import { toneMark } from "./marks.js";
import { notice } from "./notice.js";

/** @import {Collect, Counts, Question, Statistics as Answer} from "../statistics.js" */
/** @import {Axis, Bar, Mark} from "./bars.js" */
/** @typedef {{heading: string, note: string, what: string, bars: Bar[], marks: Mark[], axis: Axis, words: (value: number) => string, zone: string}} Chart */

/** Numbers that wait to be counted are asked for again this often. */
const AGAIN_DUE_MS = 15_000;
const AGAIN_MS = 300_000;
const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

export class Statistics extends View {
  static properties = { wantsOther: { state: true } };

  #asked = new Asked(() => this.requestUpdate());
  /** Charts of the last answer, so that they are drawn when it changes, and not every second. @type {{of: Answer | null, charts: Chart[]}} */
  #made = { of: null, charts: [] };

  constructor() {
    super();
    /** Whether the fields of another span are open. */
    this.wantsOther = false;
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    super.willUpdate(changed);
    if (!this.app) return;
    const { question, problem } = this.#question();
    const again = this.#asked.data?.hours_due > 0 ? AGAIN_DUE_MS : AGAIN_MS;
    this.#asked.want(this.app, problem ? "" : JSON.stringify(question), () => `/api/v1/statistics?${hubQuery(question, this.app.now())}`, again);
  }

  render() {
    const { question, problem } = this.#question();
    return html`
      <div class="page-head"><h1>Statistics</h1>
        ${problem ? nothing : html`<a class="button" download href=${`/api/v1/export/statistics?${fileQuery(question, this.app.now())}`}>Save as a file</a>`}
      </div>
      ${this.#filters(question)}
      ${problem ? notice("That cannot be asked", problem, "failed") : this.#body(question)}
    `;
  }

  /** @param {Question} question */
  #filters(question) {
    const sites = [...new Set([...this.app.store.lockers.values()].map((locker) => locker.site))].filter(Boolean).sort();
    return html`<form class="stat-filters panel" aria-label="Filters" @submit=${(/** @type {SubmitEvent} */ e) => this.#take(e, question)} @change=${(/** @type {Event} */ e) => this.#changed(e, question)}>
      <div class="segments" role="group" aria-label="Span of time">
        ${[...Object.entries(SPANS).map(([name, { label }]) => [name, label]), ["custom", "Other…"]].map(([name, label]) => html`<button
          class="segment" type="button" aria-pressed=${(this.wantsOther ? "custom" : question.range) === name} @click=${() => this.#span(name, question)}>${label}</button>`)}
      </div>
      ${this.wantsOther || question.range === "custom"
        ? html`<label>From <input type="datetime-local" name="since" required .value=${local(question.since)} /></label>
            <label>To <input type="datetime-local" name="until" required .value=${local(question.until)} /></label>`
        : nothing}
      <label>Bars <select name="bucket">${BUCKETS.map((one) => html`<option value=${one} ?selected=${question.bucket === one}>by ${one}</option>`)}</select></label>
      <label>Site <input name="site" list="stat-sites" autocomplete="off" placeholder="all" .value=${question.site} /></label>
      <datalist id="stat-sites">${sites.map((site) => html`<option value=${site}></option>`)}</datalist>
      <label>Locker <input name="locker" autocomplete="off" spellcheck="false" placeholder="all" .value=${question.locker} /></label>
      <label>Time zone <input name="zone" list="stat-zones" autocomplete="off" spellcheck="false" .value=${question.zone} /></label>
      <datalist id="stat-zones">${zones().map((zone) => html`<option value=${zone}></option>`)}</datalist>
      <button class="button" type="submit">Show</button>
    </form>`;
  }

  /** @param {Question} question */
  #body(question) {
    /** @type {Answer | null} */
    const answer = this.#asked.data;
    const { problem } = this.#asked;
    if (!answer) {
      if (!problem) return notice("Counting…", "", "loading");
      return html`${notice(problem.title, problem.detail, "failed")}
        <p class="centre-line"><button class="button" @click=${() => this.#asked.again()}>Try again</button></p>`;
    }
    const { total, collect } = answer;
    const happened = total.openings + total.closings + total.put_in + total.collected > 0;
    return html`
      ${problem ? html`<p class="stat-note" role="alert">${toneMark("caution")}Newer numbers did not come: ${problem.title}. These are older.</p>` : nothing}
      ${answer.hours_due ? html`<p class="stat-note" role="status">${toneMark("caution")}${some(answer.hours_due, "hour")} ${answer.hours_due === 1 ? "waits" : "wait"} to be counted again; half a minute usually does it. Until then some numbers are too small.</p>` : nothing}
      ${happened ? nothing : notice("Nothing happened in this time", question.site || question.locker ? html`No door moved${question.locker ? html` at <span class="mono">${question.locker}</span>` : nothing}${question.site ? ` in ${question.site}` : nothing}. Choose a longer span, or leave the filters out.` : "No door moved. Choose a longer span.")}
      ${happened ? this.#tiles(total, collect) : nothing}
      ${happened ? html`<div class="panel"><div class="plots">${this.#charts(answer).map((one) => html`<lh-bars .app=${this.app} .heading=${one.heading} .note=${one.note} .what=${one.what}
        .bars=${one.bars} .marks=${one.marks} .axis=${one.axis} .words=${one.words} .isWhole=${one.words === number} .zone=${one.zone}></lh-bars>`)}</div></div>` : nothing}
      ${answer.sizes.length > 0 ? this.#sizes(answer) : nothing}
    `;
  }

  /** @param {Counts} total @param {Collect} collect */
  #tiles(total, collect) {
    const tiles = [
      ["Openings", number(total.openings)],
      ["Left open", `${number(total.left_open)} (${shareWords(total.left_open_share)})`],
      ["Forced", number(total.forced)],
      ["Put in", number(total.put_in)],
      ["Collected", number(total.collected)],
      ["Half collected within", collect.p50_s === null ? "–" : lengthWords(collect.p50_s)],
      ["Nine of ten within", collect.p90_s === null ? "–" : lengthWords(collect.p90_s)],
    ];
    return html`<dl class="stat-tiles">${tiles.map(([word, value]) => html`<div class="panel"><dt>${word}</dt><dd class=${word === "Forced" && total.forced ? "serious" : ""}>${word === "Forced" && total.forced ? toneMark("serious") : nothing}${value}</dd></div>`)}</dl>`;
  }

  /** @param {Answer} answer */
  #sizes(answer) {
    return html`<div class="panel">
      <div class="panel-head"><h2 id="sizes-title">How full, by size</h2></div>
      <div class="table-box stat-sizes" tabindex="0" role="region" aria-labelledby="sizes-title"><table class="plain-table">
        <thead><tr><th scope="col">Size</th><th scope="col" class="right">Doors</th><th scope="col">Occupied</th><th scope="col" class="right">Share of time</th><th scope="col" class="right">Openings</th><th scope="col" class="right">Put in</th><th scope="col" class="right">Collected</th></tr></thead>
        <tbody>${answer.sizes.map((one) => html`<tr><th scope="row">${one.size}</th><td class="right">${number(one.doors)}</td>
          <td class="stat-share" aria-hidden="true"><i><b ${placed({ width: `${(one.occupied_share ?? 0) * 100}%` })}></b></i></td>
          <td class="right">${shareWords(one.occupied_share)}</td><td class="right">${number(one.openings)}</td><td class="right">${number(one.put_in)}</td><td class="right">${number(one.collected)}</td></tr>`)}</tbody>
      </table></div>
      ${answer.sizes.some((one) => one.doors_known < one.doors) ? html`<p class="feed-note small">Shares are of doors whose item sensors have said something: ${answer.sizes.map((one) => `${one.doors_known} of ${one.doors} (${one.size})`).join(", ")}.</p>` : nothing}
    </div>`;
  }

  /** @param {Answer} answer */
  #charts(answer) {
    if (this.#made.of !== answer) this.#made = { of: answer, charts: chartsOf(answer) };
    return this.#made.charts;
  }

  #question() {
    return questionFrom(new URLSearchParams(location.search), HERE);
  }

  /** @param {string} name @param {Question} question */
  #span(name, question) {
    this.wantsOther = name === "custom";
    if (name !== "custom") this.#ask({ ...question, range: name });
  }

  /** A list or a field was changed: what is chosen from a list is wanted at once. @param {Event} event @param {Question} question */
  #changed(event, question) {
    const field = /** @type {HTMLInputElement} */ (event.target);
    if (field.name === "since" || field.name === "until") return;
    this.#ask({ ...question, [field.name]: field.value.trim() });
  }

  /** @param {SubmitEvent} event @param {Question} question */
  #take(event, question) {
    event.preventDefault();
    const given = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const text = (/** @type {string} */ name) => String(given.get(name) ?? "").trim();
    const next = { ...question, bucket: /** @type {Question["bucket"]} */ (text("bucket")), site: text("site"), locker: text("locker"), zone: text("zone") || HERE };
    if (given.has("since")) Object.assign(next, { range: "custom", since: instant(text("since")), until: instant(text("until")) });
    this.wantsOther = false;
    this.#ask(next);
  }

  /** @param {Question} question */
  #ask(question) {
    const query = addressQuery(question, HERE);
    this.app.router.rename(`${location.pathname}${query ? `?${query}` : ""}`);
    this.requestUpdate();
  }
}

/** @param {Answer} answer @returns {Chart[]} */
function chartsOf(answer) {
  const { bucket, zone, collect } = answer;
  const from = Date.parse(answer.since) / 1000;
  const to = Date.parse(answer.until) / 1000;
  const labels = barLabels(answer.buckets.map((one) => one.at), zone, FORMATS[bucket]);
  const day = new Intl.DateTimeFormat(undefined, { timeZone: zone, day: "numeric", month: "short" });
  const time = new Intl.DateTimeFormat(undefined, { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const axis = {
    from,
    to,
    step: BUCKET_S[bucket],
    label: (/** @type {number} */ x, /** @type {number} */ step) => (step >= 86_400 || time.format(new Date(x * 1000)) === "00:00" ? day : time).format(new Date(x * 1000)),
  };
  const over = (/** @type {string} */ heading, /** @type {(one: Counts) => number | null} */ value, words = number, note = "") => ({
    heading, note, words, zone, axis, marks: [], what: "From",
    bars: answer.buckets.map((one, index) => ({ x: Date.parse(one.at) / 1000, label: labels[index], value: value(one) })),
  });
  const steps = collect.histogram;
  const marks = [["half", collect.p50_s], ["nine of ten", collect.p90_s]]
    .filter((one) => one[1] !== null)
    .map(([word, seconds]) => ({ x: placeOf(steps, Number(seconds)), label: `${word}: ${lengthWords(Number(seconds))}` }));
  return [
    over("Openings", (one) => one.openings, number, `by ${bucket}`),
    over("Left open", (one) => one.left_open_share, shareWords, "share of openings"),
    over("Forced", (one) => one.forced, number, "openings that no command asked for"),
    over("Collected", (one) => one.collected, number, `items, by ${bucket}`),
    {
      heading: "Time until collected", note: `${number(collect.timed)} of ${number(answer.total.collected)} were timed`, what: "Within", words: number, zone: "", marks,
      axis: { from: -0.6, to: steps.length - 0.4, step: 1, label: (x) => (steps[x] ? lengthWords(steps[x].within_s) : "") },
      bars: steps.map((one, index) => ({ x: index, label: lengthWords(one.within_s), value: one.items })),
    },
    {
      heading: "Openings by hour of the day", note: zone, what: "Hour", words: number, zone: "", marks: [],
      axis: { from: -0.6, to: 23.6, step: 1, label: (x) => (Number.isInteger(x) && x >= 0 && x < 24 ? `${x}` : "") },
      bars: Array.from({ length: 24 }, (_, hour) => ({ x: hour, label: `${hour} to ${hour + 1}`, value: answer.hours_of_day.find((one) => one.hour === hour)?.openings ?? 0 })),
    },
  ];
}

/** @type {Record<string, Intl.DateTimeFormatOptions>} */
const FORMATS = {
  hour: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  day: { weekday: "short", day: "numeric", month: "short", year: "numeric" },
  week: { day: "numeric", month: "short", year: "numeric" },
  month: { month: "long", year: "numeric" },
};

/** A file is of hours and doors: it has no bars and no zone. @param {Question} question @param {number} nowMs */
function fileQuery(question, nowMs) {
  const query = hubQuery(question, nowMs);
  query.delete("bucket");
  query.delete("zone");
  return query;
}

/** A time as the browser's own field for it wants it. @param {string} at */
function local(at) {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "" : new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** What such a field holds, as the hub wants it: whole hours. @param {string} text */
function instant(text) {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return "";
  return new Date(Math.round(date.getTime() / 3_600_000) * 3_600_000).toISOString();
}

/** @type {string[]} */
let known = [];

/** The time zones that the browser knows, where it says so. */
function zones() {
  if (known.length === 0) known = ["UTC", ...Intl.supportedValuesOf("timeZone")];
  return known;
}

customElements.define("lh-statistics", Statistics);
