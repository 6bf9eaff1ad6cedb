/** The heat grid's looks in small, for its legend and for lists beside it. */

import { html } from "../../vendor/lit.js";
import { View } from "../element.js";
import { LOOKS } from "../heat.js";
import { theme } from "../theme.js";
import { drawCell, inksNow } from "./heat-drawing.js";

/**
 * @import {Look} from "../heat.js"
 * @import {Operator} from "../main.js"
 */

const SIZE = 16;

class LookMark extends View {
  static properties = { look: { attribute: false } };

  constructor() {
    super();
    /** @type {Look} */
    this.look = "normal";
  }

  #drawn = "";

  render() {
    return html`<canvas class="look" aria-hidden="true"></canvas>`;
  }

  updated() {
    const key = `${this.look} ${theme()} ${devicePixelRatio}`;
    const canvas = this.querySelector("canvas");
    const on = canvas?.getContext("2d");
    if (key === this.#drawn || !canvas || !on) return;
    this.#drawn = key;
    canvas.width = canvas.height = Math.round(SIZE * devicePixelRatio);
    on.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    drawCell(on, 1, 1, SIZE, this.look, inksNow());
  }
}

/** @param {Operator} app it follows the theme @param {Look} look */
export function lookMark(app, look) {
  return html`<lh-look .app=${app} .look=${look}></lh-look>`;
}

/** @param {Operator} app */
export function legend(app) {
  return html`<ul class="heat-legend" aria-label="Legend">
    ${Object.entries(LOOKS).map(([look, word]) => html`<li>${lookMark(app, /** @type {Look} */ (look))}${word}</li>`)}
  </ul>`;
}

customElements.define("lh-look", LookMark);
