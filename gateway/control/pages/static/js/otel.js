// The settings page of a telemetry destination: form <-> manifest, test, and the ledger as it changes.

import { ask, get, keepTyped } from "./api.js";
import { sparkline } from "./chart.js";
import { confirmed } from "./dialog.js";
import { all, at, badge, busy, make, note } from "./dom.js";
import { asText, compact, number, since, time, timeOfDay } from "./format.js";
import { isObject } from "./schema.js";

const LEDGER_MS = 1500;
const IN_FORCE_MS = 15000;
const NEW = "\u0000new";
// Destinations without a manifest: the local store, and what OTEL_* variables describe.
const NOT_MANIFESTS = ["local", "environment"];
const EXPORTERS = { traces: "otel_traces_exporter_config", metrics: "otel_metrics_exporter_config" };
const SIGNALS = Object.keys(EXPORTERS);
const MASK = "***";

const form = at("settings");
const isViewer = form.dataset.role !== "admin";
const page = { manifest: null, tag: null, isNew: false, isStored: false, isDirty: false };

// What each backend wants; <...> is for the operator to fill in. `metrics`: the endpoint for metrics, where it is known.
const PRESETS = {
  elastic: {
    type: "http", encoding: "proto",
    endpoint: "https://<project>.ingest.<region>.<provider>.elastic.cloud:443/v1/traces",
    headers: { Authorization: "ApiKey " },
    attributes: { "deployment.environment.name": "production" },
    note: ["Both values are in Kibana", "Add data > Application > OpenTelemetry. The endpoint has .ingest. in it; the key is shown without the word ApiKey, which has to stand before it."],
  },
  edot: {
    type: "http", encoding: "proto", endpoint: "http://<edot-collector>:4318/v1/traces",
    headers: {}, attributes: { "deployment.environment.name": "production" },
    note: ["Traces go to an EDOT collector in gateway mode, not to Elasticsearch itself", "4318 is its port for http, 4317 for grpc. Add an Authorization header if the collector asks for one."],
  },
  collector: {
    type: "http", encoding: "proto", endpoint: "http://localhost:4318/v1/traces", headers: {}, attributes: {},
    note: ["4318 is the usual port for http, 4317 for grpc", "Change localhost to where your collector or backend listens."],
  },
  grafana: {
    type: "http", encoding: "proto", endpoint: "https://otlp-gateway-<zone>.grafana.net/otlp/v1/traces",
    headers: { Authorization: "Basic " }, attributes: { "deployment.environment.name": "production" },
    note: ["Address and value are in the Grafana Cloud portal, under OpenTelemetry", "The value is base64 of <instance id>:<token>, after the word Basic."],
  },
  honeycomb: {
    type: "http", encoding: "proto", endpoint: "https://api.honeycomb.io/v1/traces",
    headers: { "x-honeycomb-team": "" }, attributes: {},
    note: ["The value is an ingest key", "In the EU the host is api.eu1.honeycomb.io."],
  },
  langfuse: {
    type: "http", encoding: "proto", endpoint: "https://cloud.langfuse.com/api/public/otel/v1/traces",
    headers: { Authorization: "Basic " }, attributes: {},
    note: ["The value is base64 of <public key>:<secret key>, after the word Basic", "For another region or a server of your own, change the host."],
  },
};

// The form.

function addPair(list, name = "", value = "") {
  const what = list.dataset.what;
  const count = list.children.length + 1;
  const nameInput = make("input", { value: name, placeholder: "name", spellcheck: false, autocapitalize: "none", "aria-label": `${what} ${count} name` });
  const valueInput = make("input", { value, placeholder: list.id === "filters" ? "value, value" : "value", spellcheck: false, autocomplete: "off", autocapitalize: "none", "aria-label": `${what} ${count} value` });
  if (value === MASK) {
    valueInput.type = "password";
    valueInput.title = "Saved and not shown; write over it to change it";
    valueInput.addEventListener("focus", () => valueInput.select());
  }
  const remove = make("button", { type: "button", className: "quiet", textContent: "Remove", "aria-label": `Remove ${what.toLowerCase()} ${count}` });
  const pair = make("div", { className: "pair" }, nameInput, valueInput, remove);
  remove.addEventListener("click", () => { pair.remove(); page.isDirty = true; });
  list.append(pair);
  return pair;
}

