// The settings page of a telemetry destination: form <-> manifest, test, and the ledger as it changes.
// Text reaches the page through textContent and value only, so nothing that is shown can become markup.
import { ask } from "./api.js";
import { at, make, note as tell } from "./dom.js";

const LEDGER_MS = 2000;
const IN_FORCE_MS = 6000;
const NEW = "\u0000new";
// Destinations without a manifest: the local store, and what OTEL_* variables describe.
const NOT_MANIFESTS = ["local", "environment"];
const EXPORTER = "otel_traces_exporter_config";
const ELASTIC_ENDPOINT = "https://<project>.ingest.<region>.<provider>.elastic.cloud/v1/traces";

const page = { manifest: null, tag: null, isNew: false, isDirty: false, isPolling: false };

// The form.

function addPair(list, what, name = "", value = "") {
  const number = list.children.length + 1;
  const nameInput = make("input", { value: name, placeholder: "name", spellcheck: false });
  const valueInput = make("input", { value, placeholder: "value", spellcheck: false, autocomplete: "off" });
  if (value === "***") {
    valueInput.type = "password";
    valueInput.addEventListener("focus", () => valueInput.select());
  }
  nameInput.setAttribute("aria-label", `${what} ${number} name`);
  valueInput.setAttribute("aria-label", `${what} ${number} value`);
  const remove = make("button", { type: "button", textContent: "Remove" });
  remove.setAttribute("aria-label", `Remove ${what.toLowerCase()} ${number}`);
  const pair = make("div", { className: "pair" }, nameInput, valueInput, remove);
  remove.addEventListener("click", () => { pair.remove(); page.isDirty = true; });
  list.append(pair);
  return pair;
}

function showPairs(list, what, pairs) {
  list.replaceChildren();
  for (const [name, value] of Object.entries(pairs || {})) addPair(list, what, name, String(value));
}

function readPairs(list) {
  const pairs = {};
  for (const pair of list.children) {
    const [name, value] = pair.querySelectorAll("input");
    if (name.value.trim()) pairs[name.value.trim()] = value.value.trim();
  }
  return pairs;
}

function fillForm() {
  const exporter = page.manifest[EXPORTER] || {};
  at("enabled").checked = Boolean(page.manifest[EXPORTER]);
  at("name").value = page.manifest.name || "default";
  at("type").value = exporter.type || "http";
  at("encoding").value = exporter.encoding || "proto";
  at("endpoint").value = exporter.endpoint || "";
  showPairs(at("headers"), "Header", exporter.headers);
  showPairs(at("attributes"), "Attribute", exporter.additional_resource_attributes);
  page.isDirty = false;
  fitForm();
}

function fitForm() {
  at("exporter").hidden = !at("enabled").checked;
  at("encoding-cell").hidden = at("type").value === "grpc";
  at("name-row").hidden = !page.isNew;
}

// What the page does not show (sampling, certificates, metrics, ...) stays as it is in the manifest.
function readForm() {
  const manifest = { ...page.manifest };
  if (page.isNew) manifest.name = at("name").value.trim();
  if (!at("enabled").checked) {
    delete manifest[EXPORTER];
    return manifest;
  }
  const exporter = { ...(manifest[EXPORTER] || {}) };
  const type = at("type").value;
  Object.assign(exporter, { type, endpoint: at("endpoint").value.trim() });
  if (type === "http") exporter.encoding = at("encoding").value;
  else delete exporter.encoding;
  setOrDelete(exporter, "headers", readPairs(at("headers")));
  setOrDelete(exporter, "additional_resource_attributes", readPairs(at("attributes")));
  manifest[EXPORTER] = exporter;
  return manifest;
}

function setOrDelete(holder, key, pairs) {
  if (Object.keys(pairs).length) holder[key] = pairs;
  else delete holder[key];
}

function fillElastic() {
  at("enabled").checked = true;
  at("type").value = "http";
  at("encoding").value = "proto";
  if (!at("endpoint").value.trim()) at("endpoint").value = ELASTIC_ENDPOINT;
  const names = Object.keys(readPairs(at("headers"))).map((name) => name.toLowerCase());
  if (!names.includes("authorization")) addPair(at("headers"), "Header", "Authorization", "ApiKey ");
  const attributes = readPairs(at("attributes"));
  if (!("deployment.environment.name" in attributes)) {
    addPair(at("attributes"), "Attribute", "deployment.environment.name", "production");
  }
  page.isDirty = true;
  fitForm();
  at("endpoint").focus();
  at("endpoint").select();
}

// What is told.

function report(...notes) { at("result").replaceChildren(...notes); }

function tellProblem(problem) {
  return tell(problem.severity === "warning" ? "warn" : "bad", `${problem.path}: ${problem.message}`, problem.fix);
}

function tellFailure(error) {
  const title = error.status === 412 ? "Somebody else changed it meanwhile" : error.message;
  const advice = error.status === 412 ? "Reload the page, and make your change again." : "";
  report(...(error.problems && error.problems.length ? error.problems.map(tellProblem) : [tell("bad", title, advice)]));
}

