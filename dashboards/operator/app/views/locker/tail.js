/**
 * The messages of one locker as they pass, for who looks for a fault: which way, on which channel, what the hub made
 * of each. The hub keeps none of it; it begins when somebody looks, and what is shown is only what came since.
 */

import { html, nothing, repeat } from "../../../vendor/lit.js";
import { View } from "../../element.js";
import { clock, number, some } from "../../format.js";
import { toneMark } from "../marks.js";
import { notice } from "../notice.js";

/** @import {TailMessage} from "../../types.js" */
/** @import {Tone} from "../../format.js" */

/** Messages in the document; older ones are reached by narrowing. */
const SHOWN_MAX = 200;

export class MessageTail extends View {
  static properties = {
    lockerId: { attribute: false },
    q: { state: true },
    direction: { state: true },
    channel: { state: true },
    held: { state: true },
    said: { state: true },
  };

  constructor() {
    super();
    this.lockerId = "";
    this.q = "";
    this.direction = "";
    this.channel = "";
    /** What is shown while paused; null when it runs. @type {readonly TailMessage[] | null} */
    this.held = null;
    this.said = "";
    /** Messages up to this number were cleared away. */
    this.clearedTo = 0;
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    super.willUpdate(changed);
    if (changed.has("lockerId")) Object.assign(this, { held: null, clearedTo: 0, said: "" });
  }

  render() {
    const { store } = this.app;
    const { phase, code, detail } = store.status(`tail:${this.lockerId}`);
    if (phase === "failed") {
      return html`<section class="panel"><h2 class="unseen">Messages</h2>${code === "role_needed"
        ? notice("Messages are for operators", "What lockers say can name people. Your role may not look at it.", "failed")
        : notice("The hub does not show these messages", detail, "failed")}</section>`;
    }
    const { messages, skipped } = store.tail(this.lockerId);
    const kept = (this.held ?? messages).filter((message) => message.n > this.clearedTo);
    const found = kept.filter((message) => this.#fits(message)).reverse();
    const waiting = this.held ? messages.filter((message) => message.n > (this.held?.[this.held.length - 1]?.n ?? this.clearedTo)).length : 0;
    const channels = [...new Set([...messages.map((message) => message.channel), this.channel])].filter(Boolean).sort();
    return html`<section class="panel" aria-labelledby="tail-title">
      <div class="panel-head tail-head"><h2 id="tail-title">Messages</h2>
        <div class="tail-tools">
          <label class="search"><span class="unseen">Search messages</span><input type="search" placeholder="Search topic or text" autocomplete="off" spellcheck="false" .value=${this.q}
            @input=${(/** @type {Event} */ e) => (this.q = /** @type {HTMLInputElement} */ (e.target).value)} /></label>
          <label class="choice"><span class="unseen">Direction</span><select @change=${(/** @type {Event} */ e) => (this.direction = /** @type {HTMLSelectElement} */ (e.target).value)}>
            ${[["", "Both ways"], ["in", "From the locker"], ["out", "To the locker"]].map(([value, word]) => html`<option value=${value} ?selected=${this.direction === value}>${word}</option>`)}</select></label>
          <label class="choice"><span class="unseen">Channel</span><select @change=${(/** @type {Event} */ e) => (this.channel = /** @type {HTMLSelectElement} */ (e.target).value)}>
            <option value="">All channels</option>${channels.map((name) => html`<option value=${name} ?selected=${this.channel === name}>${name}</option>`)}</select></label>
          <button class="button" type="button" aria-pressed=${this.held !== null} @click=${() => (this.held = this.held ? null : messages)}>${this.held ? `Go on (${waiting} waiting)` : "Hold"}</button>
          <button class="button" type="button" ?disabled=${found.length === 0} @click=${() => this.#copy(found)}>Copy as JSON</button>
          <button class="button" type="button" ?disabled=${kept.length === 0} @click=${() => this.#clear(messages)}>Clear</button>
        </div></div>
      <p class="feed-note small" role="status">${this.said || `${some(found.length, "message")}${found.length < kept.length ? ` of ${number(kept.length)}` : ""}.`}${skipped ? ` ${some(skipped, "message")} came too fast to be shown.` : ""}</p>
      ${phase === "loading" && messages.length === 0
        ? notice("Listening…", "", "loading")
        : found.length === 0
          ? kept.length === 0
            ? notice("No messages yet", "Messages appear here the moment they pass. Nothing from before is kept.")
            : notice("No message matches", `${some(kept.length, "message")} came.`)
          : html`<ol class="tail" aria-label="Messages, newest first">${repeat(found.slice(0, SHOWN_MAX), (message) => message.n, (message) => entry(message))}</ol>
            ${found.length > SHOWN_MAX ? html`<p class="feed-note">The newest ${SHOWN_MAX} of ${number(found.length)}.</p>` : nothing}`}
    </section>`;
  }

  /** @param {TailMessage} message */
  #fits(message) {
    if (this.direction && message.direction !== this.direction) return false;
    if (this.channel && message.channel !== this.channel) return false;
    const text = `${message.topic} ${message.verdict} ${message.payload}`.toLowerCase();
    return this.q.toLowerCase().split(/\s+/).every((word) => text.includes(word));
  }

