/** What all views share: light DOM, one redraw per frame, and placement without style attributes. */

import { Directive, LitElement, PartType, directive, noChange } from "../vendor/lit.js";

/**
 * @import {Act} from "./acts.js"
 * @import {Shortcut} from "./keys.js"
 * @import {Operator} from "./main.js"
 */

/**
 * A view that is redrawn with the page. It lives in the light DOM: one set of style sheets, and labels that
 * can point anywhere.
 */
export class View extends LitElement {
  static properties = { app: { attribute: false } };

  /** @type {(() => void) | null} */
  #stop = null;

  constructor() {
    super();
    /** @type {Operator} */
    this.app;
  }

  createRenderRoot() {
    return this;
  }

  connectedCallback() {
    super.connectedCallback();
    this.#watch();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#stop?.();
    this.#stop = null;
  }

  /** @param {Map<string, unknown>} changed */
  willUpdate(changed) {
    if (changed.has("app")) this.#watch();
  }

  /** Keys that do something while this view is there, and what they belong to. @returns {{title: string, shortcuts: readonly Shortcut[]}} */
  shortcuts() {
    return NO_SHORTCUTS;
  }

  /** What can be done with this view, for the palette. @returns {readonly Act[]} */
  acts() {
    return [];
  }

  #watch() {
    this.#stop?.();
    this.#stop = null;
    if (!this.app || !this.isConnected) return;
    const { title, shortcuts } = this.shortcuts();
    const stops = [this.app.watch(() => this.requestUpdate()), this.app.acts.add(() => this.acts())];
    if (shortcuts.length > 0) stops.push(this.app.keys.add(title, shortcuts));
    this.#stop = () => stops.forEach((stop) => stop());
  }
}

/** @type {{title: string, shortcuts: readonly Shortcut[]}} */
const NO_SHORTCUTS = { title: "", shortcuts: [] };

class Placed extends Directive {
  /** @param {{type: number}} part */
  constructor(part) {
    super(part);
    if (part.type !== PartType.ELEMENT) throw new Error("placed() belongs in an element's tag, as an element part");
  }

  render() {
    return noChange;
  }

  /** @param {{element: HTMLElement}} part @param {[Record<string, string>]} values */
  update(part, [values]) {
    for (const [name, value] of Object.entries(values)) {
      if (part.element.style.getPropertyValue(name) !== value) part.element.style.setProperty(name, value);
    }
    return noChange;
  }
}

/**
 * Set style properties on an element from script: `<i ${placed({width: "40%"})}>`. The policy of the page
 * forbids style attributes, which Lit's own styleMap writes on first render.
 */
export const placed = directive(Placed);
