/** Who is told of alarms: channels, whether they work, a message to try them, and what was sent. */

import { html, nothing, repeat } from "../../../vendor/lit.js";
import { Refusal } from "../../api.js";
import { View } from "../../element.js";
import { ago, clock, day, moment, number } from "../../format.js";
import { Pages } from "../../pages.js";
import { toneMark } from "../marks.js";
import { more, refused } from "../more.js";
import { notice } from "../notice.js";
import { alarmAddress } from "./row.js";

/**
 * @import {Problem} from "../../types.js"
 * @typedef {{name: string, kind: string, to: string | string[], severities: string[], sites: string[], queue: number, last_ok_at: string | null,
 *   last_error: string | null, last_error_at: string | null}} Channel
 * @typedef {{id: string | number, at: string, channel: string, alarm: string | null, transition: string, state: string, tries: number, error: string | null}} Delivery
 * @typedef {{busy: boolean, ok: boolean, words: string}} Tried
 */

/** @type {Record<string, {word: string, tone: import("../../format.js").Tone}>} */
const STATES = {
  sent: { word: "Sent", tone: "normal" },
  waiting: { word: "Waits", tone: "normal" },
  failed: { word: "Failed", tone: "caution" },
  dropped: { word: "Given up", tone: "serious" },
};

export class Told extends View {
  static properties = { channels: { state: true }, problem: { state: true }, tried: { state: true } };

  /** @type {Pages | null} */
  #sent = null;

  constructor() {
    super();
    /** @type {Channel[] | null} */
    this.channels = null;
    /** @type {Problem | null} */
    this.problem = null;
    /** What came of trying a channel, by its name. @type {Record<string, Tried>} */
    this.tried = {};
  }

  connectedCallback() {
    super.connectedCallback();
    queueMicrotask(() => void this.#ask());
  }

  render() {
    return html`<section class="told" aria-labelledby="told-title">
      <div class="page-head"><h2 class="told-title" id="told-title">Who is told</h2>
        <p class="quiet">When an alarm is raised, cleared or acknowledged; never of a suppressed one. A flood becomes one message.</p></div>
      ${this.problem ? refused(this.problem, () => void this.#ask()) : this.channels ? this.#channels(this.channels) : notice("Loading…", "", "loading")}
      ${this.channels && this.channels.length > 0 ? this.#deliveries() : nothing}
    </section>`;
  }

  /** @param {Channel[]} channels */
  #channels(channels) {
    if (channels.length === 0) {
      return notice("Nobody is told", "The hub's configuration names no channel. E-mail and webhooks are entered there under notify.channel.");
    }
    const now = this.app.now();
    const may = this.app.can("operator");
    const why = may ? "" : "Your role is viewer. Trying a channel needs the role operator.";
    return html`${why ? html`<p class="unseen" id="told-denied">${why}</p>` : nothing}
      <ul class="panel channels">
        ${repeat(channels, ({ name }) => name, (channel) => {
          const failing = channel.last_error !== null && (channel.last_ok_at === null || (channel.last_error_at ?? "") > channel.last_ok_at);
          const tried = this.tried[channel.name];
          return html`<li class="channel" data-channel=${channel.name}>
            <span class="channel-what">${toneMark(failing ? "caution" : "normal")}<strong>${channel.name}</strong>
              <span class="quiet">${channel.kind === "email" ? "e-mail" : channel.kind} to ${[channel.to].flat().join(", ")}</span></span>
            <span class="channel-which quiet">${channel.severities.length ? channel.severities.join(", ") : "all severities"}; ${channel.sites.length ? channel.sites.join(", ") : "all sites"}</span>
            <span class="channel-how">${failing
              ? html`<strong>Fails</strong> ${ago(channel.last_error_at, now)}: ${channel.last_error}`
              : channel.last_ok_at
                ? html`<span title=${moment(channel.last_ok_at)}>Worked ${ago(channel.last_ok_at, now)}</span>`
                : html`<span class="quiet">Not used yet</span>`}${channel.queue > 0 ? html`, ${number(channel.queue)} waiting` : nothing}</span>
            <button class="button" type="button" ?disabled=${!may || tried?.busy} title=${why} aria-describedby=${why ? "told-denied" : nothing}
              aria-label=${`Send a test to ${channel.name}`} @click=${() => this.#try(channel.name)}>${tried?.busy ? "Sending…" : "Send a test"}</button>
            <p class="channel-tried" role="status">${tried && !tried.busy ? html`${toneMark(tried.ok ? "normal" : "caution")} ${tried.words}` : nothing}</p>
          </li>`;
        })}
      </ul>`;
  }

  #deliveries() {
    const pages = (this.#sent ??= new Pages(this.app.api, () => this.requestUpdate()));
    if (pages.phase === "idle") queueMicrotask(() => void pages.load("/api/v1/notifications?limit=20"));
    const now = this.app.now();
    /** @type {Delivery[]} */
    const items = pages.items;
    return html`<h3 class="list-title">What was sent</h3>
      ${pages.phase === "failed" && items.length === 0
        ? refused(pages.problem, () => void pages.again())
        : items.length === 0
          ? html`<p class="quiet">${pages.phase === "ready" ? "Nothing yet." : "Loading…"}</p>`
          : html`<div class="panel"><table class="deliveries">
              <thead><tr><th scope="col">When</th><th scope="col">Channel</th><th scope="col">What</th><th scope="col">State</th></tr></thead>
              <tbody>${repeat(items, ({ id }) => id, (one) => html`<tr data-delivery=${one.id}>
                <td><time datetime=${one.at} title=${moment(one.at)}>${day(one.at, now)} ${clock(one.at)}</time></td>
                <td>${one.channel}</td>
                <td>${one.alarm ? html`<a href=${alarmAddress(one.alarm)}>Alarm ${one.transition}</a>` : one.transition}</td>
                <td>${toneMark(STATES[one.state]?.tone ?? "normal")} ${STATES[one.state]?.word ?? one.state}${one.tries > 1 ? `, ${one.tries} tries` : ""}${one.error ? `: ${one.error}` : ""}</td></tr>`)}</tbody>
            </table></div>
            ${more(pages, "message")}`}`;
  }

  /** @param {string} name */
  async #try(name) {
    this.tried = { ...this.tried, [name]: { busy: true, ok: false, words: "" } };
    /** @type {Tried} */
    let tried;
    try {
      const { ok, detail } = await this.app.api.post(`/api/v1/notifications/channels/${encodeURIComponent(name)}/test`, {});
      tried = { busy: false, ok, words: detail || (ok ? "It arrived." : "It did not arrive.") };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      tried = { busy: false, ok: false, words: `${error.problem.title}. ${error.problem.detail}` };
    }
    this.tried = { ...this.tried, [name]: tried };
    void this.#sent?.again();
    void this.#ask();
  }

  async #ask() {
    if (!this.app) return;
    try {
      this.channels = (await this.app.api.get("/api/v1/notifications/channels")).items;
      this.problem = null;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.problem = error.problem;
    }
  }
}

customElements.define("lh-told", Told);