function showPairs(list, pairs) {
  list.replaceChildren();
  for (const [name, value] of Object.entries(partOf(pairs))) addPair(list, name, asText(value));
}

// What stands in a file may be of any shape: what is of another kind has no parts to show.
const partOf = (value) => (isObject(value) ? value : {});
const filtersOf = (traces) => (Array.isArray(traces.when) ? traces.when.filter(isObject) : []);
const textOf = (filter) => (Array.isArray(filter.value) ? filter.value.map(asText).join(", ") : asText(filter.value));

/** The filters as they are now. One that nobody touched stays what it was: a text in it may have commas of its own. */
function readFilters(stored) {
  return [...at("filters").children].map((pair) => [...pair.querySelectorAll("input")].map((input) => input.value)).filter(([key]) => key.trim())
    .map(([key, text]) => stored.find((one) => one.key === key && textOf(one) === text)
      ?? { field: "spanAttributes", key: key.trim(), operator: "IN", value: text.split(",").map((one) => one.trim()).filter(Boolean) });
}

function readPairs(list) {
  const pairs = {};
  for (const pair of list.children) {
    const [name, value] = pair.querySelectorAll("input");
    if (name.value.trim()) pairs[name.value.trim()] = value.value.trim();
  }
  return pairs;
}

function fillExporter(signal, exporter) {
  at(`${signal}-enabled`).checked = Boolean(exporter);
  const shown = partOf(exporter);
  at(`${signal}-type`).value = shown.type || "http";
  at(`${signal}-encoding`).value = shown.encoding || "proto";
  at(`${signal}-endpoint`).value = asText(shown.endpoint);
  at(`${signal}-compression`).value = shown.compression || "gzip";
  for (const part of ["ca", "cert", "key"]) at(`${signal}-${part}`).value = asText(shown.tls?.[`${part}_file`]);
  showPairs(at(`${signal}-headers`), shown.headers);
  showPairs(at(`${signal}-attributes`), shown.additional_resource_attributes);
}

function fillForm() {
  at("name").value = page.manifest.name || "default";
  for (const signal of SIGNALS) fillExporter(signal, page.manifest[EXPORTERS[signal]]);
  const traces = partOf(page.manifest[EXPORTERS.traces]);
  const sampling = partOf(traces.sampling);
  at("sampling-ratio").value = typeof sampling.ratio === "number" ? Number((sampling.ratio * 100).toPrecision(12)) : asText(sampling.ratio);
  at("sampling-slower").value = asText(sampling.keep_slower_than_ms);
  at("sampling-errors").checked = Boolean(sampling.keep_errors);
  at("sampling-parent").checked = sampling.parent_based !== false;
  at("exclude").checked = Boolean(traces.exclude_request_data);
  at("filters").replaceChildren();
  for (const filter of filtersOf(traces)) addPair(at("filters"), asText(filter.key), textOf(filter));
  at("metrics-delta").checked = Boolean((page.manifest[EXPORTERS.metrics] || {}).export_delta_metrics);
  page.isDirty = false;
  fitForm();
}

function fitForm() {
  for (const signal of SIGNALS) {
    at(`${signal}-fields`).hidden = !at(`${signal}-enabled`).checked;
    at(`${signal}-encoding-cell`).hidden = at(`${signal}-type`).value === "grpc";
  }
  at("metrics-copy").hidden = !(at("metrics-enabled").checked && at("traces-enabled").checked);
  at("name-row").hidden = !page.isNew;
}

function setOrDelete(holder, key, value) {
  const isEmpty = value === undefined || value === "" || value === false
    || (typeof value === "object" && !Object.keys(value).length);
  if (isEmpty) delete holder[key];
  else holder[key] = value;
}

