import { html } from "../../../vendor/lit.js";
import { View } from "../../element.js";

export class JobNew extends View {
  render() {
    return html`<h1>JobNew</h1>`;
  }
}

customElements.define("lh-job-new", JobNew);
