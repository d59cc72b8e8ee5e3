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

// The gallery and the table of cells can be searched, and the gallery filtered by what is in a network.
addEventListener("DOMContentLoaded", () => {
  for (const list of document.querySelectorAll(".md-typeset :is(.networks, .searchable)")) {
    const entries = [...list.querySelectorAll("li, tbody tr")].map((item) => ({
      item,
      text: item.textContent.toLowerCase(),
      kinds: item.querySelector(".kinds")?.textContent.split(", ") ?? [],
    }));
    const noun = list.dataset.noun ?? "networks";
    const search = document.createElement("input");
    search.type = "search";
    search.placeholder = `Search, such as: ${list.dataset.example ?? "keras review"}`;
    search.setAttribute("aria-label", `Search the ${noun}`);
    const choice = document.createElement("select");
    choice.setAttribute("aria-label", "Networks with");
    choice.add(new Option("all networks", ""));
    const known = [...new Set(entries.flatMap(({ kinds }) => kinds))].sort();
    for (const kind of known) {
      const many = entries.filter(({ kinds }) => kinds.includes(kind)).length;
      choice.add(new Option(`${kind} (${many})`, kind));
    }
    const count = document.createElement("output");
    const show = () => {
      const words = search.value.toLowerCase().split(/\s+/);
      for (const { item, text, kinds } of entries) {
        const isOfKind = !choice.value || kinds.includes(choice.value);
        item.hidden = !(isOfKind && words.every((word) => text.includes(word)));
      }
      count.value = `${entries.filter(({ item }) => !item.hidden).length} of ${entries.length} ${noun}`;
    };
    const form = document.createElement("form");
    form.className = "networks-filter";
    form.append(search, ...(known.length ? [choice] : []), count);
    form.addEventListener("input", show);
    form.addEventListener("submit", (event) => event.preventDefault());
    list.before(form);
    show(); // a browser keeps what was typed when it comes back to a page
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

// The matrix of conformance shows all results, or only the rows and columns in which something is wrong, and all tools or those of
// one framework. A cause that fills a column does not keep a row in sight.
addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("form.filter");
  if (!form) return;
  const table = document.querySelector("table.results");
  const heads = [...table.tHead.rows[0].cells].slice(1);
  const rows = [...table.querySelectorAll("tbody tr:not(.subject)")];
  const isWrong = (cell) => cell.matches(".wrong:not(.filled)");
  const filter = () => {
    const wrong = form.elements.wrong.checked;
    const framework = form.elements.framework.value;
    const shown = heads.map(
      (head, at) =>
        (!framework || head.dataset.framework === framework) &&
        (!wrong || rows.some((row) => isWrong(row.cells[at + 1]))),
    );
    heads.forEach((head, at) => (head.hidden = !shown[at]));
    for (const row of rows) {
      shown.forEach((is, at) => (row.cells[at + 1].hidden = !is));
      row.hidden = wrong && !shown.some((is, at) => is && isWrong(row.cells[at + 1]));
    }
    for (const subject of table.querySelectorAll(".subject")) {
      subject.hidden = ![...subject.parentElement.rows].some((row) => row !== subject && !row.hidden);
    }
    const count = (items, name) => `${items.length} ${name}${items.length === 1 ? "" : "s"}`;
    const left = [count(rows.filter((row) => !row.hidden), "case"), count(shown.filter(Boolean), "tool")];
    form.querySelector("output").textContent = left.join(", ");
  };
  form.addEventListener("input", filter);
  form.hidden = false;
  filter();
});
