/** Light or dark: the system's preference until somebody chooses, then what they chose. */

const KEY = "lockerhub.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** @returns {"light" | "dark"} */
export function theme() {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "light" || chosen === "dark") return chosen;
  return system.matches ? "dark" : "light";
}

/** Change over, and remember it where the browser allows. */
export function toggleTheme() {
  const next = theme() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Not remembered, but still changed.
  }
}

/** @param {() => void} changed */
export function watchSystemTheme(changed) {
  system.addEventListener("change", changed);
}
