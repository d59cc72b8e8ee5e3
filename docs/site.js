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

// The gallery can be searched, and filtered by what is in a network.
addEventListener("DOMContentLoaded", () => {
  const gallery = document.querySelector(".md-typeset .networks");
  if (!gallery) return;
  const cards = [...gallery.querySelectorAll("li")].map((item) => ({
    item,
    text: item.textContent.toLowerCase(),
    kinds: item.querySelector(".kinds").textContent.split(", "),
  }));
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "Search, such as: keras review";
  search.setAttribute("aria-label", "Search the gallery");
  const choice = document.createElement("select");
  choice.setAttribute("aria-label", "Networks with");
  choice.add(new Option("all networks", ""));
  for (const kind of [...new Set(cards.flatMap(({ kinds }) => kinds))].sort()) {
    const many = cards.filter(({ kinds }) => kinds.includes(kind)).length;
    choice.add(new Option(`${kind} (${many})`, kind));
  }
  const count = document.createElement("output");
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/);
    for (const { item, text, kinds } of cards) {
      const isOfKind = !choice.value || kinds.includes(choice.value);
      item.hidden = !(isOfKind && words.every((word) => text.includes(word)));
    }
    count.value = `${cards.filter(({ item }) => !item.hidden).length} of ${cards.length} networks`;
  };
  const form = document.createElement("form");
  form.className = "networks-filter";
  form.append(search, choice, count);
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  gallery.before(form);
  show(); // a browser keeps what was typed when it comes back to a page
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
