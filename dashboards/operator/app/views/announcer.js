/** New serious alarms in words for a screen reader, in batches, and as a tone if somebody wants one. */

import { html } from "../../vendor/lit.js";
import { View } from "../element.js";
import { some } from "../format.js";

/** @import {Alarm} from "../types.js" */

/** A screen reader is told at most this often, and at most so many alarms by name. */
const EVERY_MS = 5000;
const NAMED_MAX = 3;

/** Whether an alarm waits for somebody: nobody acknowledged it, and it is not held back. @param {Alarm} alarm */
export function isUnseen(alarm) {
  return !alarm.suppressed && (alarm.state === "active_unacked" || alarm.state === "cleared_unacked");
}

/** @param {Alarm} alarm */
export function isSerious(alarm) {
  return alarm.severity === "critical" || alarm.severity === "high";
}

class Announcer extends View {
  /** Alarms that were told, or were there before; null until the first snapshot. @type {Set<string> | null} */
  #known = null;
  /** @type {Alarm[]} */
  #waiting = [];
  #saidAtMs = -EVERY_MS;
  #text = "";

  render() {
    this.#collect();
    this.#say();
    return html`<p class="unseen" role="status" aria-live="polite" data-announced>${this.#text}</p>`;
  }

  #collect() {
    const { store, at, sound } = this.app;
    // In the past the alarms are those of then; what is new now is told again when somebody is back.
    if (at || store.status("alarms").phase !== "ready") return;
    const { items } = store.list("alarms");
    const before = this.#known;
    this.#known = new Set(items.keys());
    if (!before) return;
    const fresh = [...items.values()].filter((alarm) => !before.has(alarm.id) && isUnseen(alarm) && isSerious(alarm));
    if (fresh.length === 0) return;
    this.#waiting.push(...fresh);
    sound.play();
  }

  #say() {
    const now = performance.now();
    if (this.#waiting.length === 0 || now - this.#saidAtMs < EVERY_MS) return;
    const alarms = this.#waiting;
    this.#waiting = [];
    this.#saidAtMs = now;
    const named = alarms.slice(0, NAMED_MAX).map((alarm) => `${alarm.severity}: ${alarm.what}, ${alarm.where}`);
    const more = alarms.length > NAMED_MAX ? `, and ${alarms.length - NAMED_MAX} more` : "";
    this.#text = `${some(alarms.length, "new alarm")}. ${named.join(". ")}${more}.`;
  }
}

customElements.define("lh-announcer", Announcer);
