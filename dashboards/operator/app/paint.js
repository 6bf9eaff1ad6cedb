/** Marks in the browser's own time line, for whoever measures the page. Nothing happens unless they are switched on. */

import { remembered } from "./memory.js";

const on = remembered("marks") === "1";
let firstView = false;
/** @type {Set<string>} */
let waiting = new Set();
let first = false;

const channel = new MessageChannel();
channel.port1.onmessage = () => {
  const ids = [...waiting];
  waiting = new Set();
  if (ids.length > 0) performance.mark("lh-paint", { detail: { ids } });
  if (first && !firstView) {
    firstView = true;
    performance.mark("lh-first-view");
  }
};

/**
 * To be called in the frame in which these lockers were drawn; the mark is set when that frame has been painted.
 * @param {Iterable<string>} ids @param {boolean} whole whether all of the view has been drawn
 */
export function painted(ids, whole) {
  if (!on) return;
  for (const id of ids) waiting.add(id);
  first ||= whole;
  // A message is taken after the frame whose callback sent it has been rendered.
  channel.port2.postMessage(null);
}
