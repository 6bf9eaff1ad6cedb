import { html } from "../../vendor/lit.js";
import { View } from "../element.js";

export class Label extends View {
  static properties = { lockerId: { attribute: false } };

  constructor() {
    super();
    this.lockerId = "";
  }

  render() {
    return html`<h1>Label</h1>`;
  }
}

customElements.define("lh-label", Label);
