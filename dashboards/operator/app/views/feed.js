/** What happened, in sentences, newest first; and the events of one locker beside its doors. */

import { html, nothing, repeat } from "../../vendor/lit.js";
import { Refusal } from "../api.js";
import { View } from "../element.js";
import { clock, day, moment, sentence, some } from "../format.js";
import { lockerAddress } from "../router.js";
import { eventKey } from "../store.js";
import { toneMark } from "./marks.js";
import { notice } from "./notice.js";

/** @import {LockerEvent} from "../types.js" */

/** Event elements in the document; what is older is reached by narrowing, or by the locker's own history. */
const SHOWN_MAX = 200;
const OLDER_PAGE = 50;
const OLDER_MAX = 500;

/** @type {Record<string, {label: string, has: (event: LockerEvent) => boolean}>} */
const TOPICS = {
  all: { label: "Everything", has: () => true },
  attention: { label: "Needs attention", has: (event) => sentence(event).tone !== "normal" },
  doors: { label: "Doors", has: (event) => /^(door|sensor|occupancy)\./.test(event.kind) },
  people: { label: "Access and commands", has: (event) => /^(access|command)\./.test(event.kind) || event.kind === "door.unlocked" },
  device: { label: "Device", has: (event) => /^(board|tamper|power|battery|temperature|agent|outbox)\.|^snapshot$/.test(event.kind) },
};

/** @type {{events: LockerEvent[], until: string, next: string | null, busy: boolean, done: boolean, problem: string}} */
const NOTHING_OLDER = { events: [], until: "", next: null, busy: false, done: false, problem: "" };

export class Feed extends View {
  static properties = { topic: { state: true }, q: { state: true }, older: { state: true } };

  constructor() {
    super();
    this.topic = "all";
    this.q = "";
    this.older = NOTHING_OLDER;
  }

  /** @param {string} view "" where they are not live @param {LockerEvent[]} events @param {boolean} named whether the locker is told */
  entries(view, events, named) {
    const status = this.app.store.status(view);
    if (view && status.phase === "failed") return notice("The hub does not show these events", status.detail, "failed");
    if (view && status.phase === "loading" && events.length === 0) return notice("Loading events…", "", "loading");
    const found = this.narrowed(events);
    if (found.length === 0) {
      return events.length === 0
        ? notice("Nothing has happened yet", "Events appear here the moment they are stored.")
        : notice("No event matches", `${some(events.length, "event")} loaded.`);
    }
    const shown = found.slice(0, SHOWN_MAX + this.older.events.length);
    return html`<ol class="feed" aria-label="Events, newest first">
        ${repeat(shown, eventKey, (event, index) => this.entry(event, shown[index - 1], named))}
      </ol>
      ${shown.length < found.length ? html`<p class="feed-note">The newest ${shown.length} of ${found.length}.</p>` : nothing}`;
  }

  /** What the topic and the search words leave. @param {LockerEvent[]} events */
  narrowed(events) {
    const words = this.q.toLowerCase().split(/\s+/).filter(Boolean);
    return events.filter(
      (event) => TOPICS[this.topic].has(event) && words.every((word) => this.#text(event).includes(word)),
    );
  }

  topics() {
    return html`<label class="choice"><span class="choice-label">Show</span>
      <select @change=${(/** @type {Event} */ e) => (this.topic = /** @type {HTMLSelectElement} */ (e.target).value)}>
        ${Object.entries(TOPICS).map(([name, { label }]) => html`<option value=${name} ?selected=${this.topic === name}>${label}</option>`)}
      </select></label>`;
  }

  /** @param {LockerEvent} event @param {LockerEvent | undefined} newer @param {boolean} named */
  entry(event, newer, named) {
    const { text, tone } = sentence(event);
    const now = this.app.now();
    const date = day(event.occurred_at, now);
    const newDay = date !== (newer ? day(newer.occurred_at, now) : "");
    const unsure = event.clock === "unset";
    return html`<li class=${named ? "entry entry-named" : "entry"} data-tone=${tone} data-kind=${event.kind}>
      ${newDay ? html`<span class="entry-day">${date || "Today"}</span>` : nothing}
      <time datetime=${event.occurred_at} title=${moment(event.occurred_at)}>${unsure ? "≈ " : ""}${clock(event.occurred_at)}</time>
      ${toneMark(tone)}
      ${named ? html`<a class="entry-locker" href=${lockerAddress(event.locker)}>${event.locker}</a>` : nothing}
      <span class="entry-text">${text}</span>
    </li>`;
  }

  /** @param {LockerEvent} event */
  #text(event) {
    const name = this.app.store.lockers.get(event.locker)?.name ?? "";
    return `${event.locker} ${name} ${event.kind} ${sentence(event).text}`.toLowerCase();
  }
}

/** The events of one locker, with its history behind a button. */
export class LockerFeed extends Feed {
  static properties = { lockerId: { attribute: false }, past: { attribute: false } };

  constructor() {
    super();
    this.lockerId = "";
    /** Another time than now, and the newest events before it. @type {{at: string, events: LockerEvent[]} | null} */
    this.past = null;
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    super.willUpdate(changed);
    const before = /** @type {LockerFeed["past"] | undefined} */ (changed.get("past"));
    if (changed.has("lockerId") || (changed.has("past") && before?.at !== this.past?.at)) this.older = NOTHING_OLDER;
  }

  render() {
    const view = `events:${this.lockerId}`;
    const events = this.past ? this.past.events : this.app.store.feed(view).events;
    const known = new Set(events.map(eventKey));
    const all = [...events, ...this.older.events.filter((event) => !known.has(eventKey(event)))];
    const { busy, done, problem } = this.older;
    return html`<section class="panel" aria-labelledby="feed-title">
      <div class="panel-head"><h2 id="feed-title">Events</h2><span class="feed-tools">${this.topics()}
        <a href=${this.#file()} download>Save as a file</a></span></div>
      <div class="feed-box">
        ${this.entries(this.past ? "" : view, all, false)}
        ${problem ? html`<p class="feed-note" role="alert">${problem}</p>` : nothing}
        ${events.length > 0 && !done
          ? html`<button class="button feed-more" ?disabled=${busy} @click=${() => this.#more(all)}>${busy ? "Loading…" : "Older events"}</button>`
          : nothing}
      </div>
    </section>`;
  }

  #file() {
    const query = new URLSearchParams({ locker: this.lockerId, ...(this.past ? { until: this.past.at } : {}) });
    return `/api/v1/export/events?${query}`;
  }

  /** @param {LockerEvent[]} all */
  async #more(all) {
    const id = this.lockerId;
    const before = this.older;
    this.older = { ...before, busy: true, problem: "" };
    try {
      const until = before.until || justAfter(all[all.length - 1].occurred_at);
      const page = await this.app.api.events(id, { until, cursor: before.next ?? undefined, limit: OLDER_PAGE });
      if (id !== this.lockerId) return;
      const known = new Set(before.events.map(eventKey));
      const events = [...before.events, ...page.items.filter((event) => !known.has(eventKey(event)))].slice(0, OLDER_MAX);
      this.older = { events, until, next: page.next_cursor, busy: false, done: !page.next_cursor || events.length >= OLDER_MAX, problem: "" };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.older = { ...before, busy: false, problem: `${error.problem.title}. ${error.problem.detail}` };
    }
  }
}

/** Stamps are cut to milliseconds; what shares the last one must not be missed. @param {string} at */
function justAfter(at) {
  return new Date(Date.parse(at) + 1).toISOString();
}

customElements.define("lh-locker-feed", LockerFeed);
