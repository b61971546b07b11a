// What a page without calls says: how to make the first one.

import { empty, make } from "./dom.js";

const COMMAND = (gateway) => `curl ${gateway}/v1/chat/completions \\
  -H "Authorization: Bearer $GATEWAY_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "<account>/<model>", "messages": [{"role": "user", "content": "Say hello"}]}'`;

export function firstCall(gateway) {
  return empty("traces", "No call has come through yet",
    "Send the first one. It is here two seconds after its last byte.",
    codeBlock(COMMAND(gateway)),
    make("p", {}, "GATEWAY_TOKEN is a token of a virtual account; ", make("code", { textContent: `${gateway}/v1/models` }), " lists the models that it may use."));
}

export function codeBlock(text) {
  const button = make("button", { type: "button", className: "small", textContent: "Copy" });
  button.addEventListener("click", async () => {
    await copy(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return make("div", { className: "code-block" }, make("pre", { tabIndex: 0 }, make("code", { textContent: text })), button);
}

/** Also where the browser gives no clipboard (plain http on another host). */
export async function copy(text) {
  try { await navigator.clipboard.writeText(text); } catch {
    const area = make("textarea", { value: text, className: "sr", "aria-hidden": "true" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

