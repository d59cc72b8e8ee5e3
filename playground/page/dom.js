// Elements of the page. Text is only ever text: nothing here or elsewhere parses HTML.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (typeof value === "boolean") made.toggleAttribute(name, value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// The element of a tree of MathML, whose parts have a tag, attributes, and a text or parts.
export function formula({ tag, attributes, content }) {
  const made = document.createElementNS("http://www.w3.org/1998/Math/MathML", tag);
  for (const [name, value] of Object.entries(attributes)) if (name !== "xmlns") made.setAttribute(name, value);
  made.append(...(typeof content === "string" ? [content] : content.map(formula)));
  return made;
}

export const find = (id) => document.getElementById(id);