// What the page does not show (batches, ...) stays as it is in the manifest.
function readExporter(signal) {
  const exporter = { ...partOf(page.manifest[EXPORTERS[signal]]) };
  const type = at(`${signal}-type`).value;
  Object.assign(exporter, { type, endpoint: at(`${signal}-endpoint`).value.trim() });
  setOrDelete(exporter, "encoding", type === "http" ? at(`${signal}-encoding`).value : "");
  setOrDelete(exporter, "headers", readPairs(at(`${signal}-headers`)));
  setOrDelete(exporter, "additional_resource_attributes", readPairs(at(`${signal}-attributes`)));
  const compression = at(`${signal}-compression`).value;
  if (compression !== (exporter.compression || "gzip")) exporter.compression = compression;
  const tls = { ...partOf(exporter.tls) };
  for (const part of ["ca", "cert", "key"]) setOrDelete(tls, `${part}_file`, at(`${signal}-${part}`).value.trim());
  setOrDelete(exporter, "tls", tls);
  return exporter;
}

/** What is no number is sent as it is, and refused with words. */
function numberIn(id, factor = 1) {
  const text = at(id).value.trim();
  if (text === "") return undefined;
  return Number.isFinite(Number(text)) ? Number(text) / factor : text;
}

function readTraces() {
  const traces = readExporter("traces");
  const sampling = { ...partOf(traces.sampling) };
  setOrDelete(sampling, "ratio", numberIn("sampling-ratio", 100));
  setOrDelete(sampling, "keep_slower_than_ms", numberIn("sampling-slower"));
  setOrDelete(sampling, "keep_errors", at("sampling-errors").checked);
  if (at("sampling-parent").checked) delete sampling.parent_based;
  else sampling.parent_based = false;
  setOrDelete(traces, "sampling", sampling);
  setOrDelete(traces, "exclude_request_data", at("exclude").checked);
  setOrDelete(traces, "when", readFilters(filtersOf(traces)));
  return traces;
}

function readForm() {
  const manifest = { ...page.manifest };
  if (page.isNew) manifest.name = at("name").value.trim();
  if (at("traces-enabled").checked) manifest[EXPORTERS.traces] = readTraces();
  else delete manifest[EXPORTERS.traces];
  if (at("metrics-enabled").checked) {
    manifest[EXPORTERS.metrics] = readExporter("metrics");
    setOrDelete(manifest[EXPORTERS.metrics], "export_delta_metrics", at("metrics-delta").checked);
  } else {
    delete manifest[EXPORTERS.metrics];
  }
  return manifest;
}

// Fills in what a backend wants, and leaves alone what is there already.
function usePreset(name) {
  const preset = PRESETS[name];
  at("preset-note").replaceChildren();
  if (!preset) return;
  at("traces-enabled").checked = true;
  at("traces-type").value = preset.type;
  at("traces-encoding").value = preset.encoding;
  at("traces-endpoint").value = preset.endpoint;
  const headers = at("traces-headers");
  const names = Object.keys(readPairs(headers)).map((one) => one.toLowerCase());
  for (const [key, value] of Object.entries(preset.headers)) if (!names.includes(key.toLowerCase())) addPair(headers, key, value);
  const attributes = readPairs(at("traces-attributes"));
  for (const [key, value] of Object.entries(preset.attributes)) if (!(key in attributes)) addPair(at("traces-attributes"), key, value);
  at("preset-note").append(note("info", ...preset.note));
  page.isDirty = true;
  fitForm();
  at("traces-endpoint").focus();
  at("traces-endpoint").select();
}

