import { html } from "../../vendor/lit.js";
import { View } from "../element.js";

export class Health extends View {
  render() {
    return html`<h1>Health</h1>`;
  }
}

customElements.define("lh-health", Health);