async function busy(button, action) {
  button.disabled = true;
  try { await action(); } catch (error) { tellFailure(error); } finally { button.disabled = false; }
}

// What the buttons do.

async function load(name) {
  page.isNew = name === NEW;
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

async function save() {
  const manifest = readForm();
  const headers = page.tag ? { "If-Match": page.tag } : {};
  const query = page.isNew || !page.tag || !page.isStored ? "" : `?name=${encodeURIComponent(page.manifest.name || "default")}`;
  report(tell("", "Saving ..."));
  const { data, tag } = await ask("PUT", `/api/config/otel${query}`, manifest, headers);
  Object.assign(page, { manifest: data.manifest, tag, isNew: false, isStored: true });
  fillForm();
  at("file").textContent = `in ${data.file}`;
  const isInForce = await waitInForce(data.version);
  const saved = isInForce
    ? tell("good", "Saved and in force")
    : tell("warn", "Saved, not in force yet", "See GET /api/config: the gateway may have refused the configuration.");
  report(saved, ...data.warnings.map(tellProblem));
  await showNames();
}

async function waitInForce(version) {
  const end = Date.now() + IN_FORCE_MS;
  while (Date.now() < end) {
    const { data } = await ask("GET", "/api/config");
    if (data.version.split("+")[0] === version) return true;
    await new Promise((done) => setTimeout(done, 200));
  }
  return false;
}

async function test() {
  report(tell("", "Sending one span ..."));
  const name = page.manifest.name || "default";
  const { data } = await ask("POST", "/api/telemetry/test", page.isNew ? {} : { destination: name });
  const notes = data.results.map((result) => {
    const took = result.latency_ms === null ? "" : ` in ${result.latency_ms} ms`;
    return tell(result.ok ? "good" : "bad", `${result.destination} (${result.signal}): ${result.ok ? "ok" : "failed"}${took}`, result.what, result.advice);
  });
  if (!notes.length) notes.push(tell("warn", "There is nothing to test", "Enable the exporter and save first."));
  if (page.isDirty) notes.unshift(tell("warn", "This tested what is saved, not your changes"));
  report(...notes);
}

// The ledger, and the destinations to choose from.

const COUNTS = ["created", "exported", "rejected", "filtered_out", "sampled_out", "dropped", "queued", "in_flight", "spooled"];

function count(ledger, name) {
  const value = ledger[name];
  return value !== null && typeof value === "object" ? value.total : value;
}

function ledgerRow(entry) {
  const state = make("td", { textContent: entry.state, className: `state-${entry.state}` });
  const name = make("th", { textContent: `${entry.name}${entry.signal === "traces" ? "" : ` (${entry.signal})`}`, title: entry.endpoint });
  name.scope = "row";
  const cells = COUNTS.map((key) => make("td", { textContent: (count(entry.ledger, key) ?? 0).toLocaleString() }));
  const last = entry.last_success_at ? new Date(entry.last_success_at).toLocaleTimeString() : "never";
  return make("tr", {}, name, state, ...cells, make("td", { textContent: last }));
}

async function showLedger() {
  const { data } = await ask("GET", "/api/telemetry");
  at("rows").replaceChildren(...data.destinations.map(ledgerRow));
  at("errors").replaceChildren(...data.destinations
    .filter((entry) => entry.last_error && entry.state !== "ok")
    .map((entry) => tell("bad", `${entry.name}: ${entry.last_error.message}`, entry.last_error.advice)));
  at("fresh").textContent = `As of ${new Date().toLocaleTimeString()}.`;
  return data.destinations;
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
  at("choice").hidden = !names.size;
}

async function poll() {
  if (!document.hidden && !at("settings").hidden) await showLedger().catch(() => {
    at("fresh").textContent = "The control plane does not answer.";
  });
  setTimeout(poll, LEDGER_MS);
}

async function begin() {
  try {
    await load(null);
    page.isStored = Boolean(page.manifest[EXPORTER] || page.manifest.otel_metrics_exporter_config);
    at("settings").hidden = false;
    at("ledger").hidden = false;
    await showNames();
    if (!page.isPolling) { page.isPolling = true; setTimeout(poll, LEDGER_MS); }
  } catch (error) {
    if (error.status !== 401) { at("settings").hidden = false; tellFailure(error); }
  }
}

at("settings").addEventListener("submit", (event) => { event.preventDefault(); busy(at("save"), save); });
at("settings").addEventListener("input", () => { page.isDirty = true; fitForm(); });
at("test").addEventListener("click", () => busy(at("test"), test));
at("elastic").addEventListener("click", fillElastic);
at("add-header").addEventListener("click", () => addPair(at("headers"), "Header").querySelector("input").focus());
at("add-attribute").addEventListener("click", () => addPair(at("attributes"), "Attribute").querySelector("input").focus());
at("destination").addEventListener("change", (event) => {
  report();
  load(event.target.value).then(() => { page.isStored = !page.isNew; }, tellFailure);
});
begin();
