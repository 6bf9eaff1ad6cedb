import { html } from "../../vendor/lit.js";
import { View } from "../element.js";

export class Statistics extends View {
  render() {
    return html`<h1>Statistics</h1>`;
  }
}

customElements.define("lh-statistics", Statistics);
