import { html } from "../../../vendor/lit.js";
import { View } from "../../element.js";

export class AlarmPage extends View {
  static properties = { alarmId: { attribute: false } };

  constructor() {
    super();
    this.alarmId = "";
  }

  render() {
    return html`<h1>AlarmPage</h1>`;
  }
}

customElements.define("lh-alarm", AlarmPage);
