/** The pages about alarms, side by side. */

import { html } from "../../../vendor/lit.js";

const PAGES = [
  ["/alarms", "Alarms"],
  ["/alarms/health", "Health"],
  ["/alarms/rules", "Rules"],
  ["/maintenance", "Maintenance"],
];

/** @param {string} here the address of the page that is shown */
export function alarmTabs(here) {
  return html`<nav class="alarm-tabs" aria-label="About alarms">
    ${PAGES.map(([address, word]) => html`<a href=${address} aria-current=${address === here ? "page" : "false"}>${word}</a>`)}
  </nav>`;
}