function copyFromTraces() {
  for (const part of ["type", "encoding", "compression", "ca", "cert", "key"]) at(`metrics-${part}`).value = at(`traces-${part}`).value;
  at("metrics-endpoint").value = at("traces-endpoint").value.trim().replace(/\/v1\/traces$/, "/v1/metrics");
  const headers = readPairs(at("traces-headers"));
  // A mask stands for a value of its own place only.
  for (const key of Object.keys(headers)) if (headers[key].includes(MASK)) headers[key] = "";
  showPairs(at("metrics-headers"), headers);
  showPairs(at("metrics-attributes"), readPairs(at("traces-attributes")));
  page.isDirty = true;
  fitForm();
}

// What is told.

function report(...notes) {
  at("result").replaceChildren(...notes);
  if (notes.length) at("result").scrollIntoView({ block: "nearest" });
}

const tellProblem = (problem) => note(problem.severity === "warning" ? "warn" : "bad", `${problem.path}: ${problem.message}`, problem.fix);

function fieldOf(path) {
  for (const signal of SIGNALS) {
    if (!path.startsWith(EXPORTERS[signal])) continue;
    const rest = path.slice(EXPORTERS[signal].length + 1);
    if (rest.startsWith("endpoint")) return at(`${signal}-endpoint`);
    if (rest.startsWith("sampling.ratio")) return at("sampling-ratio");
    if (rest.startsWith("sampling.keep_slower")) return at("sampling-slower");
  }
  return path === "name" ? at("name") : null;
}

function markFields(problems) {
  for (const input of all("[aria-invalid]", form)) input.removeAttribute("aria-invalid");
  for (const problem of problems) if (problem.severity !== "warning") fieldOf(problem.path)?.setAttribute("aria-invalid", "true");
}

function tellFailure(error) {
  if (error.status === 401) { report(); return; }
  const problems = error.problems || [];
  markFields(problems);
  const [title, advice] = error.status !== 412 ? [error.message, ""]
    : page.isNew ? [`There is a destination called ${at("name").value.trim() || "default"} already`, "Give this one another name."]
    : ["Somebody else changed it meanwhile", "Reload the page, and make your change again."];
  report(...(problems.length ? problems.map(tellProblem) : [note("bad", title, advice)]));
}

async function run(button, action) {
  await busy(button, () => action().catch(tellFailure));
}

// What the buttons do.

async function load(name) {
  page.isNew = name === NEW;
  at("preset").value = "";
  at("preset-note").replaceChildren();
  if (page.isNew) {
    Object.assign(page, { manifest: { type: "gateway-otel-config", name: "" }, tag: null });
    at("file").textContent = "";
  } else {
    const query = name ? `?name=${encodeURIComponent(name)}` : "";
    const { data, tag } = await ask("GET", `/api/config/otel${query}`);
    Object.assign(page, { manifest: data, tag });
  }
  fillForm();
}

function show(name) {
  const url = new URL(location);
  if (name && name !== NEW) url.searchParams.set("name", name);
  else url.searchParams.delete("name");
  history.replaceState(null, "", url);
}

const isOff = (manifest) => !SIGNALS.some((signal) => manifest[EXPORTERS[signal]]);

async function save() {
  const manifest = readForm();
  // A manifest of nothing would be taken for a wish to send nothing, and switch off what the environment says.
  if (isOff(manifest) && (page.isNew || !page.isStored)) {
    report(note("warn", "There is nothing to save", "Enable an exporter first."));
    return;
  }
  // A new one takes the place of none.
  const headers = page.isNew ? { "If-None-Match": "*" } : page.tag ? { "If-Match": page.tag } : {};
  const query = page.isNew || !page.tag || !page.isStored ? "" : `?name=${encodeURIComponent(page.manifest.name || "default")}`;
  markFields([]);
  report(note("", "Saving ..."));
  const { data, tag } = await ask("PUT", `/api/config/otel${query}`, manifest, { headers });
  Object.assign(page, { manifest: data.manifest, tag, isNew: false, isStored: true });
  fillForm();
  at("file").textContent = `in ${data.file}`;
  const saved = await waitInForce(data.version)
    ? note("good", "Saved and in force", "Test sends one span and says what came of it.")
    : note("warn", "Saved, not in force yet", "The gateway may have refused the configuration: its log says why.");
  report(saved, ...data.warnings.map(tellProblem));
  show(page.manifest.name);
  await showNames();
}

