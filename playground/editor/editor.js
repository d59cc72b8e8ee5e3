// The editor: CodeMirror, which knows YAML but nothing of the language. Problems, completions and
// descriptions come from rnnspec.

import { autocompletion, closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { EditorState, Prec } from "@codemirror/state";
import {
  EditorView,
  drawSelection,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  hoverTooltip,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { classHighlighter } from "@lezer/highlight";
import { columnAt, unitsBefore } from "./columns.js";
import { element } from "../page/dom.js";

// Escape lets the next Tab leave the editor, even if it closed something too.
const leave = {
  key: "Escape",
  run: (view) => {
    view.setTabFocusMode(2_000);
    return false;
  },
};
const SEVERITIES = { error: "error", warning: "warning", note: "info" };

// `ask` calls a function of rnnspec_playground, `changed` is told of each change.
export function createEditor(parent, ask, changed) {
  const extensions = [
    lineNumbers(),
    EditorView.lineWrapping,
    highlightActiveLine(),
    highlightActiveLineGutter(),
    highlightSpecialChars(),
    drawSelection(),
    history(),
    indentOnInput(),
    indentUnit.of("  "),
    bracketMatching(),
    closeBrackets(),
    yaml(),
    syntaxHighlighting(classHighlighter),
    lintGutter(),
    Prec.highest(keymap.of([leave])),
    autocompletion({ override: [completions(ask)] }),
    hoverTooltip(description(ask)),
    keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...lintKeymap, indentWithTab]),
    // Without a tabindex, accessibility checks take the scrolled editor for one that keys do not reach.
    EditorView.contentAttributes.of({ "aria-label": "Spec, in YAML", "aria-describedby": "keys", tabindex: "0" }),
    EditorView.updateListener.of((update) => update.docChanged && changed()),
  ];
  const view = new EditorView({ parent, state: EditorState.create({ extensions }) });
  return {
    text: () => view.state.doc.toString(),
    replace: (text) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } }),
    underline: (notes) => {
      const diagnostics = notes.map((note) => diagnostic(view.state.doc, note));
      view.dispatch(setDiagnostics(view.state, diagnostics));
    },
    goTo: (note) => {
      const { from, to } = extent(view.state.doc, note);
      view.dispatch({
        selection: { anchor: from, head: to },
        effects: EditorView.scrollIntoView(from, { y: "center" }),
      });
      view.focus();
    },
  };
}

function extent(doc, note) {
  const line = doc.line(Math.min(note.line, doc.lines));
  const at = (column) => line.from + unitsBefore(line.text, column);
  return { from: at(note.column), to: at(note.end_column) };
}

function diagnostic(doc, note) {
  const source = note.code || undefined;
  return { ...extent(doc, note), severity: SEVERITIES[note.severity], message: note.message, source };
}

function place(state, position) {
  const line = state.doc.lineAt(position);
  return { line, given: [state.doc.toString(), line.number, columnAt(line.text, position - line.from)] };
}

function completions(ask) {
  return async (context) => {
    // While one types, options are offered within a word and for a value; Ctrl-Space asks anywhere.
    if (!context.explicit && !context.matchBefore(/\w+|: /)) return null;
    const { line, given } = place(context.state, context.pos);
    const found = await ask("complete", given);
    if (!found?.options.length) return null;
    return {
      from: line.from + unitsBefore(line.text, found.column),
      to: line.from + unitsBefore(line.text, found.end_column),
      options: found.options.map((option, index) => ({
        label: option.label,
        apply: option.insert,
        detail: option.detail,
        info: option.description,
        boost: -index / 100,
      })),
      validFor: /^[\w-]*$/,
    };
  };
}

function description(ask) {
  return async (view, position) => {
    const { line, given } = place(view.state, position);
    const found = await ask("describe", given);
    if (!found) return null;
    const dom = element(
      "div",
      { class: "hint" },
      element("strong", {}, found.key),
      ` ${found.detail}`,
      element("p", {}, found.description),
    );
    const [pos, end] = [found.column, found.end_column].map((column) => line.from + unitsBefore(line.text, column));
    return { pos, end, above: true, create: () => ({ dom }) };
  };
}
