import { html } from "../../../vendor/lit.js";
import { View } from "../../element.js";

export class CommandPage extends View {
  static properties = { commandId: { attribute: false } };

  constructor() {
    super();
    this.commandId = "";
  }

  render() {
    return html`<h1>CommandPage</h1>`;
  }
}

customElements.define("lh-command-page", CommandPage);
