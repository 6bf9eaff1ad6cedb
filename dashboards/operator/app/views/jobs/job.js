import { html } from "../../../vendor/lit.js";
import { View } from "../../element.js";

export class JobPage extends View {
  static properties = { jobId: { attribute: false } };

  constructor() {
    super();
    this.jobId = "";
  }

  render() {
    return html`<h1>JobPage</h1>`;
  }
}

customElements.define("lh-job", JobPage);
