// What a spec makes: tabs with pictures, the summary, and source for each backend.

import { coloured } from "../editor/code.js";
import { element, find } from "./dom.js";
import { asImage, button, copyButton, save, savePng } from "./files.js";

const PICTURE = "Picture";
const SUMMARY = "Summary";
const SCROLLED = ".picture, .scroll, pre";

export class Results {
  #answer = null;
  #tab = PICTURE;
  #chosen = {}; // in each tab with several variants, the title of the one shown

  // Shows a valid answer. A wrong spec leaves the last valid one in place.
  show(answer) {
    this.#answer = answer;
    const titles = [...new Set([PICTURE, SUMMARY, ...answer.sources.map((source) => source.title)])];
    if (!titles.includes(this.#tab)) this.#tab = PICTURE;
    find("tabs").replaceChildren(...titles.map((title) => this.#button(title, titles)));
    this.#fill();
  }

  #button(title, titles) {
    const selected = title === this.#tab;
    return element(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${titles.indexOf(title)}`,
        "aria-selected": String(selected),
        "aria-controls": "panel",
        tabindex: selected ? "0" : "-1",
        click: () => this.#select(title),
        keydown: (event) => this.#move(event, titles),
      },
      title,
    );
  }

  #select(title) {
    this.#tab = title;
    this.show(this.#answer);
    find("tabs").querySelector("[aria-selected=true]").focus();
  }

  #move(event, titles) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const ends = { Home: 0, End: titles.length - 1 };
    const from = titles.indexOf(event.target.textContent);
    const index = step ? (from + step + titles.length) % titles.length : ends[event.key];
    if (index === undefined) return;
    event.preventDefault();
    this.#select(titles[index]);
  }

  #fill() {
    const selected = find("tabs").querySelector("[aria-selected=true]");
    const scrolled = find("panel").querySelector(SCROLLED);
    const isSame = find("panel").getAttribute("aria-labelledby") === selected.id;
    const [left, top] = scrolled && isSame ? [scrolled.scrollLeft, scrolled.scrollTop] : [0, 0];
    find("panel").setAttribute("aria-labelledby", selected.id);
    find("panel").replaceChildren(...this.#content());
    find("panel").querySelector(SCROLLED)?.scrollTo(left, top);
  }

  #content() {
    const { pictures, summary, sources } = this.#answer;
    if (this.#tab === PICTURE) return this.#variant(pictures, (each) => each.title, picture);
    if (this.#tab === SUMMARY) return table(summary);
    return this.#variant(
      sources.filter((each) => each.title === this.#tab),
      (each) => each.form,
      source,
    );
  }

  // Returns one of several variants, with buttons that choose among them.
  #variant(variants, label, content) {
    const shown = variants.find((each) => label(each) === this.#chosen[this.#tab]) ?? variants[0];
    const choose = (each) =>
      element(
        "button",
        {
          type: "button",
          "aria-pressed": String(each === shown),
          click: () => {
            this.#chosen[this.#tab] = label(each);
            this.#fill();
            find("panel").querySelector("[aria-pressed=true]").focus();
          },
        },
        label(each),
      );
    const choices = variants.length > 1 ? [element("span", { class: "choice" }, ...variants.map(choose))] : [];
    const [tools, ...rest] = content(shown);
    return [element("div", { class: "tools" }, ...choices, ...tools), ...rest];
  }
}

function picture({ file, svg, words, refusal }) {
  if (refusal) return [[], element("p", { class: "refusal" }, refusal)];
  const name = file.replace(/svg$/, "png");
  const tools = [
    copyButton("Copy SVG", () => svg),
    button("Save SVG", "Saved", async () => save(file, svg, "image/svg+xml")),
    button("Save PNG", "Saved", () => savePng(name, svg)),
  ];
  // With its size, the page does not jump while the image is decoded.
  const [, width, height] = / width="([\d.]+)" height="([\d.]+)"/.exec(svg);
  const image = element("img", { src: asImage(svg), alt: words, width, height });
  return [tools, element("div", { class: "picture", tabindex: "0", role: "group", "aria-label": "Picture" }, image)];
}

function table({ titles, rows, remarks }) {
  const row = (tag, cells) => element("tr", {}, ...cells.map((cell) => element(tag, {}, cell)));
  const made = element(
    "table",
    {},
    element("thead", {}, row("th", titles)),
    element("tbody", {}, ...rows.map((cells) => row("td", cells))),
  );
  return [
    element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": SUMMARY }, made),
    ...remarks.map((remark) => element("p", {}, remark)),
  ];
}

function source({ title, file, text, refusals }) {
  if (refusals.length) return [[], ...refusals.map((refusal) => element("p", { class: "refusal" }, refusal))];
  const tools = [
    copyButton("Copy", () => text),
    button(`Save ${file}`, "Saved", async () => save(file, text, "text/plain")),
  ];
  return [
    tools,
    element("pre", { tabindex: "0", role: "group", "aria-label": `Source for ${title}` }, coloured(text, file)),
  ];
}
