/** Views that somebody gave a name: an address under a word, in this browser. */

import { remember, remembered } from "./memory.js";

const MEMORY = "views";
/** More are not kept: a list that long is no longer a short cut. */
export const SAVED_MAX = 30;
const NAME_MAX = 60;

/** @typedef {{name: string, address: string}} Saved */

/** All of them, by name. Whatever else is in the memory is left out. @returns {Saved[]} */
export function savedViews() {
  try {
    const found = JSON.parse(remembered(MEMORY) || "[]");
    if (!Array.isArray(found)) return [];
    return found
      .filter((one) => typeof one?.name === "string" && typeof one?.address === "string" && /^\/(?!\/)/.test(one.address))
      .slice(0, SAVED_MAX);
  } catch {
    return [];
  }
}

/**
 * Keep an address under a name; one with the same name is replaced.
 * @param {string} name @param {string} address of this page @returns {string} what was wrong, in a sentence; "" when it is kept
 */
export function saveView(name, address) {
  const called = name.trim().slice(0, NAME_MAX);
  if (!called) return "Give the view a name.";
  const others = savedViews().filter((one) => one.name !== called);
  if (others.length >= SAVED_MAX) return `${SAVED_MAX} views are kept already. Delete one first.`;
  const kept = [...others, { name: called, address }].sort((a, b) => a.name.localeCompare(b.name));
  return remember(MEMORY, JSON.stringify(kept)) ? "" : "This browser keeps nothing for this page.";
}

/** @param {string} name */
export function deleteView(name) {
  remember(
    MEMORY,
    JSON.stringify(savedViews().filter((one) => one.name !== name)),
  );
}
