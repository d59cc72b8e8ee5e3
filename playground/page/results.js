// What a spec makes: tabs with pictures, the summary, and source for each backend. Only what is
// shown is made; the rest is asked for when it is chosen.

import { coloured } from "../editor/code.js";
import { element, find, formula } from "./dom.js";
import { asImage, button, copyButton, save, savePng } from "./files.js";

const PICTURE = "Picture";
const SUMMARY = "Summary";
const EQUATIONS = "Equations";
const SCROLLED = ".picture, .scroll, pre";

const isEmpty = ({ svg, text, refusal, refusals }) => !(svg || text || refusal || refusals?.length);

export class Results {
  #ask;
  #text = "";
  #answer = null;
  #tab = PICTURE;
  #chosen = {}; // in each tab with several variants, the title of the one shown

  // `ask` returns an answer to a text with some of its pictures and sources.
  constructor(ask) {
    this.#ask = ask;
  }

  // The titles of the pictures or sources that are shown, or null if nothing is known of them yet.
  get shown() {
    if (!this.#answer) return null;
    if ([SUMMARY, EQUATIONS].includes(this.#tab)) return [];
    return [this.#tab === PICTURE ? this.#shownOf(this.#answer.pictures, "title").title : this.#tab];
  }

  // Shows a valid answer to a text. A wrong spec leaves the last valid one in place.
  show(answer, text) {
    this.#answer = answer;
    this.#text = text;
    const own = [PICTURE, SUMMARY, ...(answer.equations.length ? [EQUATIONS] : [])];
    const titles = [...new Set([...own, ...answer.sources.map((source) => source.title)])];
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
    this.show(this.#answer, this.#text);
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
    const isChoosing = document.activeElement.matches("#panel [aria-pressed]");
    find("panel").setAttribute("aria-labelledby", selected.id);
    find("panel").replaceChildren(...this.#content());
    find("panel").querySelector(SCROLLED)?.scrollTo(left, top);
    if (isChoosing) find("panel").querySelector("[aria-pressed=true]")?.focus();
  }

  // Asks for what is shown and missing.
  async #complete() {
    const text = this.#text;
    const answer = await this.#ask(text, this.shown);
    if (answer?.state !== "valid" || text !== this.#text) return;
    this.#answer = answer;
    this.#fill();
  }

  #content() {
    const { pictures, summary, equations, sources } = this.#answer;
    if (this.#tab === PICTURE) return this.#variant(pictures, "title", picture);
    if (this.#tab === SUMMARY) return table(summary);
    if (this.#tab === EQUATIONS) return equations.flatMap(cell);
    return this.#variant(
      sources.filter((each) => each.title === this.#tab),
      "form",
      source,
    );
  }

  #shownOf(variants, label) {
    return variants.find((each) => each[label] === this.#chosen[this.#tab]) ?? variants[0];
  }

  // Returns one of several variants, with buttons that choose among them by their label.
  #variant(variants, label, content) {
    const shown = this.#shownOf(variants, label);
    const choose = (each) =>
      element(
        "button",
        {
          type: "button",
          "aria-pressed": String(each === shown),
          click: () => {
            this.#chosen[this.#tab] = each[label];
            this.#fill();
          },
        },
        each[label],
      );
    const choices = variants.length > 1 ? [element("span", { class: "choice" }, ...variants.map(choose))] : [];
    if (isEmpty(shown)) this.#complete();
    const [tools, ...rest] = isEmpty(shown) ? [[]] : content(shown);
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

function cell({ name, words, formula: lines }) {
  return [
    element("p", {}, element("strong", {}, name), `, ${words}`),
    element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `Equations of ${name}` }, formula(lines)),
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
