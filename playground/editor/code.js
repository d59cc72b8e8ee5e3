// Source with colours.

import { classHighlighter, highlightCode } from "@lezer/highlight";
import { parser } from "@lezer/python";
import { element } from "../page/dom.js";

export function coloured(text, file) {
  const code = element("code");
  if (!file.endsWith(".py")) {
    code.append(text);
    return code;
  }
  const put = (part, classes) => code.append(classes ? element("span", { class: classes }, part) : part);
  highlightCode(text, parser.parse(text), classHighlighter, put, () => code.append("\n"));
  return code;
}
