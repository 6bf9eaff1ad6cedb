import { html } from "../../vendor/lit.js";
import { View } from "../element.js";

export class Overview extends View {
  render() {
    return html`<h1>Overview</h1>`;
  }
}

customElements.define("lh-overview", Overview);
