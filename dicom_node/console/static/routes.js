// What the pages of routes need on top of console.js: line numbers, dropping a file, kinds of terms.

function number(editor, marked = new Set()) {
  const gutter = editor.closest(".editor").querySelector("[data-gutter]");
  const count = editor.value.split("\n").length;
  gutter.replaceChildren();
  for (let line = 1; line <= count; line += 1) {
    const place = document.createElement(marked.has(line) ? "b" : "span");
    place.textContent = line;
    gutter.append(place, "\n");
  }
  gutter.scrollTop = editor.scrollTop;
}

function marks() {
  const found = document.querySelectorAll("[data-line]");
  return new Set([...found].map((each) => Number(each.dataset.line)));
}

function goToLine(editor, line) {
  const lines = editor.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  editor.focus();
  editor.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
  const height = parseFloat(getComputedStyle(editor).lineHeight);
  editor.scrollTop = Math.max(0, (line - 6) * height);
}

const editor = document.querySelector("[data-editor]");
if (editor !== null) {
  number(editor, marks());
  editor.addEventListener("input", () => number(editor));
  editor.addEventListener("scroll", () => {
    editor.closest(".editor").querySelector("[data-gutter]").scrollTop = editor.scrollTop;
  });
  new ResizeObserver(() => number(editor, marks())).observe(editor);
  document.addEventListener("htmx:afterSwap", () => number(editor, marks()));
  const follow = () => {
    const line = /^#L(\d+)$/.exec(location.hash);
    if (line !== null) goToLine(editor, Number(line[1]));
  };
  window.addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    if (event.target.closest('a[href^="#L"]') !== null) setTimeout(follow);
  });
  follow();
}

const drop = document.querySelector("[data-drop]");
if (drop !== null) {
  const input = drop.querySelector("[data-file]");
  // The whole page takes the file: nobody has to aim.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length === 0) return;
    const one = new DataTransfer();
    one.items.add(event.dataTransfer.files[0]);
    input.files = one.files;
    input.form.requestSubmit();
  });
  const send = () => {
    if (input.files.length > 0) input.form.requestSubmit();
  };
  // Who was quicker than this script has chosen already.
  if (input.files.length > 0) addEventListener("load", send);
  input.addEventListener("change", send);
}

document.addEventListener("change", (event) => {
  if (!event.target.matches("[data-kind]")) return;
  const operands = event.target.closest(".term").querySelector(".operands");
  operands.className = `operands ${event.target.value}`;
});