async function waitInForce(version) {
  const end = Date.now() + IN_FORCE_MS;
  while (Date.now() < end) {
    const config = await get("/api/config");
    if (config.version.split("+")[0] === version) return true;
    await new Promise((done) => setTimeout(done, 200));
  }
  return false;
}

/** Send one span to what the form says, saved or not; a masked value stands for the saved one. */
async function test() {
  const manifest = readForm();
  if (isOff(manifest)) {
    report(note("warn", "There is nothing to test", "Enable an exporter first."));
    return;
  }
  markFields([]);
  report(note("", "Sending one span ..."));
  const isChange = page.isStored && !page.isNew && page.tag;
  const { data } = await ask("POST", "/api/telemetry/test", { destination: isChange ? page.manifest.name || "default" : null, manifest });
  const notes = data.results.map((result) => {
    const took = result.latency_ms === null ? "" : ` in ${number(result.latency_ms)} ms`;
    return note(result.ok ? "good" : "bad", `${result.destination} (${result.signal}): ${result.ok ? "ok" : "failed"}${took}`, result.what, result.advice);
  });
  const isSaved = page.isStored && !page.isNew && !page.isDirty;
  if (!isSaved && data.results.every((result) => result.ok)) notes.push(note("info", "It works, and is not saved yet", "Save puts it in force."));
  report(...notes);
}

// The ledger.

const STATES = { ok: "good", retrying: "warn", refusing: "bad", paused: "bad", disabled: "bad" };
const total = (value) => (value !== null && typeof value === "object" ? value.total : value ?? 0);

function countCell(label, value, kind = "") {
  return make("div", { className: value ? kind : "" }, make("dt", { textContent: label }), make("dd", { textContent: compact(value), title: number(value) }));
}

function destinationCard(entry, taken) {
  const { ledger } = entry;
  const waiting = total(ledger.queued) + total(ledger.in_flight) + total(ledger.spooled);
  const unit = entry.signal === "metrics" ? "points" : "spans";
  const reasons = Object.entries(ledger.dropped?.by_reason || {}).filter(([, count]) => count);
  const last = entry.last_success_at;
  const heading = make("h3", { textContent: entry.name === "local" ? "local store" : entry.name });
  const counts = make("dl", { className: "counts" },
    countCell("Sent", total(ledger.exported)), countCell("Waiting", waiting, "warn"),
    countCell("Dropped", total(ledger.dropped), "bad"), countCell("Rejected", total(ledger.rejected), "bad"),
    countCell("Sampled out", total(ledger.sampled_out)), countCell("Filtered", total(ledger.filtered_out)));
  const error = entry.last_error && entry.state !== "ok"
    ? note("bad", entry.last_error.message, entry.last_error.advice, entry.last_error.at ? time(entry.last_error.at) : "") : null;
  const line = taken?.length > 1
    ? sparkline(taken, `${unit} sent in the last ${Math.round(taken.length / 12) || 1} minutes, ${number(taken.reduce((sum, one) => sum + one, 0))} in all`) : null;
  return make("article", { className: "card delivery", dataset: { destination: entry.name, signal: entry.signal } },
    make("div", { className: "card-head" }, make("div", { className: "row" }, heading, badge("", entry.signal)), badge(`dot ${STATES[entry.state] || ""}`, entry.state)),
    make("div", { className: "card-body" },
      make("p", { className: "help", textContent: entry.name === "local" ? "What the pages of this dashboard read" : entry.endpoint }),
      counts, line,
      reasons.length ? make("div", { className: "reasons" }, reasons.map(([reason, count]) => badge("bad", `${number(count)} ${reason.replaceAll("_", " ")}`))) : null,
      error,
      make("p", { className: "help", textContent: last ? `Last ${unit} taken ${since(last)}` : total(ledger.exported) ? `No ${unit} taken since the start` : `No ${unit} taken yet`, title: last ? time(last) : "" })));
}

