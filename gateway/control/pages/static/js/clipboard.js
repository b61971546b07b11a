// Copying, also where the browser gives no clipboard (plain http on another host).

import { make } from "./dom.js";

export async function copyText(text) {
  try { await navigator.clipboard.writeText(text); } catch {
    const area = make("textarea", { value: text, className: "sr", "aria-hidden": "true" });
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
