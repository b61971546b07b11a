// Asking models, several side by side. What they say is text, whatever it looks like.

import { changeHeaders, get, signIn } from "./api.js";
import { all, at, icon, make, note } from "./dom.js";
import { duration, number, usd } from "./format.js";
import { toastError } from "./toast.js";

const MOST = 4;
const COST_TRIES = 60;
const COST_WAIT_MS = 500;
const gateway = at("playground").dataset.gateway;
const panes = [];
let models = [];
let language = "curl";
let count = 0;

const value = (id) => at(id).value.trim();
const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

function metadata() {
  const found = {};
  for (const line of value("metadata").split("\n").filter((one) => one.trim())) {
    const [name, ...rest] = line.split("=");
    if (!rest.length || !name.trim()) throw new Error(`Metadata: "${line}" is not name=value.`);
    found[name.trim()] = rest.join("=").trim();
  }
  return found;
}

function parameters() {
  const found = {};
  for (const [id, name] of [["temperature", "temperature"], ["top-p", "top_p"], ["max-tokens", "max_tokens"]]) {
    const field = at(id);
    if (!field.validity.valid) throw new Error(`${field.labels[0].textContent}: ${field.validationMessage}`);
    if (field.value !== "") found[name] = Number(field.value);
  }
  return found;
}

function request(pane, prompt) {
  const system = value("system");
  return {
    model: pane.model.value.trim(),
    messages: [...(system ? [{ role: "system", content: system }] : []), ...pane.said, { role: "user", content: prompt }],
    ...parameters(),
    ...(at("stream").checked ? { stream: true, stream_options: { include_usage: true } } : {}),
  };
}

// The events of a stream, however it is cut.
async function* events(reader) {
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value: part } = await reader.read();
    rest = (rest + (done ? decoder.decode() : decoder.decode(part, { stream: true }))).replaceAll("\r\n", "\n");
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const kind = lines.find((line) => line.startsWith("event:"))?.slice(6).trim() || "";
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).replace(/^ /, "")).join("\n");
      if (data) yield { kind, data };
    }
    if (done) return;
  }
}

const textOf = (content) => (typeof content === "string" ? content : Array.isArray(content) ? content.map((one) => one?.text || "").join("") : "");

function turn(kind, who) {
  const words = make("p");
  return { box: make("div", { className: `turn ${kind}` }, make("strong", { textContent: who }), words), words };
}

class Pane {
  constructor(name) {
    count += 1;
    this.said = [];
    this.model = make("input", { value: name, "aria-label": `Model ${count}`, autocomplete: "off", spellcheck: false, className: "grow", placeholder: "account/model" });
    this.model.setAttribute("list", "models");
    this.model.addEventListener("input", changed);
    this.turns = make("div", { className: "turns" });
    this.scroll = make("div", { className: "card-body", tabIndex: 0, role: "region", "aria-label": `Conversation ${count}` }, this.turns);
    this.figures = make("div", { className: "card-foot row figures", "aria-live": "polite" }, make("span", { className: "soft", textContent: "Tokens, cost and time are shown here" }));
    const remove = make("button", { type: "button", className: "quiet icon-only small", "aria-label": `Remove model ${count}` }, icon("close", "small"));
    remove.addEventListener("click", () => this.remove());
    this.box = make("section", { className: "card pane", "aria-label": `Model ${count} of the playground` },
      make("div", { className: "card-head" }, this.model, remove), this.scroll, this.figures);
  }

  remove() {
    if (panes.length === 1) return;
    this.abort?.abort();
    panes.splice(panes.indexOf(this), 1);
    this.box.remove();
    changed();
  }

  clear() {
    this.abort?.abort();
    this.said = [];
    this.turns.replaceChildren();
    this.figures.replaceChildren(make("span", { className: "soft", textContent: "Tokens, cost and time are shown here" }));
  }

