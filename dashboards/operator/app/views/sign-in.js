/** Sign-in with the hub's token. */

import { html, nothing } from "../../vendor/lit.js";
import { Refusal } from "../api.js";
import { View } from "../element.js";
import { logo } from "./marks.js";

export class SignIn extends View {
  static properties = { busy: { state: true }, problem: { state: true } };

  constructor() {
    super();
    this.busy = false;
    /** @type {{title: string, detail: string} | null} */
    this.problem = null;
  }

  firstUpdated() {
    this.querySelector("input")?.focus();
  }

  render() {
    return html`<form class="sign-in panel" @submit=${this.#submit}>
      ${logo()}
      <h1>Lockerhub</h1>
      <p class="quiet">This hub asks for its access token. Whoever installed it has the token.</p>
      <label for="token">Access token</label>
      <input id="token" name="token" type="password" autocomplete="current-password" spellcheck="false" required
        aria-describedby="sign-in-problem" />
      <p id="sign-in-problem" class="form-problem" role="alert">
        ${this.problem ? html`<strong>${this.problem.title}.</strong> ${this.problem.detail}` : nothing}
      </p>
      <button class="button button-strong" ?disabled=${this.busy}>${this.busy ? "Signing in…" : "Sign in"}</button>
    </form>`;
  }

  /** @param {SubmitEvent} event */
  async #submit(event) {
    event.preventDefault();
    const input = this.querySelector("input");
    if (!input || this.busy) return;
    this.busy = true;
    this.problem = null;
    try {
      await this.app.api.signIn(input.value);
      await this.app.checkSession();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.problem =
        error.problem.status === 401
          ? { title: "That is not the token", detail: "Nothing was changed. Check it and try again." }
          : error.problem;
      input.select();
    } finally {
      this.busy = false;
    }
  }
}

customElements.define("lh-sign-in", SignIn);
