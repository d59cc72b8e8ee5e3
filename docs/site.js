// A table that scrolls inside itself can be scrolled by keyboard, which the theme leaves out.
addEventListener("load", () => {
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) {
    if (table.scrollWidth <= table.clientWidth) continue;
    table.tabIndex = 0;
    table.setAttribute("role", "group");
    table.setAttribute("aria-label", "Table");
  }
});

// An option in a table, such as `[--json]`, is not broken at its hyphens.
addEventListener("DOMContentLoaded", () => {
  for (const code of document.querySelectorAll(".md-typeset td code")) {
    if (code.children.length || !code.textContent.includes("--")) continue;
    const words = code.textContent.split(/(\S*--\S*)/).map((text) => {
      if (!text.includes("--")) return text;
      const option = document.createElement("span");
      option.className = "option";
      option.textContent = text;
      return option;
    });
    code.replaceChildren(...words);
  }
});

// A picture that could not be read if it fitted the screen scrolls, and says so.
for (const event of ["load", "resize"]) {
  addEventListener(event, () => {
    for (const picture of document.querySelectorAll('.md-typeset p > a[href$=".svg"] > img')) {
      const line = picture.closest("p");
      line.classList.toggle("scrolls", 0.7 * picture.naturalWidth > line.clientWidth);
    }
  });
}

// A click on a picture shows it in its own size, in the scheme of the page.
addEventListener("click", (event) => {
  const link = event.target.closest('.md-typeset a[href$=".svg"]');
  const picture = link && [...link.querySelectorAll("img")].find((image) => image.offsetParent);
  if (!picture || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const dialog = document.createElement("dialog");
  dialog.className = "picture";
  dialog.setAttribute("aria-label", picture.alt);
  dialog.append(picture.cloneNode());
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
});

// The copy button of a console block copies what can be pasted: its commands, without prompts and output.
addEventListener(
  "click",
  (event) => {
    const button = event.target.closest("[data-clipboard-target]");
    const block = button?.closest(".language-console");
    if (!block) return;
    const lines = block.querySelector("code").textContent.split("\n");
    let inside = false; // a command goes on in the next line after a backslash
    const commands = lines.filter((line) => {
      const command = inside || line.startsWith("$ ");
      inside = command && line.endsWith("\\");
      return command;
    });
    button.dataset.clipboardText = commands.map((line) => line.replace(/^\$ /, "")).join("\n") + "\n";
  },
  { capture: true },
);
