// Turning the patient: the range, the arrow keys and the strip all show one of the pictures.

function start(section) {
  const stage = section.querySelector("[data-stage]");
  const scrub = section.querySelector("[data-scrub]");
  const label = section.querySelector("[data-label]");
  const synthetic = section.querySelector("[data-synthetic]");
  const strip = section.querySelector(".strip");
  const frames = [...section.querySelectorAll("[data-frame]")];
  if (stage === null || frames.length === 0) return;

  function show(index) {
    const frame = frames[Math.min(frames.length - 1, Math.max(0, index))];
    stage.src = frame.href;
    stage.alt = frame.dataset.name;
    label.textContent = frame.dataset.name;
    synthetic.hidden = "source" in frame.dataset;
    for (const each of frames) {
      if (each === frame) each.setAttribute("aria-current", "true");
      else each.removeAttribute("aria-current");
    }
    const item = frame.parentElement;
    strip.scrollLeft = item.offsetLeft - strip.offsetLeft - (strip.clientWidth - item.clientWidth) / 2;
    if (scrub !== null) {
      scrub.value = frame.dataset.frame;
      scrub.setAttribute("aria-valuetext", frame.dataset.name);
    }
  }

  scrub?.addEventListener("input", () => show(Number(scrub.value)));
  for (const frame of frames) {
    frame.addEventListener("click", (event) => {
      event.preventDefault();
      show(Number(frame.dataset.frame));
      scrub?.focus();
    });
  }
  show(Number(section.dataset.start));
}

function startAll() {
  for (const section of document.querySelectorAll("[data-turn]:not([data-turns])")) {
    section.toggleAttribute("data-turns", true);
    start(section);
  }
}

startAll();
// Views that have just been made come while the page is open.
document.addEventListener("htmx:afterSettle", startAll);
