import { html } from "../../../vendor/lit.js";
import { View } from "../../element.js";

export class AlarmHealth extends View {
  render() {
    return html`<h1>AlarmHealth</h1>`;
  }
}

customElements.define("lh-alarm-health", AlarmHealth);
