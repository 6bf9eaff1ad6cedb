/** What became of every event that a locker numbered: stored, explained, or missing. */

import { html, nothing } from "../../../vendor/lit.js";
import { Asked } from "../../asked.js";
import { View, placed } from "../../element.js";
import { number, some } from "../../format.js";
import { toneMark } from "../marks.js";
import { notice } from "../notice.js";
import { lockerPath } from "./paths.js";

/**
 * @typedef {object} Ledger
 * @property {string} epoch
 * @property {number} first_stored
 * @property {number} last
 * @property {number} stored
 * @property {number} missing
 * @property {{from_seq: number, to_seq: number}[]} missing_list
 * @property {number} declared
 * @property {{from_seq: number, to_seq: number, reason: string}[]} declared_list
 * @property {number} quarantined
 * @property {number[]} quarantined_list
 * @property {number} gone
 * @property {number} given_up
 * @property {number} forks
 * @property {boolean} complete
 * @property {string[]} problems
 */

export class LedgerView extends View {
  static properties = { lockerId: { attribute: false } };

  #asked = new Asked(() => this.requestUpdate());

  constructor() {
    super();
    this.lockerId = "";
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    super.willUpdate(changed);
    if (this.app && this.lockerId) this.#asked.want(this.app, this.lockerId, () => `${lockerPath(this.lockerId)}/ledger?limit=100`);
  }

  render() {
    return html`<section class="panel" aria-labelledby="ledger-title">
      <div class="panel-head"><h2 id="ledger-title">Ledger</h2>
        <button class="button" type="button" ?disabled=${this.#asked.busy} @click=${() => this.#asked.again()}>${this.#asked.busy ? "Counting…" : "Count again"}</button></div>
      ${this.#body()}
    </section>`;
  }

  #body() {
    const { data, problem } = this.#asked;
    if (!data) {
      return problem
        ? notice("The ledger could not be counted", problem.detail || problem.title, "failed")
        : notice("Counting every event…", "", "loading");
    }
    /** @type {Ledger[]} */
    const ledgers = data.items;
    if (ledgers.length === 0) return notice("No events yet", "The locker has not sent anything with a number.");
    const broken = ledgers.filter((ledger) => !ledger.complete).length;
    return html`
      ${problem ? html`<p class="feed-note serious" role="alert">Counting again failed: ${problem.title}.</p>` : nothing}
      <p class="ledger-verdict" role="status">${broken
        ? html`${toneMark("serious")}<strong class="serious">${broken === ledgers.length ? "Not every event is accounted for." : `${some(broken, "ledger")} of ${ledgers.length} cannot account for every event.`}</strong>`
        : html`${toneMark("normal")}<strong>Every event is accounted for.</strong>`}</p>
      <ul class="ledgers">${ledgers.map((ledger, index) => this.#ledger(ledger, index === 0))}</ul>
      ${data.next_cursor ? html`<p class="feed-note">Older ledgers of this locker are not shown here.</p>` : nothing}`;
  }

  /** @param {Ledger} ledger @param {boolean} first */
  #ledger(ledger, first) {
    return html`<li class="ledger" data-complete=${ledger.complete ? "yes" : "no"}>
      <h3>Ledger <span class="mono">${ledger.epoch.slice(0, 8)}</span> <span class="quiet">${some(ledger.last, "event")}, ${ledger.complete ? "complete" : "not complete"}</span></h3>
      ${gapBar(ledger)}
      <dl class="ledger-counts">
        <div><dt>Stored</dt><dd>${number(ledger.stored)}</dd></div>
        <div><dt>Missing</dt><dd class=${ledger.missing ? "serious" : ""}>${number(ledger.missing)}</dd></div>
        <div><dt>Declared lost</dt><dd>${number(ledger.declared)}</dd></div>
        <div><dt>In quarantine</dt><dd>${number(ledger.quarantined)}</dd></div>
        <div><dt>Deleted by rule</dt><dd>${number(ledger.gone)}</dd></div>
        ${ledger.given_up ? html`<div><dt>Never written</dt><dd>${number(ledger.given_up)}</dd></div>` : nothing}
        ${ledger.forks ? html`<div><dt>Forks</dt><dd class="serious">${number(ledger.forks)}</dd></div>` : nothing}
      </dl>
      ${ledger.problems.length > 0 ? html`<ul class="ledger-problems">${ledger.problems.map((text) => html`<li>${toneMark("serious")}<span>${text}</span></li>`)}</ul>` : nothing}
      ${this.#ranges(ledger, first)}
    </li>`;
  }

  /** @param {Ledger} ledger @param {boolean} open */
  #ranges(ledger, open) {
    const rows = [
      ...ledger.missing_list.map((one) => ({ ...one, why: "nobody can explain it", tone: "serious" })),
      ...ledger.declared_list.map((one) => ({ ...one, why: `the locker lost it: ${one.reason.replaceAll("_", " ")}`, tone: "" })),
      ...ledger.quarantined_list.map((seq) => ({ from_seq: seq, to_seq: seq, why: "in quarantine", tone: "" })),
    ].sort((a, b) => a.from_seq - b.from_seq);
    if (rows.length === 0) return nothing;
    return html`<details ?open=${open}><summary>What is not simply stored (${rows.length})</summary>
      <table class="plain-table"><thead><tr><th scope="col">Numbers</th><th scope="col" class="right">Events</th><th scope="col">Why</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr class=${row.tone}><th scope="row">${row.from_seq === row.to_seq ? number(row.from_seq) : `${number(row.from_seq)} to ${number(row.to_seq)}`}</th>
        <td class="right">${number(row.to_seq - row.from_seq + 1)}</td><td>${row.why}</td></tr>`)}</tbody></table></details>`;
  }
}

/** The numbers from the first to the last as a bar, with what is not there where it is not. @param {Ledger} ledger */
function gapBar(ledger) {
  const last = Math.max(1, ledger.last);
  const piece = (/** @type {number} */ from, /** @type {number} */ to, /** @type {string} */ kind) =>
    html`<i class="gap" data-kind=${kind} ${placed({ left: `${((from - 1) / last) * 100}%`, width: `${((to - from + 1) / last) * 100}%` })}></i>`;
  return html`<div class="gap-bar" aria-hidden="true">
    ${ledger.gone ? piece(1, ledger.gone, "gone") : nothing}
    ${ledger.declared_list.map((one) => piece(one.from_seq, one.to_seq, "declared"))}
    ${ledger.quarantined_list.map((seq) => piece(seq, seq, "quarantined"))}
    ${ledger.missing_list.map((one) => piece(one.from_seq, one.to_seq, "missing"))}
  </div>
  <p class="gap-ends small quiet" aria-hidden="true"><span>1</span><span>${number(ledger.last)}</span></p>`;
}

customElements.define("lh-ledger", LedgerView);
