import { html } from "../../../vendor/lit.js";
import { View } from "../../element.js";

export class Alarms extends View {
  render() {
    return html`<h1>Alarms</h1>`;
  }
}

customElements.define("lh-alarms", Alarms);