  async ask(prompt, given) {
    const body = request(this, prompt);
    const user = turn("user", "You");
    user.words.textContent = prompt;
    this.reply = turn("assistant", body.model);
    this.turns.append(user.box, this.reply.box);
    this.box.setAttribute("aria-busy", "true");
    this.abort = new AbortController();
    this.state = { begun: performance.now(), first: null, text: "", thought: "", usage: null, trace: "", status: 0 };
    try {
      await this.stream(body, given);
      if (this.state.text) this.said.push({ role: "user", content: prompt }, { role: "assistant", content: this.state.text });
    } catch (error) {
      if (error.name === "AbortError") this.turns.append(note("", "Stopped"));
      else this.turns.append(note("bad", this.state.status >= 400 ? `It failed (${this.state.status})` : "It failed", error.message));
    }
    this.state.took = performance.now() - this.state.begun;
    this.box.removeAttribute("aria-busy");
    this.tell();
    this.findCost(this.state).catch(() => {});
  }

  async stream(body, given) {
    let answer;
    try {
      answer = await fetch("/api/playground/chat", {
        method: "POST", headers: changeHeaders(), signal: this.abort.signal, body: JSON.stringify({ request: body, metadata: given }),
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The control plane does not answer.");
    }
    if (answer.status === 401) signIn();
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error?.message || `the control plane answered ${answer.status}`);
    for await (const event of events(answer.body.getReader())) this.take(event);
  }

  take({ kind, data }) {
    if (data === "[DONE]") return;
    const found = JSON.parse(data);
    if (kind === "head") {
      this.state.status = found.status;
      this.state.trace = found.trace_id;
      this.tell();
      return;
    }
    if (kind === "trouble") throw new Error(found.message);
    const told = kind === "answer" ? this.whole(found.body) : found;
    if (told.error) throw new Error(told.error.message || "The call failed.");
    if (told.usage) this.state.usage = told.usage;
    const choice = told.choices?.[0];
    this.add(textOf(choice?.delta?.reasoning_content ?? choice?.message?.reasoning_content), "thought");
    this.add(textOf(choice?.delta?.content ?? choice?.message?.content), "text");
  }

  whole(text) {
    try { return JSON.parse(text); } catch { return { error: { message: text.slice(0, 1000) || "There is no answer." } }; }
  }

  add(words, where) {
    if (!words) return;
    this.state.first ??= performance.now() - this.state.begun;
    const isAtEnd = this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < 40;
    if (where === "thought" && !this.state.thought) {
      this.thinking = turn("reasoning", "Reasoning");
      this.reply.box.before(this.thinking.box);
    }
    this.state[where] += words;
    (where === "thought" ? this.thinking : this.reply).words.append(words);
    if (isAtEnd) this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  tell() {
    const { usage, first, took, trace, cost } = this.state;
    const figure = (label, text) => make("span", {}, make("span", { className: "soft", textContent: `${label} ` }), make("span", { className: "number", textContent: text }));
    this.figures.replaceChildren(
      figure("Tokens", usage ? `${number(usage.prompt_tokens)} in, ${number(usage.completion_tokens)} out` : "–"),
      figure("Cost", cost === undefined ? "–" : usd(cost)),
      figure("First token", duration(first)),
      figure("Total", duration(took)),
      ...(/^[0-9a-f]{32}$/.test(trace) ? [make("a", { href: `/traces/${trace}`, textContent: "Trace" })] : []));
  }

  // The store has a call a moment after its end.
  async findCost(state) {
    if (!state.trace) return;
    for (let tries = 0; tries < COST_TRIES && this.state === state; tries += 1) {
      await sleep(COST_WAIT_MS);
      const { traces } = await get(`/api/traces?q=${state.trace}`).catch(() => ({ traces: [] }));
      if (traces.length) {
        state.cost = traces[0].cost_usd;
        if (this.state === state) this.tell();
        return;
      }
    }
  }
}

const QUOTE = "'\\''";
const shell = (text) => `'${text.replaceAll("'", QUOTE)}'`;

// JSON is Python but for three words.
function python(data, indent = "    ") {
  const text = JSON.stringify(data, null, 4).replaceAll("\n", `\n${indent}`);
  return text.replace(/"(?:[^"\\]|\\.)*"|\b(?:true|false|null)\b/g, (word) => ({ true: "True", false: "False", null: "None" }[word] ?? word));
}

const named = (data) => Object.entries(data).map(([key, one]) => `    ${key}=${python(one)},`).join("\n");

function snippet() {
  const prompt = at("prompt").value.trim() || "Hello";
  const body = request(panes[0], prompt);
  const given = metadata();
  // A header is ASCII.
  const header = Object.keys(given).length ? JSON.stringify(given).replace(/[^ -~]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`) : "";
  if (language === "curl") {
    return [`curl ${gateway}/v1/chat/completions`, '-H "Authorization: Bearer $GATEWAY_TOKEN"', "-H 'Content-Type: application/json'",
      ...(header ? [`-H ${shell(`x-tfy-metadata: ${header}`)}`] : []), `-d ${shell(JSON.stringify(body, null, 2))}`].join(" \\\n  ");
  }
  const more = header ? `\n    extra_headers={"x-tfy-metadata": ${JSON.stringify(header)}},` : "";
  if (language === "openai") {
    const { stream, ...rest } = body;
    const end = stream ? "for chunk in reply:\n    for choice in chunk.choices:\n        print(choice.delta.content or \"\", end=\"\", flush=True)" : "print(reply.choices[0].message.content)";
    return `import os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url="${gateway}/v1", api_key=os.environ["GATEWAY_TOKEN"])\nreply = client.chat.completions.create(\n${named(stream ? { ...rest, stream } : rest)}${more}\n)\n${end}`;
  }
  const { messages, stream, stream_options: _options, max_tokens: most, ...rest } = body;
  const system = messages[0].role === "system" ? messages[0].content : "";
  const asked = { ...rest, max_tokens: most || 1024, ...(system ? { system } : {}), messages: messages.filter((one) => one.role !== "system") };
  const call = `(\n${named(asked)}${more}\n)`;
  const end = stream ? `with client.messages.stream${call} as stream:\n    for text in stream.text_stream:\n        print(text, end="", flush=True)` : `message = client.messages.create${call}\nprint(message.content[0].text)`;
  return `import os\nfrom anthropic import Anthropic\n\nclient = Anthropic(base_url="${gateway}", auth_token=os.environ["GATEWAY_TOKEN"])\n${end}`;
}

function changed() {
  try { at("code").textContent = snippet(); at("error").textContent = ""; } catch (error) { at("error").textContent = error.message; }
  const query = new URLSearchParams(panes.map((pane) => ["model", pane.model.value.trim()]).filter(([, name]) => name));
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  at("add").disabled = panes.length >= MOST;
}

function addPane(name) {
  const pane = new Pane(name);
  panes.push(pane);
  at("panes").append(pane.box);
  changed();
  return pane;
}

async function send() {
  const prompt = value("prompt");
  at("error").textContent = "";
  let given;
  try {
    if (!prompt) throw new Error("Write a message.");
    if (panes.some((pane) => !pane.model.value.trim())) throw new Error("Choose a model.");
    given = metadata();
    parameters();
  } catch (error) { at("error").textContent = error.message; return; }
  at("run").disabled = true;
  at("stop").disabled = false;
  at("prompt").value = "";
  try { await Promise.all(panes.map((pane) => pane.ask(prompt, given))); } finally {
    at("run").disabled = false;
    at("stop").disabled = true;
  }
}

async function loadModels() {
  try {
    ({ models } = await get("/api/playground/models"));
    at("models").replaceChildren(...models.map((name) => make("option", { value: name })));
    if (!models.length) tellTrouble("There is no model that you may call yet. Add an account under Models.");
    for (const pane of panes.filter((one) => !one.model.value)) pane.model.value = models[0] || "";
  } catch (error) { tellTrouble(error.message); }
  changed();
}

function tellTrouble(text) {
  at("trouble").textContent = text;
  at("trouble").hidden = false;
}

at("form").addEventListener("submit", (event) => { event.preventDefault(); send().catch(toastError); });
at("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !at("run").disabled) { event.preventDefault(); send().catch(toastError); }
});
at("form").addEventListener("input", changed);
at("stop").addEventListener("click", () => panes.forEach((pane) => pane.abort?.abort()));
at("clear").addEventListener("click", () => { panes.forEach((pane) => pane.clear()); changed(); });
at("add").addEventListener("click", () => addPane(models[panes.length % Math.max(1, models.length)] || "").model.focus());
for (const button of all("#languages button")) {
  button.addEventListener("click", () => {
    language = button.dataset.language;
    for (const one of all("#languages button")) one.setAttribute("aria-pressed", String(one === button));
    changed();
  });
}
for (const name of (new URLSearchParams(location.search).getAll("model").slice(0, MOST))) addPane(name);
if (!panes.length) addPane("");
loadModels();
