// The page of a code, in a dialog.

import { element } from "./dom.js";

export async function explain(code, ask) {
  const markdown = await ask("explain", [code]);
  if (!markdown) return;
  const dialog = element("dialog", { "aria-label": `Explanation of ${code}`, close: () => dialog.remove() });
  dialog.append(element("form", { method: "dialog" }, element("button", {}, "Close")), ...blocks(markdown));
  document.body.append(dialog);
  dialog.showModal();
}

// Returns the elements of a page: headings, paragraphs and blocks of code are all it has.
function blocks(markdown) {
  return markdown.split(/^```/m).flatMap((part, index) => {
    if (index % 2) return element("pre", {}, part.replace(/^.*\n/, ""));
    return part
      .split(/\n\n+/)
      .map((text) => text.trim())
      .filter(Boolean)
      .map(paragraph);
  });
}

function paragraph(text) {
  const [, marks, words] = /^(#*) *([^]*)$/.exec(text);
  return marks ? element(`h${marks.length + 1}`, {}, words) : element("p", {}, ...inline(text));
}

const inline = (text) => text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));
