/** What raises alarms, in words; and who is told of them. */

import { html, nothing, repeat } from "../../../vendor/lit.js";
import { typeWords } from "../../alarm-words.js";
import { Refusal } from "../../api.js";
import { View } from "../../element.js";
import { SEVERITIES, SEVERITY_WORDS } from "../../format.js";
import { ruleWords, scopeWords } from "../../rule-words.js";
import { severityMark } from "../marks.js";
import { refused } from "../more.js";
import { notice } from "../notice.js";
import { alarmTabs } from "./tabs.js";
import "./told.js";

/**
 * @import {Problem} from "../../types.js"
 * @import {Rule} from "../../rule-words.js"
 */

export class AlarmRules extends View {
  static properties = { rules: { state: true }, problem: { state: true } };

  #shown = "";

  constructor() {
    super();
    /** @type {{version: string, sha256: string, items: Rule[]} | null} */
    this.rules = null;
    /** @type {Problem | null} */
    this.problem = null;
  }

  connectedCallback() {
    super.connectedCallback();
    queueMicrotask(() => void this.#ask());
  }

  render() {
    const { rules } = this;
    return html`${alarmTabs("/alarms/rules")}
      <div class="page-head"><h1>Rules</h1>
        ${rules
          ? html`<p class="quiet">Version ${rules.version}, ${rules.items.length} rules, fingerprint <span class="mono" title=${rules.sha256}>${rules.sha256.slice(0, 12)}</span>. They are a file of the hub: a change there is a new version.</p>`
          : nothing}</div>
      ${rules ? this.#table(rules.items) : this.problem ? refused(this.problem, () => void this.#ask()) : notice("Loading the rules…", "", "loading")}
      <lh-told .app=${this.app}></lh-told>`;
  }

  updated() {
    const asked = this.#asked;
    if (!this.rules || asked === this.#shown) return;
    this.#shown = asked;
    this.querySelector(".rule[data-asked=yes]")?.scrollIntoView({ block: "center" });
  }

  /** The rule that the address names. */
  get #asked() {
    return new URLSearchParams(location.search).get("rule") ?? "";
  }

  /** @param {Rule[]} items */
  #table(items) {
    const asked = this.#asked;
    const order = [...items].sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) || (a.id < b.id ? -1 : 1));
    return html`${asked && !items.some(({ id }) => id === asked)
        ? html`<p class="refused" role="alert">There is no rule “${asked}” in this version. <a href="/alarms/rules">Show all rules</a></p>`
        : nothing}
      <div class="panel"><table class="rules">
        <caption class="unseen">Rules, by severity</caption>
        <thead><tr><th scope="col">Severity</th><th scope="col">Alarm</th><th scope="col">When</th><th scope="col">Where</th></tr></thead>
        <tbody>${repeat(order, ({ id }) => id, (rule) => html`<tr class="rule" data-rule=${rule.id} data-asked=${rule.id === asked ? "yes" : "no"}>
          <td><span class="alarm-severity">${severityMark(rule.severity)}${SEVERITY_WORDS[rule.severity]}</span></td>
          <th scope="row"><a href=${`/alarms?${new URLSearchParams({ type: rule.type })}`}>${typeWords(rule.type)}</a> <span class="rule-id mono">${rule.id}</span></th>
          <td>${ruleWords(rule)}${rule.enabled ? nothing : html` <span class="flag">Switched off</span>`}</td>
          <td>${scopeWords(rule.scope ?? {})}</td></tr>`)}</tbody>
      </table></div>`;
  }

  async #ask() {
    if (!this.app) return;
    this.problem = null;
    try {
      this.rules = await this.app.api.get("/api/v1/alarms/rules");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.problem = error.problem;
    }
  }
}

customElements.define("lh-alarm-rules", AlarmRules);
