// One trace: where its time went, what was decided and why, what was said, and every attribute.

import { get } from "./api.js";
import { at, badge, empty, make, note } from "./dom.js";
import { copyText } from "./clipboard.js";
import { codeBlock } from "./first_call.js";
import { compact, duration, number, percent, time, usd } from "./format.js";
import { toast } from "./toast.js";

const page = at("trace");
const NS = 1e6;
const FIRST = "gen_ai.response.time_to_first_chunk";

// BigInt: nanoseconds since 1970 do not fit a number.
const ms = (from, to) => Number(BigInt(to) - BigInt(from)) / NS;
const took = (span) => Math.max(0, ms(span.start_time_unix_nano, span.end_time_unix_nano));
const isBad = (span) => span.status.code === "ERROR";
const parsed = (value) => { try { return typeof value === "string" ? JSON.parse(value) : value; } catch { return null; } };
const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));

// What turns the direction of letters, written as JSON may write it: else a command that is copied is another than is
// shown, and of an attribute with a whole conversation nobody can read what follows.
const TURNS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const straight = (value) => value.replace(TURNS, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);

const REASONS = {
  circuit: "it was failing, so it was left alone for a moment", cool_down: "its provider had asked for a pause", drained: "an operator had drained it",
  metadata: "it is for calls with other metadata", filter: "it cannot do this kind of call", tier: "it is for calls of another difficulty",
  secret_missing: "its key is missing", stored_elsewhere: "what the call refers to is stored elsewhere", limit: "one of its limits was reached",
  retry_budget: "too many retries were going on", not_tried: "another one had answered before",
};
const STRATEGIES = { weight: "by weight", priority: "by priority", latency: "by latency", complexity: "by how hard the call is" };
// What a limit counts; budgets are limits of cost or tokens.
const COUNTED = { requests: "request ", tokens: "token ", cost: "cost ", parallel: "parallel " };
const REFUSED = {
  model_not_found: "no model has that name", secret_missing: "its key is missing", model_not_allowed: "the caller may not use it",
  account_not_allowed: "the caller may not use its account", rate_limit_exceeded: "a rate limit was reached", budget_exceeded: "a budget is used up",
  no_target_available: "none of its targets could be asked", invalid_json: "the body of the call was not JSON", invalid_body: "the body of the call was not valid",
  unsupported_parameter: "no target takes a parameter of the call", overloaded: "the gateway had too much to do", body_too_large: "the body of the call was too large",
};

const code = (value) => make("code", { className: "anywhere", textContent: String(value) });

function section(title, ...children) {
  return make("section", { className: "card", "aria-label": title }, make("div", { className: "card-head" }, make("h2", { textContent: title })), make("div", { className: "card-body stack-s" }, ...children));
}

