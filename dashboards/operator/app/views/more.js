/** What stands below a list that comes page by page. */

import { html, nothing } from "../../vendor/lit.js";
import { some } from "../format.js";
import { ROWS_MAX } from "../pages.js";
import { toneMark } from "./marks.js";

/** @import {Pages} from "../pages.js" */

/** @param {Pages} pages @param {string} noun of one row */
export function more(pages, noun) {
  if (pages.phase === "failed" && pages.items.length > 0) return refused(pages.problem, () => void pages.more());
  return html`
    ${pages.hasMore
      ? html`<button class="button more" ?disabled=${pages.phase === "loading"} @click=${() => void pages.more()}>
          ${pages.phase === "loading" ? "Loading…" : "Older"}
        </button>`
      : nothing}
    ${pages.isCut ? html`<p class="feed-note">The newest ${some(ROWS_MAX, noun)} are shown. Narrow the filter, or take the file.</p>` : nothing}
  `;
}

/** @param {import("../types.js").Problem | null} problem @param {(() => void) | null} [again] */
export function refused(problem, again = null) {
  if (!problem) return nothing;
  return html`<div class="refused" role="alert">
    ${toneMark("caution")}
    <p><strong>${problem.title}.</strong> ${problem.detail}</p>
    ${again ? html`<button class="button" @click=${again}>Try again</button>` : nothing}
  </div>`;
}
