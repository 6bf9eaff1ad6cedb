/** What this browser remembers of how somebody likes the page. Where storage is forbidden nothing is remembered. */

const PREFIX = "lockerhub.";

/** @param {string} name @returns {string} "" when nothing is remembered */
export function remembered(name) {
  try {
    return localStorage.getItem(PREFIX + name) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} name @param {string} text "" forgets @returns {boolean} whether it is remembered now */
export function remember(name, text) {
  try {
    if (text) localStorage.setItem(PREFIX + name, text);
    else localStorage.removeItem(PREFIX + name);
    return true;
  } catch {
    return false;
  }
}
