// What a page without calls says: how to make the first one.

import { get } from "./api.js";
import { empty, icon, make } from "./dom.js";

const COMMAND = (gateway, model) => `curl ${gateway}/v1/chat/completions \\
  -H "Authorization: Bearer $GATEWAY_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "${model}", "messages": [{"role": "user", "content": "Say hello"}]}'`;

/** The first model that can be asked, to be written into the command. */
async function firstModel() {
  const { targets } = await get("/api/targets");
  return targets.find((one) => !one.missing_secret)?.target;
}

export function firstCall(gateway) {
  const command = codeBlock(COMMAND(gateway, "<account>/<model>"));
  firstModel().then((model) => { if (model) command.querySelector("code").textContent = COMMAND(gateway, model); }).catch(() => {});
  return empty("traces", "No call has come through yet",
    "Send the first one. It is here two seconds after its last byte.",
    command,
    make("p", {}, "GATEWAY_TOKEN is a token of a virtual account (of the quickstart: demo-key); ", make("code", { textContent: `${gateway}/v1/models` }), " lists the models that it may use."));
}

/** A command with a button that copies it (frame.js does). */
export function codeBlock(text) {
  return make("div", { className: "code-block" }, make("pre", { tabIndex: 0 }, make("code", { textContent: text })),
    make("button", { type: "button", className: "quiet icon-only small", "data-copy": "", "aria-label": "Copy the command", title: "Copy" }, icon("copy", "small")));
}
