// The page: a spec on one side, what rnnspec says of it and makes of it on the other.

import { element, find } from "./dom.js";
import { createEditor } from "../editor/editor.js";
import { explain } from "./explanation.js";
import { save } from "./files.js";
import { fromFragment, toFragment } from "./link.js";
import { Loading } from "./loading.js";
import { PARTS } from "../python/parts.js";
import { Python } from "../python/python.js";
import { Results } from "./results.js";

const FIRST = "imdb_bidirectional_lstm";

// `create` makes the worker, `place` returns where a file is.
export function run(create, place) {
  const missing = lacking();
  if (missing) {
    say("failed", missing);
    find("panel").replaceChildren();
    return;
  }
  const loading = new Loading(() => python.begin());
  const places = PARTS.map(({ file }) => place(file));
  const python = new Python(create, places, started, (file, bytes) => {
    loading.add(file, bytes);
    sayLoading();
  });
  const ask = (name, given) => python.ask(name, given).catch(() => null);
  const editor = createEditor(find("editor"), ask, check);
  const part = (text, shown) => python.ask("answer", [text, shown], "part").catch(() => null);
  const results = new Results(part);

  function started(state) {
    if (state === "loading") {
      loading.begin();
      sayLoading();
    } else if (state === "ready") {
      loading.end();
    } else if (state === "slow") {
      say("loading", "The first answer takes longer than usual…");
    } else {
      loading.fail();
      say("failed", state);
    }
    find("status").setAttribute("aria-busy", String(["loading", "ready", "slow"].includes(state)));
  }

  // Says nothing when Python starts again, which is after an answer that took too long.
  function sayLoading() {
    if (loading.words) say("loading", loading.words);
  }

  async function check() {
    const text = editor.text();
    nameExample(text);
    find("status").setAttribute("aria-busy", "true");
    try {
      const answer = await python.ask("answer", [text, results.shown]);
      if (answer) show(answer, text);
    } catch (error) {
      say("failed", error.message);
      dim(true);
    }
    if (text === editor.text()) find("status").setAttribute("aria-busy", "false");
  }

  function show(answer, text) {
    say(answer.state, answer.verdict);
    find("version").textContent = answer.version;
    find("notes").replaceChildren(...answer.notes.map((each) => note(each, editor, ask)));
    if (answer.omitted) find("notes").append(element("li", {}, `and ${answer.omitted} more`));
    // Places are those of the text that was asked about; a newer answer is on its way.
    if (text === editor.text()) editor.underline(answer.notes);
    if (answer.state === "valid") results.show(answer, text);
    dim(answer.state !== "valid");
  }

  offerExamples(editor);
  find("link").addEventListener("click", () => share(editor.text()));
  find("save").addEventListener("click", () => save("spec.yaml", editor.text(), "application/yaml"));
  window.addEventListener("hashchange", () => open(editor, editor.text()));
  open(editor, EXAMPLES.find(({ name }) => name === FIRST).text);
}

function lacking() {
  if (typeof WebAssembly !== "object") {
    return "This browser has no WebAssembly, on which Python runs here. Use another browser, or install rnnspec.";
  }
  if (typeof DecompressionStream !== "function" || typeof Worker !== "function") {
    return "This browser is too old for the playground. Use a newer one, or install rnnspec.";
  }
  return "";
}

function say(state, words) {
  find("status").dataset.state = state;
  find("status").textContent = words;
}

function dim(stale) {
  const isShown = find("tabs").childElementCount > 0;
  find("stale").hidden = !(stale && isShown);
  find("panel").classList.toggle("stale", stale && isShown);
}

function note(given, editor, ask) {
  const { severity, code, where, message, line, column } = given;
  const place = element("span", { class: "place" }, `${line}:${column}`);
  const words = element("span", { class: "words" }, where ? element("b", {}, `${where}: `) : "", message);
  const go = element(
    "button",
    { type: "button", click: () => editor.goTo(given) },
    place,
    element("span", { class: "severity" }, severity),
    words,
  );
  const more = element(
    "button",
    { type: "button", class: "code", title: `Explain ${code}`, click: () => explain(code, ask) },
    code,
  );
  return element("li", { "data-severity": severity }, go, more);
}

function offerExamples(editor) {
  const groups = [...new Set(EXAMPLES.map(({ group }) => group))];
  const option = ({ name, description }) => element("option", { value: name }, `${name}: ${description}`);
  const options = (label) => EXAMPLES.filter(({ group }) => group === label).map(option);
  find("examples").append(
    element("option", { value: "" }, "Choose…"),
    ...groups.map((label) => element("optgroup", { label }, ...options(label))),
  );
  find("examples").addEventListener("change", ({ target }) => {
    const example = EXAMPLES.find(({ name }) => name === target.value);
    if (example) editor.replace(example.text);
  });
}

// An example stays named as long as its text is unchanged.
function nameExample(text) {
  find("examples").value = EXAMPLES.find((example) => example.text === text)?.name ?? "";
}

// Shows the spec in the link of the page, or `otherwise` if the link holds none.
async function open(editor, otherwise) {
  let text = otherwise;
  try {
    text = (await fromFragment(location.hash)) ?? otherwise;
    tell("");
  } catch (error) {
    tell(error.message);
  }
  if (text !== editor.text()) editor.replace(text);
}

async function share(text) {
  try {
    history.replaceState(null, "", await toFragment(text));
  } catch (error) {
    tell(error.message);
    return;
  }
  const copied = navigator.clipboard?.writeText(location.href) ?? Promise.reject();
  copied.then(
    () => tell("Link copied. It holds the spec."),
    () => tell("The link is in the address bar. It holds the spec."),
  );
}

function tell(message) {
  find("message").textContent = message;
  find("message").hidden = !message;
}