async function showLedger() {
  const [telemetry, past] = await Promise.all([get("/api/telemetry"), get("/api/telemetry/history")]);
  const taken = new Map(past.destinations.map((one) => [`${one.name} ${one.signal}`, one.exported]));
  const entries = telemetry.destinations;
  const ordered = [...entries.filter((one) => one.name !== "local"), ...entries.filter((one) => one.name === "local")];
  at("destinations").replaceChildren(...ordered.map((entry) => destinationCard(entry, taken.get(`${entry.name} ${entry.signal}`))));
  at("fresh").textContent = `as of ${timeOfDay(new Date())}`;
  return entries;
}

async function showNames() {
  const entries = await showLedger();
  const shown = page.isNew ? NEW : page.manifest.name || "default";
  const names = new Set(entries.map((entry) => entry.name).filter((name) => !NOT_MANIFESTS.includes(name)));
  if (page.isStored && !page.isNew) names.add(shown);
  const options = [...names].map((name) => make("option", { value: name, textContent: name }));
  options.push(make("option", { value: NEW, textContent: "a new one ..." }));
  at("destination").replaceChildren(...options);
  at("destination").value = shown;
  at("destination-field").hidden = !names.size;
}

/** Follow what is on disk: a form that nobody has touched shows it, another says so. */
async function follow() {
  if (page.isNew || !page.isStored) return;
  const { data, tag } = await ask("GET", `/api/config/otel?name=${encodeURIComponent(page.manifest.name || "default")}`);
  if (tag === page.tag || tag === page.toldTag) return;
  page.toldTag = tag;
  if (page.isDirty) { report(note("warn", "It was changed meanwhile", "What you typed is still here; reload the page to see what is there now.")); return; }
  Object.assign(page, { manifest: data, tag });
  fillForm();
  report(note("info", "Changed on disk", "This page shows it as it is now."));
}

async function poll() {
  if (!document.hidden && at("save").getAttribute("aria-busy") !== "true") await follow().catch(() => {});
  if (!document.hidden) await showLedger().catch((error) => { at("fresh").textContent = error.status === 401 ? "Your session has ended." : "The control plane does not answer."; });
  setTimeout(poll, LEDGER_MS);
}

async function begin() {
  try {
    await load(new URLSearchParams(location.search).get("name"));
  } catch (error) {
    if (error.status !== 404) { at("loading").replaceChildren(note("bad", error.message)); return; }
    await load(null);
  }
  page.isStored = SIGNALS.some((signal) => page.manifest[EXPORTERS[signal]]);
  at("loading").hidden = true;
  at("loaded").hidden = false;
  if (isViewer) for (const control of all("input, select, textarea, button", form)) control.disabled = control.id !== "destination";
  await showNames().catch(tellFailure);
  setTimeout(poll, LEDGER_MS);
}

form.addEventListener("submit", (event) => { event.preventDefault(); run(at("save"), save); });
form.addEventListener("input", (event) => {
  if (event.target.id !== "destination" && event.target.id !== "preset") page.isDirty = true;
  fitForm();
});
at("test").addEventListener("click", () => run(at("test"), test));
at("preset").addEventListener("change", (event) => usePreset(event.target.value));
at("metrics-copy").addEventListener("click", copyFromTraces);
for (const button of all("[data-add]")) button.addEventListener("click", () => addPair(at(button.dataset.add)).querySelector("input").focus());
at("destination").addEventListener("change", async (event) => {
  const chosen = event.target.value;
  if (page.isDirty && !await confirmed({ title: "Leave what you typed?", text: "It is not saved, and is gone when another destination is shown.", action: "Leave it" })) {
    event.target.value = page.isNew ? NEW : page.manifest.name || "default";
    return;
  }
  report();
  show(chosen);
  load(chosen).then(() => { page.isStored = !page.isNew; }, tellFailure);
});
keepTyped(() => page.isDirty && !isViewer);
begin();
