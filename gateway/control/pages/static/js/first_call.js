// What a page without calls says: how to make the first one.

import { get } from "./api.js";
import { badge, empty, icon, make } from "./dom.js";

const COMMAND = (gateway, model) => `curl ${gateway}/v1/chat/completions \\
  -H "Authorization: Bearer $GATEWAY_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "${model}", "messages": [{"role": "user", "content": "Say hello"}]}'`;

/** The first model that can be asked, to be written into the command. */
async function firstModel() {
  const { targets } = await get("/api/targets");
  return targets.find((one) => !one.missing_secret)?.target;
}

/** Whether traces go anywhere but into the store of this dashboard. */
async function isConnected() {
  const { destinations } = await get("/api/telemetry");
  return destinations.some((one) => one.name !== "local");
}

const step = (href, name, title, line) => make("a", { className: "card step", href }, icon(name), make("span", {}, make("strong", { textContent: title }), make("span", { className: "help", textContent: line })));

export function firstCall(gateway) {
  const command = codeBlock(COMMAND(gateway, "<account>/<model>"));
  const model = step("/models/new", "model", "Connect a model", "An account with a provider, or a server of your own.");
  const ask = step("/playground", "playground", "Ask a model here", "In the playground; it needs no token.");
  const send = step("/controls/settings/otel", "telemetry", "Send traces to Elastic", "Or to any backend that takes OpenTelemetry.");
  const done = (one) => one.append(badge("good", "Done"));
  firstModel().then((name) => {
    if (!name) return;
    command.querySelector("code").textContent = COMMAND(gateway, name);
    ask.href = `/playground?model=${encodeURIComponent(name)}`;
    done(model);
  }).catch(() => {});
  isConnected().then((is) => is && done(send)).catch(() => {});
  return empty("traces", "No call has come through yet",
    "Three steps, in any order. A call is here two seconds after its last byte.",
    make("div", { className: "steps" }, model, ask, send),
    make("p", {}, "Or from a program, with a token that you ", make("a", { href: "/access/tokens", textContent: "make here" }), " (of the quickstart it is ", make("code", { textContent: "demo-key" }), "):"),
    command);
}

/** A command with a button that copies it (frame.js does). */
export function codeBlock(text) {
  return make("div", { className: "code-block" }, make("pre", { tabIndex: 0 }, make("code", { textContent: text })),
    make("button", { type: "button", className: "quiet icon-only small", "data-copy": "", "aria-label": "Copy the command", title: "Copy" }, icon("copy", "small")));
}
