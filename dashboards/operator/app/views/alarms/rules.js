import { html } from "../../../vendor/lit.js";
import { View } from "../../element.js";

export class AlarmRules extends View {
  render() {
    return html`<h1>AlarmRules</h1>`;
  }
}

customElements.define("lh-alarm-rules", AlarmRules);
