/** What all views share: light DOM, one redraw per frame, and placement without style attributes. */

import { Directive, LitElement, PartType, directive, noChange } from "../vendor/lit.js";

/** @import {Operator} from "./main.js" */

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

  #watch() {
    this.#stop?.();
    this.#stop = this.app ? this.app.watch(() => this.requestUpdate()) : null;
  }
}

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