function facts(pairs) {
  return make("dl", { className: "facts" }, pairs.filter(([, value]) => value !== undefined && value !== null && value !== "")
    .flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", {}, value)]));
}

const tokensOf = (spans, key) => spans.reduce((sum, span) => sum + (span.attributes[key] ?? 0), 0);

function summary(root, spans, errorType) {
  const found = root.attributes;
  const status = found["http.response.status_code"];
  const models = spans.filter((span) => span.kind === "CLIENT");
  // What the caller waited for it, attempts before included, as Monitor has it.
  const answer = models.findLast((span) => FIRST in span.attributes);
  const first = answer && ms(root.start_time_unix_nano, answer.start_time_unix_nano) + answer.attributes[FIRST] * 1000;
  return section("Summary", facts([
    ["Status", badge(isBad(root) || status >= 400 ? "bad" : "good", String(status ?? root.status.code.toLowerCase()))],
    ["Error", errorType],
    ["Started", time(Number(BigInt(root.start_time_unix_nano) / 1000000n))],
    ["Took", duration(took(root))],
    ["of this the gateway itself", found["gateway.overhead_ms"] === undefined ? null : duration(found["gateway.overhead_ms"])],
    ["First token", first === undefined ? null : duration(first)],
    ["Caller", found["gateway.caller"]],
    ["Model asked", found["gateway.model.asked"]],
    ["Answered by", found["gateway.model.resolved"]],
    ["Tokens", models.some((span) => "gen_ai.usage.input_tokens" in span.attributes || "gen_ai.usage.output_tokens" in span.attributes) ? `${compact(tokensOf(models, "gen_ai.usage.input_tokens"))} in, ${compact(tokensOf(models, "gen_ai.usage.output_tokens"))} out` : null],
    ["Cost", found["gateway.cost_usd"] === undefined ? null : usd(found["gateway.cost_usd"])],
  ]));
}

/** The errors of a trace in words, each once. */
function errors(spans) {
  const seen = new Set();
  const notes = [];
  for (const span of spans) {
    const exception = span.events.find((event) => event.name === "exception")?.attributes ?? {};
    const type = span.attributes["error.type"] ?? exception["exception.type"];
    const words = span.status.message || exception["exception.message"] || "";
    if (!(isBad(span) || type) || seen.has(`${type} ${words}`)) continue;
    seen.add(`${type} ${words}`);
    const who = span.attributes["gateway.target"] ?? span.name;
    notes.push(note("bad", `${who}: ${type ?? "failed"}`, words, span.attributes["gateway.reply.excerpt"] ? `The reply began: ${span.attributes["gateway.reply.excerpt"]}` : ""));
  }
  return notes;
}

/** What was decided, as sentences. */
function decision(root, spans, errorType) {
  const found = root.attributes;
  if (!found["gateway.model.asked"]) return null;
  const lines = [];
  const line = (...parts) => lines.push(make("li", {}, ...parts));
  const candidates = found["gateway.routing.candidates"] ?? [];
  const route = found["gateway.routing.route"];
  if (route) {
    line("The caller asked for ", code(found["gateway.model.asked"]), ", which the route ", code(route), ` answers; it orders its targets ${STRATEGIES[(found["gateway.routing.strategy"] ?? "").replace(/-based(-routing)?$/, "")] ?? found["gateway.routing.strategy"] ?? "as written"}.`);
    if (found["gateway.routing.tier"]) line("The call was taken to be ", code(found["gateway.routing.tier"]), found["gateway.routing.tier_cause"] ? ` (${found["gateway.routing.tier_cause"]}).` : ".");
  } else {
    line("The caller asked for ", code(found["gateway.model.asked"]), candidates.length ? ", which is a model itself." : `. No model was asked: ${REFUSED[errorType] ?? errorType ?? "the call ended before"}.`);
  }
  if (candidates.length > 1) line("To be asked, in this order: ", ...candidates.flatMap((one, index) => [index ? ", " : "", code(one)]), ".");
  for (const skipped of [].concat(found["gateway.routing.skipped"] ?? []).flatMap((one) => parsed(one) ?? [])) {
    line(code(skipped.target), ` was passed over: ${REASONS[skipped.reason] ?? skipped.reason}.`);
  }
  const attempts = spans.filter((span) => span.kind === "CLIENT" && span.attributes["gateway.attempt"]);
  attempts.forEach((span, index) => {
    const type = span.attributes["error.type"];
    const again = index && attempts[index - 1].attributes["gateway.target"] === span.attributes["gateway.target"] ? "once more " : "";
    line(`Attempt ${span.attributes["gateway.attempt"]} asked `, code(span.attributes["gateway.target"] ?? span.name), ` ${again}and ${type ? `failed after ${duration(took(span))}: ${type}` : `had its answer after ${duration(took(span))}`}.`);
  });
  for (const limit of [].concat(found["gateway.limits"] ?? []).flatMap((one) => parsed(one) ?? [])) {
    line(`The ${COUNTED[limit.kind] ?? ""}limit `, code(limit.rule), ` said: ${limit.outcome}.`);
  }
  return section("What was decided", make("ol", { className: "decision" }, lines));
}

// Where the time went.

function depths(spans) {
  const byId = new Map(spans.map((span) => [span.span_id, span]));
  const depth = (span, seen = 0) => (seen < 20 && byId.has(span.parent_span_id) ? 1 + depth(byId.get(span.parent_span_id), seen + 1) : 0);
  return spans.map((span) => depth(span));
}

/** The slowest step, and what no step explains: between two attempts the gateway waits on purpose. */
function inWords(spans, inDepth) {
  const whole = spans.find((_span, index) => inDepth[index] === 0);
  const steps = spans.filter((_span, index) => inDepth[index] === 1);
  if (!steps.length) return "No model was asked: all of it is the gateway's own.";
  const share = (time) => `${duration(time)}, ${percent(time / Math.max(took(whole), 0.001))} of the call`;
  const slowest = steps.reduce((most, span) => (took(span) > took(most) ? span : most));
  const parts = [`The slowest step is ${nameOf(slowest)}: ${share(took(slowest))}.`];
  const attempts = steps.filter((span) => span.attributes["gateway.attempt"]).sort((one, other) => ms(other.start_time_unix_nano, one.start_time_unix_nano));
  const waited = attempts.slice(1).reduce((sum, span, index) => sum + Math.max(0, ms(attempts[index].end_time_unix_nano, span.start_time_unix_nano)), 0);
  if (waited >= 1) parts[waited > took(slowest) ? "unshift" : "push"](`Between the ${attempts.length} attempts the gateway waited: ${share(waited)}.`);
  return parts.join(" ");
}

const nameOf = (span) => (span.attributes["gateway.attempt"] ? `${span.name} (${span.attributes["gateway.target"]}, attempt ${span.attributes["gateway.attempt"]})` : span.name);

function waterfall(spans, details) {
  const starts = spans.map((span) => BigInt(span.start_time_unix_nano));
  const begin = starts.reduce((least, one) => (one < least ? one : least));
  const whole = Math.max(...spans.map((span) => ms(begin, span.end_time_unix_nano)), 0.001);
  const inDepth = depths(spans);
  const rows = spans.map((span, index) => {
    const bar = make("span", { className: `span-bar ${isBad(span) ? "bad" : span.kind.toLowerCase()}` });
    bar.style.left = `${Math.min(99.5, ms(begin, span.start_time_unix_nano) / whole * 100)}%`;
    bar.style.width = `${Math.max(0.2, took(span) / whole * 100)}%`;
    const track = make("span", { className: "span-track", "aria-hidden": "true" }, bar);
    const first = span.attributes[FIRST];
    if (first !== undefined) {
      const mark = make("span", { className: "span-first", title: `First token after ${duration(first * 1000)}` });
      mark.style.left = `${Math.min(99.5, (ms(begin, span.start_time_unix_nano) + first * 1000) / whole * 100)}%`;
      track.append(mark);
    }
    const name = make("span", { className: "span-name" }, isBad(span) ? badge("bad", "failed") : null, nameOf(span));
    name.style.paddingLeft = `${inDepth[index]}rem`;
    const row = make("button", { type: "button", className: "span-row", "aria-pressed": "false" }, name, track, make("span", { className: "span-time", textContent: duration(took(span)) }));
    row.addEventListener("click", () => select(index));
    return row;
  });
  const select = (index) => {
    rows.forEach((row, at) => row.setAttribute("aria-pressed", String(at === index)));
    details.replaceChildren(attributes(spans[index]));
  };
  // The slowest step below the whole call is what most come for.
  const below = spans.map((span, index) => [took(span), index]).filter(([, index]) => inDepth[index] > 0);
  select(below.length ? below.reduce((most, one) => (one[0] > most[0] ? one : most))[1] : 0);
  return section("Where the time went", make("p", { className: "soft waterfall-words", textContent: inWords(spans, inDepth) }), make("div", { className: "waterfall" }, rows));
}

function attributes(span) {
  const rows = Object.entries(span.attributes).sort(([one], [other]) => one.localeCompare(other))
    .map(([name, value]) => make("tr", {}, make("td", {}, code(name)), make("td", { textContent: straight(text(value)) })));
  const events = span.events.map((event) => note(event.name === "exception" ? "bad" : "", `${event.name} after ${duration(ms(span.start_time_unix_nano, event.time_unix_nano))}`, ...Object.entries(event.attributes).map(([name, value]) => `${name}: ${text(value)}`)));
  return section(`Attributes of ${nameOf(span)}`,
    facts([["Kind", span.kind.toLowerCase()], ["Span id", code(span.span_id)], ["Started", time(Number(BigInt(span.start_time_unix_nano) / 1000000n))], ["Took", duration(took(span))], ["Status", span.status.message || span.status.code.toLowerCase()]]),
    ...events,
    make("div", { className: "table-scroll", tabIndex: 0, role: "region", "aria-label": "Attributes" }, make("table", { className: "data attributes" },
      make("thead", {}, make("tr", {}, make("th", { scope: "col", textContent: "Attribute" }), make("th", { scope: "col", textContent: "Value" }))), make("tbody", {}, rows))));
}

// What was said.

function part(one) {
  if (typeof one === "string") return make("p", { textContent: one });
  if (one.type === "text") return make("p", { textContent: one.content ?? one.text ?? "" });
  if (one.type === "reasoning" || one.type === "thinking") return make("details", {}, make("summary", { textContent: "Thinking" }), make("p", { textContent: one.content ?? "" }));
  if (one.type === "tool_call") return make("div", {}, badge("info", `calls ${one.name ?? "a tool"}`), make("pre", { className: "wrapped", tabIndex: 0, textContent: text(one.arguments ?? {}) }));
  if (one.type === "tool_call_response") return make("div", {}, badge("info", "result"), make("pre", { className: "wrapped", tabIndex: 0, textContent: text(one.response ?? one.result ?? "") }));
  return make("div", {}, badge("", one.type ?? "part"), make("pre", { className: "wrapped", tabIndex: 0, textContent: text(one) }));
}

// A role is what a caller wrote: `constructor` is one that every object has.
const ROLES = { __proto__: null, system: "System", user: "User", assistant: "Model", tool: "Tool" };

function conversation(spans) {
  const said = [...spans].reverse().find((span) => span.attributes["gen_ai.input.messages"] || span.attributes["gen_ai.output.messages"]);
  if (!said) {
    return section("What was said", make("p", { className: "soft", textContent: "Prompts and replies are not recorded for this call. The global settings say whether they are, and rules what is left out: " }, make("a", { href: "/controls/logging", textContent: "Controls > Logging" }), "."));
  }
  const messages = [said.attributes["gen_ai.input.messages"], said.attributes["gen_ai.output.messages"]].flatMap((value) => { const found = parsed(value); return Array.isArray(found) ? found : []; });
  return section("What was said",
    said.attributes["gateway.content.truncated"] ? note("warn", "Cut", "What was said is longer than what is recorded.") : null,
    ...messages.map((message) => make("div", { className: `said ${message.role in ROLES ? message.role : "other"}` }, make("h3", { textContent: ROLES[message.role] ?? String(message.role ?? "Message") }),
      ...(Array.isArray(message.parts) ? message.parts : [message.content ?? text(message)]).map(part))));
}

// As a command.

// The shell takes it as it is.
const quoted = (value) => `'${String(value).replaceAll("'", "'\\''")}'`;

/** What each endpoint takes, by the end of its path: [{role, content}], of these the text, and the system's alone. */
const BODIES = [
  [/\/chat\/completions$/, (messages) => ({ messages })],
  [/\/messages$/, (messages, _words, system) => ({ max_tokens: 1024, ...(system ? { system } : {}), messages: messages.filter((one) => one.role !== "system") })],
  [/\/responses$/, (messages) => ({ input: messages })],
  [/\/completions$/, (_messages, words) => ({ prompt: words })],
  [/\/(embeddings|moderations)$/, (_messages, words) => ({ input: words })],
  [/\/rerank$/, (_messages, words) => ({ query: words, documents: ["..."] })],
  [/\/images\/generations$/, (_messages, words) => ({ prompt: words })],
];

/** A call like this one; with its messages when they were recorded as text. The token is never in a trace, and what
 *  an endpoint of another kind takes is left to who runs it. */
function curl(root, spans) {
  const found = root.attributes;
  const method = found["http.request.method"] ?? "POST";
  const path = found["url.path"] && !found["url.path"].includes("{") ? found["url.path"] : "/v1/chat/completions";
  const url = page.dataset.gateway + path;
  const lines = [`curl ${quoted(url)}`, `  -H "Authorization: Bearer $GATEWAY_TOKEN"`];
  const isPosted = method === "POST";
  if (!isPosted && method !== "GET") lines.splice(1, 0, `  -X ${quoted(method)}`);
  if (method === "GET" || method === "DELETE") return lines.join(" \\\n");
  const bodyOf = isPosted && BODIES.find(([end]) => end.test(path))?.[1];
  return [...lines, `  -H 'Content-Type: application/json'`, bodyOf ? `  -d ${quoted(straight(JSON.stringify(request(found, spans, bodyOf))))}` : "  -d @body.json"].join(" \\\n");
}

function request(found, spans, bodyOf) {
  const said = [...spans].reverse().find((span) => span.attributes["gen_ai.input.messages"]);
  const recorded = said ? parsed(said.attributes["gen_ai.input.messages"]) : null;
  const texts = Array.isArray(recorded) ? recorded.map((message) => ({ role: message.role, content: (message.parts ?? []).filter((one) => one.type === "text").map((one) => one.content).join("\n") })).filter((message) => message.content) : [];
  const messages = texts.length ? texts : [{ role: "user", content: "..." }];
  const words = (isWanted) => messages.filter(isWanted).map((one) => one.content).join("\n");
  const model = found["gateway.model.asked"] ?? "<account>/<model>";
  const isStream = spans.some((span) => span.attributes["gen_ai.request.stream"]);
  return { model, ...bodyOf(messages, words(() => true), words((one) => one.role === "system")), ...(isStream ? { stream: true } : {}) };
}

async function show() {
  let trace;
  let calls;
  const id = page.dataset.trace;
  // By the spans alone a refusal is a status: its name is with the calls, as the list shows it.
  try { [trace, calls] = await Promise.all([get(`/api/traces/${id}`), get(`/api/traces?q=${id}`).then((found) => found.traces, () => [])]); } catch (error) {
    page.replaceChildren(error.code === "trace_not_found"
      ? empty("traces", "This trace is not here", "It may have aged out, been left out under load, or not have ended yet: a call is here two seconds after its last byte.", make("a", { className: "button", href: "/traces", textContent: "All calls" }))
      : note("bad", "The trace cannot be shown", error.message));
    return;
  }
  const spans = trace.spans;
  const root = spans.find((span) => span.kind === "SERVER") ?? spans[0];
  const errorType = calls.find((call) => call.span_id === root.span_id)?.error_type ?? root.attributes["error.type"];
  const details = make("div");
  const command = curl(root, spans);
  at("copy-curl").disabled = false;
  at("copy-curl").addEventListener("click", async () => { await copyText(command); toast("good", "Copied", "Set GATEWAY_TOKEN before you run it."); });
  page.replaceChildren(...[
    trace.is_truncated ? note("warn", "Only the newest calls of this trace are shown", `${number(spans.length)} spans`) : null,
    ...errors(spans),
    make("div", { className: "grid charts" }, ...[summary(root, spans, errorType), decision(root, spans, errorType)].filter(Boolean)),
    waterfall(spans, details), details, conversation(spans),
    section("As a command", codeBlock(command)),
    section("Resource", make("div", { className: "table-scroll", tabIndex: 0, role: "region", "aria-label": "Attributes of the resource" }, make("table", { className: "data attributes" }, make("tbody", {}, Object.entries(trace.resource).map(([name, value]) => make("tr", {}, make("td", {}, code(name)), make("td", { textContent: text(value) }))))))),
  ].filter(Boolean));
}

show();
