import { html } from "../../../vendor/lit.js";
import { View } from "../../element.js";

export class Jobs extends View {
  render() {
    return html`<h1>Jobs</h1>`;
  }
}

customElements.define("lh-jobs", Jobs);
