import { html } from "../../vendor/lit.js";
import { View } from "../element.js";

export class Wall extends View {
  render() {
    return html`<h1>Wall</h1>`;
  }
}

customElements.define("lh-wall", Wall);
