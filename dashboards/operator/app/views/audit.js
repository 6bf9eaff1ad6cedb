import { html } from "../../vendor/lit.js";
import { View } from "../element.js";

export class Audit extends View {
  render() {
    return html`<h1>Audit</h1>`;
  }
}

customElements.define("lh-audit", Audit);
