/** How far a job is, as a bar; the words stand beside it. */

import { html } from "../../../vendor/lit.js";
import { placed } from "../../element.js";
import { progress } from "./words.js";

/** @import {Job} from "../../types.js" */

/** @param {Job} job */
export function progressBar(job) {
  const { done, failed, left_out: out, total } = progress(job);
  const share = (/** @type {number} */ n) => placed({ width: `${total > 0 ? (100 * n) / total : 0}%` });
  return html`<span class="job-bar" aria-hidden="true"><i class="job-bar-done" ${share(done)}></i><i class="job-bar-failed" ${share(failed)}></i><i
    class="job-bar-out" ${share(out)}></i></span>`;
}
