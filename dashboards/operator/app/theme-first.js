// Runs before the first paint, so that a remembered theme does not flash. Everything else is in theme.js.
try {
  const theme = localStorage.getItem("lockerhub.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden: the system's preference holds.
}
