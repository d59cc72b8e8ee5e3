// Source with colours.

import { parser as cpp } from "@lezer/cpp";
import { classHighlighter, highlightCode } from "@lezer/highlight";
import { parser as python } from "@lezer/python";
import { element } from "../page/dom.js";

const PARSERS = { py: python, h: cpp };

export function coloured(text, file) {
  const code = element("code");
  const parser = PARSERS[file.split(".").pop()];
  if (!parser) {
    code.append(text);
    return code;
  }
  const put = (part, classes) => code.append(classes ? element("span", { class: classes }, part) : part);
  highlightCode(text, parser.parse(text), classHighlighter, put, () => code.append("\n"));
  return code;
}
