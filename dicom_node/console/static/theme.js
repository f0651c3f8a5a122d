// Before the first paint: the theme somebody chose; without one the browser's own counts.
(() => {
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be turned off.
  }
})();
