/** What a page says when there is no list to show: loading, empty, failed. */

import { html, nothing } from "../../vendor/lit.js";

/**
 * @param {string} title
 * @param {unknown} [detail] a sentence, or markup of ours
 * @param {"loading" | "empty" | "failed"} [kind]
 */
export function notice(title, detail = nothing, kind = "empty") {
  return html`<div class="notice notice-${kind}" role=${kind === "failed" ? "alert" : "status"}>
    <svg class="notice-art" viewBox="0 0 64 40" aria-hidden="true">
      <path class="art-line" d="M1 1h62v38H1zM21.7 1v38M42.3 1v38M1 20h62"></path>
      <path class="art-mark" d="M42.3 20h20.7v19H42.3z"></path>
    </svg>
    <p class="notice-title">${title}</p>
    <p class="notice-detail">${detail}</p>
  </div>`;
}
