// A text of YAML with line numbers and marks where something is wrong. A textarea, so that it is edited, searched,
// spoken and enlarged as any other text is.

import { make } from "./dom.js";

export class YamlEditor {
  constructor(box, { changed, label = "YAML" }) {
    this.numbers = make("div", { className: "yaml-lines mono", "aria-hidden": "true" });
    this.area = make("textarea", { className: "code", spellcheck: false, wrap: "off", autocapitalize: "off", autocomplete: "off", "aria-label": label,
      oninput: () => { this.number(); changed(); }, onscroll: () => { this.numbers.scrollTop = this.area.scrollTop; } });
    this.list = make("ul", { className: "yaml-problems", "aria-label": "What the check says", "aria-live": "polite" });
    this.area.addEventListener("keydown", (event) => this.onKey(event));
    this.problems = [];
    box.replaceChildren(make("div", { className: "yaml" }, this.numbers, this.area), this.list);
  }

  get text() {
    return this.area.value;
  }

  set text(text) {
    if (text === this.area.value) return;
    const { scrollTop, selectionStart, selectionEnd } = this.area;
    this.area.value = text;
    this.area.setSelectionRange(selectionStart, selectionEnd);
    this.area.scrollTop = scrollTop;
    this.number();
  }

  set isReadOnly(isReadOnly) {
    this.area.readOnly = isReadOnly;
  }

  /** Enter keeps the indentation of the line. Tab goes on to the next field, as it does everywhere. */
  onKey(event) {
    if (event.key !== "Enter" || event.isComposing || this.area.readOnly) return;
    const before = this.area.value.slice(0, this.area.selectionStart);
    const line = before.slice(before.lastIndexOf("\n") + 1);
    const indent = line.match(/^ */)[0] + (/:\s*$/.test(line) ? "  " : "");
    if (!indent) return;
    event.preventDefault();
    this.area.setRangeText(`\n${indent}`, this.area.selectionStart, this.area.selectionEnd, "end");
    this.area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  number() {
    const count = this.area.value.split("\n").length;
    const marks = new Map();
    for (const one of this.problems) if (marks.get(one.line) !== "bad") marks.set(one.line, one.severity === "error" ? "bad" : "warn");
    const lines = Array.from({ length: count }, (_nothing, index) => make("span", { className: marks.get(index + 1) || null, textContent: String(index + 1) }));
    this.numbers.replaceChildren(...lines);
    this.numbers.scrollTop = this.area.scrollTop;
  }

  /** Mark lines, and say below what is wrong with each; *elsewhere* is about other files. */
  mark(problems, elsewhere = []) {
    this.problems = problems;
    this.number();
    this.list.replaceChildren(
      ...problems.map((one) => make("li", { className: one.severity === "error" ? "bad" : "warn" },
        make("button", { type: "button", className: "link", textContent: `Line ${one.line}`, onclick: () => this.goTo(one.line, one.column) }),
        make("span", {}, make("code", { textContent: one.path }), ` ${one.message}. ${one.fix}`))),
      ...elsewhere.map((one) => make("li", { className: one.severity === "error" ? "bad" : "warn" },
        make("span", { className: "soft", textContent: `${one.file.split("/").pop()}:${one.line}` }),
        make("span", {}, make("code", { textContent: one.path }), ` ${one.message}. ${one.fix}`))));
    const isWrong = [...problems, ...elsewhere].some((one) => one.severity === "error");
    this.area.setAttribute("aria-invalid", String(isWrong));
  }

  goTo(line, column = 1) {
    const lines = this.area.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + column - 1;
    this.area.focus();
    this.area.setSelectionRange(start, start + Math.max(1, (lines[line - 1] || "").length - column + 1));
    this.area.scrollTop = Math.max(0, (line - 4) * parseFloat(getComputedStyle(this.area).lineHeight));
  }
}
