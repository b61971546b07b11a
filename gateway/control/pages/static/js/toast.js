// Short words at the edge of the window: toast("good", "Saved"). A line may be an element.

import { icon, make } from "./dom.js";

const STAYS_MS = 6000;
const ICONS = { good: "check", bad: "alert", warn: "alert" };

export function toast(kind, title, line = "") {
  const close = make("button", { type: "button", className: "quiet icon-only small", "aria-label": "Close" }, icon("close", "small"));
  const box = make("div", { className: `toast ${kind}` }, icon(ICONS[kind] || "info"),
    make("div", {}, make("strong", { textContent: title }), line && make("p", { className: "help" }, line)), close);
  close.addEventListener("click", () => box.remove());
  document.getElementById("toasts").append(box);
  if (kind !== "bad") setTimeout(() => box.remove(), STAYS_MS);
  return box;
}

/** An error of `ask` (or any other) as a toast. */
export function toastError(error) {
  if (error.name === "AbortError" || error.status === 401) return;
  const lines = (error.problems || []).map((problem) => `${problem.path}: ${problem.message}`);
  toast("bad", error.message, lines.join(" "));
}
