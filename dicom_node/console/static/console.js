// What every page needs: the theme, dialogs, menus. All pages work without it.

const root = document.documentElement;

function toggleTheme() {
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // Storage may be turned off.
  }
}

async function openDialog(link) {
  const dialog = document.getElementById("dialog");
  const answer = await fetch(link.href, { headers: { "HX-Request": "true" } });
  if (!answer.ok || answer.redirected) {
    location.assign(link.href);
    return;
  }
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  dialog.replaceChildren(...parsed.body.childNodes);
  dialog.setAttribute("aria-label", dialog.querySelector("h1, h2")?.textContent ?? "");
  dialog.showModal();
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-theme-toggle], [data-dialog], [data-close]");
  if (target === null || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (target.matches("[data-theme-toggle]")) {
    toggleTheme();
  } else if (target.matches("[data-close]")) {
    const dialog = target.closest("dialog");
    if (dialog === null) return;
    event.preventDefault();
    dialog.close();
  } else {
    event.preventDefault();
    openDialog(target);
  }
});

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// A poll that fails says so once, instead of showing old figures as if they were of now.
document.addEventListener("htmx:sendError", (event) => event.target.setAttribute("data-stale", ""));
document.addEventListener("htmx:afterOnLoad", (event) => event.target.removeAttribute("data-stale"));

// On a phone the navigation is longer than the screen: show where one is.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
