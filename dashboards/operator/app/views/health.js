/** The hub itself: what is connected, what is queued, how fast it is, and who does not keep up. */

import { html, nothing, repeat } from "../../vendor/lit.js";
import { View, placed } from "../element.js";
import { ago, moment, number, some, span } from "../format.js";
import { toneMark } from "./marks.js";
import { notice } from "./notice.js";

/** A queue that is this full is worth a look. */
const QUEUE_FULL_SHARE = 0.5;
const LAG_HIGH_MS = 100;

export class Health extends View {
  render() {
    const { store } = this.app;
    const health = store.value("health");
    const { phase, detail } = store.status("health");
    return html`
      <div class="page-head"><h1>Health</h1>${health ? this.#verdict(health) : nothing}</div>
      ${phase === "failed" ? notice("The hub does not show its health", detail, "failed") : nothing}
      ${health ? this.#whole(health) : phase === "loading" ? notice("Asking the hub how it is…", "", "loading") : nothing}
    `;
  }

  /** @param {any} health */
  #verdict(health) {
    const wrong = Object.entries(health.checks).filter(([, said]) => said !== "ok");
    if (health.ready && wrong.length === 0) return html`<p class="health-verdict">${toneMark("normal")}All parts are ready.</p>`;
    return html`<p class="health-verdict serious">${toneMark("serious")}<strong>Not ready: ${wrong.map(([name]) => name).join(", ")}.</strong></p>`;
  }

  /** @param {any} health */
  #whole(health) {
    const now = this.app.now();
    return html`
      <dl class="health-figures">
        ${figure("Messages in", `${number(Math.round(health.rates.messages_in_s))}/s`)}
        ${figure("Events stored", `${number(Math.round(health.rates.events_s))}/s`)}
        ${figure("Telemetry stored", `${number(Math.round(health.rates.readings_s))}/s`)}
        ${figure("Commands", `${number(Math.round(health.rates.commands_s * 60))}/min`)}
        ${figure("CPU", `${Math.round(health.cpu_ratio * 100)} %`)}
        ${figure("Memory", `${number(Math.round(health.rss_mb))} MB`)}
        ${figure("Event loop late", `${health.loop_lag_ms.now.toFixed(1)} ms`, health.loop_lag_ms.max_1min > LAG_HIGH_MS ? `${Math.round(health.loop_lag_ms.max_1min)} ms at most` : "")}
        ${figure("Up for", span(now - Date.parse(health.started_at)), `version ${health.version}`)}
      </dl>
      <div class="health-columns">
        ${panel("Parts", rows(Object.entries(health.checks), ([name, said]) => line(name, said === "ok" ? "ready" : said, said === "ok" ? "normal" : "serious")))}
        ${panel("Links to the broker", rows(health.links, (one) => line(one.name, one.connected ? "connected" : "down", one.connected ? "normal" : "serious", some(one.reconnects, "reconnect"))))}
        ${panel("Queues", rows(health.queues, (one) => this.#queue(one)))}
        ${panel(
          "Every message accounted for",
          html`<dl class="facts">${Object.entries(health.accounts).map(([name, n]) => html`<div><dt>${name.replace("_", " ")}</dt><dd>${number(Number(n))}</dd></div>`)}</dl>`,
        )}
        ${panel(
          `Viewers: ${health.viewers.count} of ${health.viewers.max}`,
          health.slow_viewers.length > 0
            ? rows(health.slow_viewers, (one) => line(`viewer ${one.id}`, `${some(one.queued, "frame")} behind`, "caution", `${some(one.resyncs, "resync")}, ${one.views.join(" ")}`))
            : html`<p class="panel-note quiet">Everybody keeps up.</p>`,
        )}
        ${panel(
          "What the hub does of itself",
          rows(health.upkeep, (one) => line(one.task, one.error ? one.error : one.succeeded_at ? ago(one.succeeded_at, now) : "never yet", one.error ? "serious" : "normal", one.succeeded_at ? moment(one.succeeded_at) : "")),
        )}
        ${health.notify?.length > 0
          ? panel(
              "Who is told of alarms",
              rows(health.notify, (one) => line(one.name, one.last_error ? one.last_error : one.last_ok_at ? `last ${ago(one.last_ok_at, now)}` : "nothing sent yet", one.last_error ? "caution" : "normal", one.kind)),
            )
          : nothing}
      </div>
    `;
  }

  /** @param {{name: string, depth: number, capacity: number, dropped: number}} queue */
  #queue(queue) {
    const share = queue.capacity > 0 ? queue.depth / queue.capacity : 0;
    return html`<li class="health-line" data-tone=${queue.dropped > 0 || share >= QUEUE_FULL_SHARE ? "caution" : "normal"}>
      ${toneMark(queue.dropped > 0 || share >= QUEUE_FULL_SHARE ? "caution" : "normal")}
      <span>${queue.name}</span>
      <span class="queue-bar" aria-hidden="true"><i ${placed({ width: `${Math.min(100, share * 100)}%` })}></i></span>
      <span>${number(queue.depth)} of ${number(queue.capacity)}${queue.dropped ? html`, <strong>${number(queue.dropped)} dropped</strong>` : nothing}</span>
    </li>`;
  }
}

/** @param {string} name @param {string} value @param {string} [note] */
function figure(name, value, note = "") {
  return html`<div><dt>${name}</dt><dd>${value}</dd>${note ? html`<dd class="quiet small">${note}</dd>` : nothing}</div>`;
}

/** @param {string} title @param {unknown} body */
function panel(title, body) {
  return html`<section class="panel"><div class="panel-head"><h2>${title}</h2></div>${body}</section>`;
}

/** @param {any[]} items @param {(one: any) => unknown} draw */
function rows(items, draw) {
  if (items.length === 0) return html`<p class="panel-note quiet">None.</p>`;
  return html`<ul class="health-lines">${repeat(items, (_, index) => index, draw)}</ul>`;
}

/** @param {string} name @param {string} said @param {"normal" | "caution" | "serious"} tone @param {string} [note] */
function line(name, said, tone, note = "") {
  return html`<li class="health-line" data-tone=${tone}>${toneMark(tone)}<span>${name}</span><span>${said}</span>${note ? html`<span class="quiet small">${note}</span>` : nothing}</li>`;
}

customElements.define("lh-health", Health);
