import { html } from "../../../vendor/lit.js";
import { View } from "../../element.js";

export class Commands extends View {
  render() {
    return html`<h1>Commands</h1>`;
  }
}

customElements.define("lh-commands", Commands);