  /** @param {readonly TailMessage[]} messages */
  #clear(messages) {
    this.clearedTo = messages[messages.length - 1]?.n ?? this.clearedTo;
    if (this.held) this.held = messages;
    this.said = "Cleared.";
  }

  /** @param {readonly TailMessage[]} messages */
  async #copy(messages) {
    const text = JSON.stringify([...messages].reverse(), null, 2);
    const done = await copied(text);
    this.said = done ? `${some(messages.length, "message")} copied.` : "The browser did not let the page copy.";
  }
}

/** @param {TailMessage} message */
function entry(message) {
  const tone = toneOf(message);
  return html`<li><details class="tail-entry" data-direction=${message.direction}>
    <summary>
      <time datetime=${message.at}>${clock(message.at)}</time>
      <span class="tail-way" title=${message.direction === "in" ? "from the locker" : "to the locker"}><span aria-hidden="true">${message.direction === "in" ? "→" : "←"}</span><span class="unseen">${message.direction === "in" ? "from the locker" : "to the locker"}</span></span>
      <strong class="tail-channel">${message.channel}</strong>
      <span class="tail-verdict" data-tone=${tone}>${tone === "normal" ? nothing : toneMark(tone)}${message.verdict.replaceAll("_", " ").replace(":", ": ")}${message.retained ? ", retained" : nothing}</span>
      <span class="tail-bytes quiet">${number(message.bytes)} B</span>
      <span class="tail-text mono quiet">${message.payload.slice(0, 160)}</span>
    </summary>
    <p class="tail-topic mono small">${message.topic}</p>
    <pre class="tail-payload mono" tabindex="0" role="group" aria-label="Content of the message">${pretty(message)}</pre>
    ${message.cut ? html`<p class="feed-note small">Only the first ${number(message.payload.length)} characters are shown.</p>` : nothing}
  </details></li>`;
}

/** @param {TailMessage} message @returns {Tone} */
function toneOf({ verdict }) {
  if (verdict.startsWith("quarantined")) return "serious";
  return verdict === "taken" || verdict === "sent" || verdict === "duplicate" ? "normal" : "caution";
}

/** @param {TailMessage} message */
function pretty(message) {
  try {
    return JSON.stringify(JSON.parse(message.payload), null, 2);
  } catch {
    // Cut off, or not JSON at all: as it came.
    return message.payload || "(empty)";
  }
}

/** Copy a text, also where the page is not served over HTTPS. @param {string} text */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "unseen";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

customElements.define("lh-tail", MessageTail);
