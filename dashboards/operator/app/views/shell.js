/** The frame around every view: name, navigation, how live the page is, pause, theme. */

import { html, nothing } from "../../vendor/lit.js";
import { View } from "../element.js";
import { clock, number, some } from "../format.js";
import { Live } from "../live.js";
import { momentText } from "../moment.js";
import { hasPast } from "../router.js";
import { SEVERITIES } from "../select.js";
import { theme, toggleTheme } from "../theme.js";
import { isSerious, isUnseen } from "./announcer.js";
import { Help } from "./help.js";
import { icon, logo, severityMark, toneMark } from "./marks.js";
import { notice } from "./notice.js";
import { DRAWN, PAGES, TITLES, loadParts, part } from "./pages.js";
import { Palette } from "./palette.js";
import "./past-bar.js";
import "./sign-in.js";

/** @import {Phase} from "../live.js" */

/** The first view has the line for itself for so long. */
const REST_AFTER_MS = 3000;

/** How far back the first step into the past goes. */
const FIRST_STEP_MS = 3_600_000;

export class Shell extends View {
  /** What sticks to the top grows with banners; what sticks below it follows. */
  #heights = new ResizeObserver(([entry]) => {
    const height = entry.borderBoxSize[0].blockSize;
    document.documentElement.style.setProperty("--top-height", `${height}px`);
  });
  /** @type {Element | null} */
  #measured = null;
  /** The last time at which the page was live, by the hub's clock. */
  #liveUntilMs = 0;

  render() {
    const app = this.app;
    if (!app) return nothing;
    if (app.access === "needed") return html`<main class="centre"><lh-sign-in .app=${app}></lh-sign-in></main>`;
    if (app.access === "checking") return html`<main class="centre">${notice("Asking the hub…", "", "loading")}</main>`;
    if (app.access === "unreachable") {
      return html`<main class="centre">
        ${notice("The hub does not answer", "This page tries again every second.", "failed")}
      </main>`;
    }
    const { phase } = app.live;
    if (phase === "live") this.#liveUntilMs = app.now();
    document.body.dataset.fresh = phase === "live" || this.#past ? "yes" : "no";
    document.body.dataset.past = app.at ? "yes" : "no";
    document.body.dataset.kiosk = app.router.route.name === "wall" ? "yes" : "no";
    const announced = html`<p class="unseen" role="status" aria-live="polite">${SPOKEN[phase]}</p>
      <lh-announcer .app=${app}></lh-announcer>`;
    if (app.router.route.name === "wall") return html`${announced}<main id="content" tabindex="-1">${this.#view()}</main>`;
    return html`
      <a class="skip" href="#content" @click=${this.#skip}>Skip to the content</a>
      <div class="top"><header class="bar">
        <a class="name" href="/" aria-label="Lockerhub, fleet">${logo()}<span>Lockerhub</span></a>
        <button class="button button-icon menu-button" popovertarget="pages" aria-label="Pages">${icon("menu")}</button>
        ${this.#navigation()}
        <span class="spring"></span>
        ${this.#badge("narrow-badge")} ${this.#connection()} ${this.#pause()}
        <button class="button button-icon wide-only" @click=${this.#openPalette} title="Go to or do (Ctrl or ⌘ with K)" aria-label="Go to or do">${icon("search")}</button>
        <button class="button button-icon" @click=${this.#theme} title="Light or dark"
          aria-label=${theme() === "dark" ? "Use the light theme" : "Use the dark theme"}>
          ${icon(theme() === "dark" ? "sun" : "moon")}
        </button>
        <button class="button account-button" popovertarget="account" aria-label=${`Signed in: ${this.#who()}`} title=${this.#who()}>
          ${icon("person")}<span class="account-who">${this.#who()}</span></button>
        ${this.#account()}
      </header>
      <lh-past-bar .app=${app}></lh-past-bar>
      ${this.#strips()}</div>
      ${announced}
      <main id="content" tabindex="-1">${this.#view()}</main>
      <lh-palette .app=${app}></lh-palette>
      <lh-help .app=${app}></lh-help>
    `;
  }

  /** The pages, what everywhere can be pressed. */
  shortcuts() {
    return {
      title: "Everywhere",
      shortcuts: [
        { keys: "Mod+k", what: "Go to a page or a locker, or do something", run: () => this.#openPalette() },
        { keys: "?", what: "This list", run: () => this.#openHelp() },
        { keys: "p", what: "Pause or resume", run: () => this.#togglePause() },
        ...PAGES.map(([address, name, , key]) => ({ keys: `g ${key}`, what: name, run: () => this.app.router.go(address) })),
      ],
    };
  }

  acts() {
    const { app } = this;
    const past = app.at !== null;
    return [
      { name: app.pausedAtMs ? "Resume the page" : "Pause the page", run: () => this.#togglePause() },
      { name: "Use the light or dark theme", run: () => this.#theme() },
      { name: app.sound.on ? "Switch the alarm sound off" : "Switch the alarm sound on", run: () => app.sound.switch(!app.sound.on) },
      past
        ? { name: "Back to now", run: () => app.router.travel("") }
        : { name: "Look at the past", run: () => this.#travel() },
      { name: "Keyboard shortcuts", run: () => this.#openHelp() },
    ];
  }

  updated() {
    const top = this.querySelector(".top");
    if (top !== this.#measured) {
      this.#heights.disconnect();
      this.#measured = top;
      if (top) this.#heights.observe(top);
      else document.documentElement.style.setProperty("--top-height", "0px");
    }
    const route = this.app?.router.route;
    if (!route) return;
    if (route !== this.#routed) {
      this.#routed = route;
      for (const open of this.querySelectorAll("[popover]:popover-open")) /** @type {HTMLElement} */ (open).hidePopover();
    }
    if (!this.#loadingParts && this.app.access === "open" && this.app.live.phase === "live") {
      this.#loadingParts = true;
      setTimeout(() => void loadParts(), REST_AFTER_MS);
    }
    const title = this.#title();
    if (document.title !== title) document.title = title;
  }

  /** @type {unknown} */
  #routed = null;
  #loadingParts = false;

  #title() {
    const { app } = this;
    if (app.access !== "open") return "Lockerhub";
    const { route } = app.router;
    const place = route.name === "locker" ? (app.store.detail(route.id)?.locker.name ?? route.id) : TITLES[route.name];
    if (app.at) return `Historical: ${place} · Lockerhub`;
    let serious = 0;
    for (const alarm of app.store.list("alarms").items.values()) if (isUnseen(alarm) && isSerious(alarm)) serious += 1;
    return `${serious > 0 ? `(${serious}) ` : ""}${place} · Lockerhub`;
  }

  #navigation() {
    const { name } = this.app.router.route;
    return html`<nav id="pages" popover aria-label="Pages">
      ${PAGES.map(
        ([address, word, routes]) => html`<a href=${address}
          aria-current=${routes[0] === name ? "page" : routes.includes(name) ? "true" : "false"}>${word}${address === "/alarms" ? this.#badge("nav-badge") : nothing}</a>`,
      )}
    </nav>`;
  }

  /** How many alarms nobody acknowledged, with the worst severity's shape. @param {"nav-badge" | "narrow-badge"} kind */
  #badge(kind) {
    const alarms = this.app.store.value("summary")?.alarms;
    if (!alarms?.unacked) return nothing;
    const worst = SEVERITIES.find((severity) => alarms[severity] > 0) ?? "low";
    const now = this.app.at ? "now " : "";
    const words = `${now}${number(alarms.unacked)} unacknowledged, worst ${worst}`;
    const drawn = html`${severityMark(worst)}<span aria-hidden="true">${number(alarms.unacked)}</span><span class="unseen">, ${words}</span>`;
    if (kind === "nav-badge") return html`<span class="alarm-badge" data-severity=${worst} title=${words}>${drawn}</span>`;
    return html`<a class="alarm-badge narrow-badge" data-severity=${worst} href="/alarms" title=${words} aria-label=${`Alarms, ${words}`}>${severityMark(worst)}${number(alarms.unacked)}</a>`;
  }

  /** Whether what is shown is history: then it is neither live nor lost. */
  get #past() {
    return this.app.at !== null && hasPast(this.app.router.route);
  }

  #who() {
    return [this.app.operator, this.app.role].filter(Boolean).join(" · ");
  }

  #account() {
    const { app } = this;
    return html`<div id="account" popover class="account" role="group" aria-label="You and this page">
      <p><strong>${app.operator || "No sign-in"}</strong><span class="quiet"> ${app.role}</span></p>
      <label class="check"><input type="checkbox" .checked=${app.sound.on} @change=${(/** @type {Event} */ e) => app.sound.switch(/** @type {HTMLInputElement} */ (e.target).checked)} /> Sound for new serious alarms</label>
      ${app.sound.on && !app.sound.ready ? html`<p class="small quiet">It sounds after the first click or key on this page.</p>` : nothing}
      <label class="check"><input type="checkbox" .checked=${app.keys.on} @change=${(/** @type {Event} */ e) => app.keys.switch(/** @type {HTMLInputElement} */ (e.target).checked)} /> Single-key shortcuts</label>
      <button class="button" popovertarget="account" popovertargetaction="hide" @click=${this.#openPalette}>${icon("search")}Go to or do</button>
      <button class="button" popovertarget="account" popovertargetaction="hide" @click=${this.#openHelp}>Keyboard</button>
      <button class="button" popovertarget="account" popovertargetaction="hide" ?disabled=${app.at !== null} @click=${this.#travel}>${icon("past")}Look at the past</button>
      <a class="button" href="/wall">Wallboard</a>
      ${app.canSignOut ? html`<button class="button" @click=${this.#signOut}>Sign out</button>` : nothing}
      ${app.live.hubVersion ? html`<p class="small quiet">Hub ${app.live.hubVersion}</p>` : nothing}
    </div>`;
  }

  #words() {
    const { live } = this.app;
    return {
      live: "Live",
      connecting: "Connecting…",
      stale: `No data for ${live.silentS} s`,
      waiting: `Reconnecting in ${Math.max(0, Math.ceil((live.retryAt - Live.clock()) / 1000))} s`,
      incompatible: "Page too old",
      stopped: "Not connected",
    }[live.phase];
  }

  #connection() {
    const { live } = this.app;
    if (this.#past) return html`<span class="connection" data-phase="past">${icon("past")}<span class="connection-words">Past</span></span>`;
    const tone = live.phase === "live" || live.phase === "connecting" ? "normal" : "caution";
    return html`<span class="connection" data-phase=${live.phase} title=${live.hubVersion ? `Hub ${live.hubVersion}` : ""}>
      ${toneMark(tone)}<span class="connection-words">${this.#words()}</span>
    </span>`;
  }

  #pause() {
    if (this.#past) return nothing;
    const paused = this.app.pausedAtMs !== 0;
    return html`<button class="button pause" aria-pressed=${paused} @click=${this.#togglePause}
      title=${paused ? "Show what has changed, and go on" : "Hold the page still"}>
      ${icon(paused ? "play" : "pause")}<span class="pause-word">${paused ? "Resume" : "Pause"}</span>
      ${paused ? html`<span class="badge">${this.app.store.waiting}</span>` : nothing}
    </button>`;
  }

  #strips() {
    const { live, pausedAtMs, store } = this.app;
    if (this.#past) return nothing;
    const since = this.#liveUntilMs ? ` What you see is from ${clock(this.#liveUntilMs)}.` : "";
    return html`
      ${live.phase === "waiting" || live.phase === "stale" || (live.phase === "connecting" && this.#liveUntilMs)
        ? html`<p class="banner banner-caution">${toneMark("caution")}
            <span>${live.phase === "stale" ? "The hub is silent." : "The connection is lost."}${since}
              <span class="narrow-only">${this.#words()}.</span></span>
            <button class="button" @click=${() => live.retry()}>Try now</button>
          </p>`
        : nothing}
      ${live.phase === "incompatible"
        ? html`<p class="banner banner-caution">${toneMark("caution")}
            <span>The hub speaks a newer language than this page.</span>
            <button class="button" @click=${() => location.reload()}>Load the page again</button>
          </p>`
        : nothing}
      ${pausedAtMs
        ? html`<p class="banner">
            <span>Paused at ${clock(pausedAtMs)}. ${some(store.waiting, "change")} waiting.</span>
            <button class="button" @click=${this.#togglePause}>Resume</button>
          </p>`
        : nothing}
    `;
  }

  #view() {
    const { app } = this;
    const { route } = app.router;
    const draw = DRAWN[route.name];
    const state = part(route.name, () => this.requestUpdate());
    if (state === "failed") {
      return notice("This part of the page did not load", html`<button class="button" @click=${() => location.reload()}>Load the page again</button>`, "failed");
    }
    if (state === "loading") return notice("Loading…", "", "loading");
    if (draw) return draw(app, route.id);
    return notice("There is no such page", html`<a href="/">Go to the fleet</a>`, "failed");
  }

  #travel() {
    const now = this.app.now();
    this.app.router.travel(momentText(now - FIRST_STEP_MS, now));
  }

  #openPalette() {
    const palette = this.querySelector("lh-palette");
    if (palette instanceof Palette) palette.open();
  }

  #openHelp() {
    const help = this.querySelector("lh-help");
    if (help instanceof Help) help.open();
  }

  #togglePause() {
    if (!this.#past) this.app.setPaused(this.app.pausedAtMs === 0);
  }

  #theme() {
    toggleTheme();
    this.requestUpdate();
  }

  async #signOut() {
    await this.app.api.signOut().catch(() => null);
    await this.app.checkSession();
  }

  /** @param {Event} event */
  #skip(event) {
    event.preventDefault();
    document.getElementById("content")?.focus();
  }
}

/** @type {Record<Phase, string>} */
const SPOKEN = {
  live: "Live",
  connecting: "Connecting",
  stale: "The hub is silent. The page is not up to date.",
  waiting: "The connection is lost. Reconnecting.",
  incompatible: "The page is too old for the hub.",
  stopped: "Not connected",
};

customElements.define("lh-shell", Shell);
