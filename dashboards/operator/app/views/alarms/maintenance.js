import { html } from "../../../vendor/lit.js";
import { View } from "../../element.js";

export class Maintenance extends View {
  render() {
    return html`<h1>Maintenance</h1>`;
  }
}

customElements.define("lh-maintenance", Maintenance);
