// Questions in native dialogs, which keep the focus inside and give it back.

import { make } from "./dom.js";

/** Ask before something that cannot be undone; gives true or false. */
export function confirmed({ title, text = "", action = "Go on", danger = false }) {
  const yes = make("button", { value: "yes", className: danger ? "main danger" : "main", textContent: action });
  const no = make("button", { value: "", autofocus: true, textContent: "Cancel" });
  const dialog = make("dialog", { className: "dialog", "aria-label": title },
    make("form", { method: "dialog" },
      make("div", { className: "dialog-head" }, make("h2", { textContent: title })),
      make("div", { className: "dialog-body" }, make("p", { textContent: text })),
      make("div", { className: "dialog-foot" }, no, yes)));
  document.body.append(dialog);
  return new Promise((answer) => {
    dialog.addEventListener("close", () => { answer(dialog.returnValue === "yes"); dialog.remove(); });
    dialog.showModal();
  });
}
