// What the results show while Python loads: its parts, and how much of each has come.

import { element, find } from "./dom.js";
import { PARTS } from "../python/parts.js";

const TOTAL = PARTS.reduce((sum, { size }) => sum + size, 0);

const share = (loaded, size) => `${(loaded / 1e6).toFixed(1)} of ${(size / 1e6).toFixed(1)} MB`;

export class Loading {
  #loaded = {};
  #title = element("p", { class: "title" });
  #bar = element("progress", { max: TOTAL, "aria-label": "Loading Python" });
  #amounts = Object.fromEntries(PARTS.map(({ file }) => [file, element("span")]));
  #parts = element("ul");
  #again;
  #card;

  // `again` is called to load once more what has failed.
  constructor(again) {
    const row = ({ file, title }) => element("li", {}, element("span", {}, title), this.#amounts[file]);
    this.#again = element("button", { type: "button", click: again }, "Try again");
    this.#parts.append(...PARTS.map(row));
    this.#card = element("div", { class: "loading" }, this.#title, this.#bar, this.#parts, this.#again);
    find("panel").prepend(this.#card);
  }

  begin() {
    this.#loaded = {};
    this.#show("Loading Python");
  }

  add(file, loaded) {
    this.#loaded[file] = loaded;
    this.#show("Loading Python");
  }

  fail() {
    this.#show("Python could not be started", true);
  }

  end() {
    this.#card.remove();
  }

  // The state in a few words, or none if nothing is loading any more.
  get words() {
    if (!this.#card.isConnected) return "";
    return this.#sum < TOTAL ? `Loading Python: ${share(this.#sum, TOTAL)}` : "Starting Python…";
  }

  get #sum() {
    return Object.values(this.#loaded).reduce((sum, bytes) => sum + bytes, 0);
  }

  #show(title, hasFailed = false) {
    const isWhole = this.#sum >= TOTAL && !hasFailed;
    this.#title.textContent = isWhole ? "Starting Python" : title;
    this.#bar.value = this.#sum;
    if (isWhole) this.#bar.removeAttribute("value"); // how long the rest takes is not known
    this.#bar.hidden = this.#parts.hidden = hasFailed;
    this.#again.hidden = !hasFailed;
    for (const { file, size } of PARTS) this.#amounts[file].textContent = share(this.#loaded[file] ?? 0, size);
  }
}
