/** The past, unmistakable: which moment is shown, how to move in time, how to come back. */

import { html, nothing } from "../../vendor/lit.js";
import { View } from "../element.js";
import { age, moment } from "../format.js";
import { SPANS, localText, momentText, sliderEnds } from "../moment.js";
import { addressAt, hasPast } from "../router.js";
import { icon, toneMark } from "./marks.js";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Steps of the slider's keys. */
const SLIDER_STEP_S = 60;

/** @type {ReadonlyArray<[number, string, string]>} */
const STEPS = [
  [-HOUR_MS, "−1 h", "One hour earlier"],
  [-MINUTE_MS, "−1 min", "One minute earlier"],
  [MINUTE_MS, "+1 min", "One minute later"],
  [HOUR_MS, "+1 h", "One hour later"],
];

class PastBar extends View {
  static properties = { span: { state: true }, dragged: { state: true } };

  constructor() {
    super();
    /** @type {keyof typeof SPANS} */
    this.span = "24 h";
    /** Where the slider is held, not let go yet. @type {number | null} */
    this.dragged = null;
  }

  shortcuts() {
    return {
      title: "Time travel",
      shortcuts: [
        { keys: "[", what: "One minute earlier", run: () => this.#step(-MINUTE_MS) },
        { keys: "]", what: "One minute later", run: () => this.#step(MINUTE_MS) },
        { keys: "{", what: "One hour earlier", run: () => this.#step(-HOUR_MS) },
        { keys: "}", what: "One hour later", run: () => this.#step(HOUR_MS) },
      ],
    };
  }

  render() {
    const { app } = this;
    if (app.atProblem) {
      return html`<p class="banner banner-caution" role="alert">${toneMark("caution")}
        <span>${app.atProblem} You see now.</span>
        <a class="button" href=${addressAt(location.pathname + location.search, "")} @click=${this.#leave}>Leave it out</a>
      </p>`;
    }
    if (!app.at) return nothing;
    const now = app.now();
    const at = app.at.getTime();
    const { from, to } = sliderEnds(at, now, SPANS[this.span]);
    const held = this.dragged ?? at;
    return html`<section class="past-bar" aria-label="Time travel">
      <div class="past-head"><p class="past-what" role="status">${icon("past")}<strong class="past-word">Historical</strong>
        <time datetime=${app.at.toISOString()} title=${moment(app.at.toISOString())}>${PLAIN.format(app.at)}</time>
        <span class="past-age">${age(app.at.toISOString(), now)} ago. Nothing can be done here.</span>
        ${hasPast(app.router.route) ? nothing : html`<span class="past-now">This page has no past: it shows now.</span>`}
      </p>
      <button class="button button-strong" @click=${this.#leave}>Back to now</button></div>
      <div class="past-tools">
        <label class="past-field"><span class="unseen">Date and time</span>
          <input type="datetime-local" step="1" .value=${localText(app.at)} max=${localText(new Date(now))} @change=${this.#typed} /></label>
        <span class="past-steps" role="group" aria-label="Steps">
          ${STEPS.map(
            ([ms, word, name]) => html`<button class="button" title=${name} ?disabled=${at + ms > now} @click=${() => this.#step(ms)}>${word}</button>`,
          )}</span>
        <label class="past-slider"><span class="unseen">Moment</span>
          <input type="range" min=${Math.round(from / 1000)} max=${Math.round(to / 1000)} step=${SLIDER_STEP_S} .value=${String(Math.round(held / 1000))}
            aria-valuetext=${PLAIN.format(held)} @input=${this.#drag} @change=${this.#letGo} /></label>
        <select aria-label="Span of the slider" @change=${this.#chooseSpan}>
          ${Object.keys(SPANS).map((span) => html`<option value=${span} ?selected=${span === this.span}>${span}</option>`)}
        </select>
      </div>
    </section>`;
  }

  /** @param {number} atMs */
  #go(atMs) {
    this.dragged = null;
    this.app.router.travel(momentText(atMs, this.app.now()));
  }

  /** @param {number} ms */
  #step(ms) {
    if (this.app.at) this.#go(this.app.at.getTime() + ms);
  }

  /** @param {Event} event */
  #typed(event) {
    const typed = new Date(/** @type {HTMLInputElement} */ (event.target).value).getTime();
    if (!Number.isNaN(typed)) this.#go(typed);
  }

  /** @param {Event} event */
  #drag(event) {
    this.dragged = Number(/** @type {HTMLInputElement} */ (event.target).value) * 1000;
  }

  /** @param {Event} event */
  #letGo(event) {
    this.#go(Number(/** @type {HTMLInputElement} */ (event.target).value) * 1000);
  }

  /** @param {Event} event */
  #chooseSpan(event) {
    this.span = /** @type {keyof typeof SPANS} */ (/** @type {HTMLSelectElement} */ (event.target).value);
  }

  /** @param {Event} event */
  #leave(event) {
    event.preventDefault();
    this.app.router.travel("");
  }
}

const PLAIN = new Intl.DateTimeFormat(undefined, {
  weekday: "short",
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

customElements.define("lh-past-bar", PastBar);
