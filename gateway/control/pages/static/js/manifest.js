// One manifest as a form and as YAML, side by side. Either is changed, the other follows, and both are checked by the
// server as one types. What is saved is what the YAML says; who was first to change it is told to who is second.

import { ago } from "./ago.js";
import { ask, get, keepTyped } from "./api.js";
import { all, at, busy, debounce, empty, icon, make, note, repeat } from "./dom.js";
import { confirmed } from "./dialog.js";
import { Form } from "./form.js";
import { duration, since } from "./format.js";
import { targetNames, watchTargets } from "./health.js";
import { routingPart } from "./routing.js";
import { Schema } from "./schema.js";
import { toast, toastError } from "./toast.js";
import { YamlEditor } from "./yaml_editor.js";

const page = at("editor");
const data = JSON.parse(page.dataset.editor);
const isReadOnly = page.dataset.admin !== "true";
// The same after a reload, so that one's own earlier page is not taken for somebody else.
const me = sessionStorage.getItem("editor") || `${Date.now()}-${Math.random()}`;
sessionStorage.setItem("editor", me);
const CHECK_MS = 250;
const LOOK_MS = 1500;
const FORCE_MS = 15000;
const WHO = { "manifest.saved": "saved", "manifest.changed": "changed on disk", "manifest.created": "created on disk" };

const state = { name: data.name, etag: null, saved: "", check: null, isStale: false, isTouched: false, isFixed: false };
let form = null;
const yaml = new YamlEditor(at("yaml"), { changed: () => { state.isTouched = true; touch(); check({ yaml: yaml.text }); } });

const path = (name) => `/api/manifests/${data.type}/${encodeURIComponent(name)}`;
const isChanged = () => yaml.text !== state.saved;

function touch() {
  at("save").disabled = isReadOnly || state.isFixed || !isChanged();
  at("undo").hidden = !isChanged() || !state.name;
}

// What was asked and has no answer yet. While it is of the form, the YAML does not say what was typed there.
let pending = null;

// The question that has been asked: Save does not wait for the moment when it would be, and that moment asks no other.
let underWay = { asked: null, ended: null };

function checkNow() {
  if (pending && pending !== underWay.asked) underWay = { asked: pending, ended: askOf(pending) };
  return underWay.ended;
}

async function askOf(asked) {
  state.check?.abort();
  state.check = new AbortController();
  try {
    const { data: found } = await ask("POST", "/api/manifests/validate", { type: data.type, name: state.name, ...asked }, { signal: state.check.signal });
    if (pending !== asked) return;
    pending = null;
    show(found, asked.manifest === undefined);
  } catch (error) {
    if (underWay.asked === asked) underWay.asked = null;
    // Many check at once: what was asked last is asked again.
    if (error.code === "busy") checkSoon();
    else if (error.name !== "AbortError") toastError(error);
  }
}

const checkSoon = debounce(checkNow, CHECK_MS);

/** Ask what the server says of the text, or of the fields of the form with the text that it changes. */
function check(asked) {
  // An answer that is under way is about what was there before, and would be written over what was typed.
  state.check?.abort();
  at("verdict").textContent = "Checking ...";
  pending = asked;
  checkSoon();
}

/** Whether the YAML says what the form does; asks now where that is still to come. */
async function followed() {
  if (pending?.manifest) await checkNow();
  if (!pending?.manifest) return true;
  toast("warn", "Not yet", "The YAML does not follow the form yet: try again in a moment.");
  return false;
}

function show(found, isOfText) {
  yaml.text = found.yaml;
  touch();
  if (found.manifest) showModels(found.manifest);
  // What was said of other files before is theirs to tell; what keeps this one from being saved is told here.
  const elsewhere = found.elsewhere.filter((one) => one.severity === "error");
  yaml.mark(found.problems, elsewhere);
  if (form) {
    if (isOfText && found.manifest && !form.shows(found.manifest)) form.show(found.manifest);
    form.mark(found.problems);
    at("form-note").replaceChildren(...(found.manifest ? [] : [note("warn", "The form waits", "The YAML cannot be read as it is; the form follows when it can.")]));
  }
  const errors = [...found.problems, ...elsewhere].filter((one) => one.severity === "error").length;
  const warnings = found.problems.length + elsewhere.length - errors;
  at("verdict").className = errors ? "error" : "soft";
  at("verdict").textContent = errors ? `${errors} ${errors === 1 ? "error" : "errors"}` : warnings ? `Valid, ${warnings} ${warnings === 1 ? "warning" : "warnings"}` : "Valid";
}

function byWhom(changed) {
  const by = changed.by?.operator || changed.by?.address || changed.by?.owner || "somebody";
  return `${WHO[changed.action] || changed.action} by ${by}`;
}

const who = (changed) => `${byWhom(changed)} ${since(changed.at)}`;

function take(one) {
  state.name = one.name;
  state.etag = one.etag;
  state.saved = one.yaml;
  yaml.text = one.yaml;
  at("file").textContent = one.file ? `${one.file}:${one.line}` : "";
  at("changed").replaceChildren(...(one.changed ? [`${byWhom(one.changed)} `, ago(one.changed.at)] : []));
  at("delete").hidden = isReadOnly;
  at("notes").replaceChildren();
  state.isStale = false;
  state.isTouched = false;
  touch();
}

async function load() {
  const one = await get(path(state.name));
  state.isFixed = Boolean(one.why_not);
  take(one);
  if (state.isFixed) notWritable(one.why_not);
  form?.show(structuredClone(one.manifest));
  check({ yaml: one.yaml });
}

/** The page is about *name* from now on. */
function showName(name) {
  for (const element of [document.querySelector("h1"), document.querySelector(".crumbs [aria-current]")]) element.textContent = name;
  document.title = `${name} · Gateway`;
}

function notWritable(why) {
  at("notes").replaceChildren(note("warn", "Nothing can be saved here", why));
  at("save").disabled = true;
}

async function save({ over = false } = {}) {
  if (!await followed()) return;
  const headers = { "Content-Type": "application/yaml" };
  if (state.etag && !over) headers["If-Match"] = `"${state.etag}"`;
  if (!state.etag) headers["If-None-Match"] = "*";
  const named = form?.body?.name ?? "default";
  try {
    const { data: saved } = await ask("PUT", path(state.name ?? named), yaml.text, { headers });
    const isNew = state.name !== saved.name;
    take({ ...saved, changed: null });
    form?.show(structuredClone(saved.manifest));
    if (isNew) showName(saved.name);
    if (isNew) history.replaceState(null, "", `${location.pathname}?type=${encodeURIComponent(data.type)}&name=${encodeURIComponent(saved.name)}`);
    toast("good", "Saved", saved.file);
    await inForce(saved.version);
  } catch (error) {
    if (error.code === "changed_meanwhile" && !state.name) taken(named);
    else if (error.code === "changed_meanwhile") conflict(error);
    else if (error.code === "not_writable") notWritable(error.message);
    else if (error.code === "invalid_manifest") { toast("bad", "Not saved", "Mend what is marked first."); check({ yaml: yaml.text }); }
    else toastError(error);
  }
}

/** Wait until every worker has *version*, and say so. */
async function inForce(version) {
  const until = Date.now() + FORCE_MS;
  at("verdict").textContent = "Going into force ...";
  while (Date.now() < until) {
    const config = await get("/api/config");
    // What is in force may be this one with secrets that were read again since.
    const has = (one) => one.version.split("+")[0] === version;
    const workers = config.workers.filter(has).length;
    if (has(config) && workers === config.workers.length) {
      at("verdict").className = "good-text";
      at("verdict").textContent = workers ? `In force on ${workers} ${workers === 1 ? "worker" : "workers"}` : "In force";
      return;
    }
    if (config.last_rejected) break;
    await new Promise((done) => { setTimeout(done, 300); });
  }
  at("verdict").textContent = "Saved, not in force yet: see Configuration > History";
}

/** A new one may not take the place of another, whoever made that and when. */
function taken(name) {
  const there = `${location.pathname}?type=${encodeURIComponent(data.type)}&name=${encodeURIComponent(name)}`;
  at("notes").replaceChildren(note("bad", `There is one called ${name} already`, "Give this one another name, or change that one. What you typed is still here."),
    make("div", { className: "row" }, make("a", { className: "button", href: there, target: "_blank", textContent: `Open ${name}` })));
  at("notes").scrollIntoView({ block: "nearest" });
}

function conflict(error) {
  // It is told here, with more to choose from than when it is only seen.
  state.isStale = true;
  const { now, changed } = error.details || {};
  const buttons = make("div", { className: "row" },
    make("button", { type: "button", textContent: "Load theirs", onclick: () => (now ? load() : location.assign(data.back)) }),
    make("button", { type: "button", className: "danger", textContent: "Save mine over it", onclick: () => { state.etag = now ? now.etag : null; save(); } }));
  const box = note("bad", "Somebody else was first", changed ? `It was ${who(changed)}.` : "It was changed meanwhile.", now ? "" : "It is no more.");
  at("notes").replaceChildren(box, buttons);
  at("notes").scrollIntoView({ block: "nearest" });
}

/** Look who else is here, and whether what is on disk is what was loaded. */
async function look() {
  if (document.hidden) return;
  const asked = { type: data.type, name: state.name || "", editor: me };
  const { data: found } = await ask("POST", "/api/manifests/editing", asked);
  at("others").replaceChildren(...(found.others.length ? [icon("users", "small"), `${found.others.join(", ")} ${found.others.length === 1 ? "has" : "have"} it open too`] : []));
  if (!state.name || state.isStale || found.etag === state.etag) return;
  // One that cannot be loaded now is loaded at the next look.
  if (found.etag && !isChanged() && !pending?.manifest) { await load(); toast("", "Changed on disk", "This page shows it as it is now."); return; }
  state.isStale = true;
  at("notes").replaceChildren(note("warn", found.etag ? "It was changed meanwhile" : "It was deleted meanwhile", `${found.changed ? `It was ${who(found.changed)}. ` : ""}What you typed is still here.`),
    make("div", { className: "row" }, make("button", { type: "button", textContent: "Load it as it is", onclick: () => (found.etag ? load() : location.assign(data.back)) })));
}

/** The same for who may only look: whoever is here does not need to know of them. */
async function follow() {
  if (document.hidden || !state.name) return;
  const one = await get(path(state.name));
  if (one.etag !== state.etag) await load();
}

async function remove() {
  const isSure = await confirmed({ title: `Delete ${state.name}?`, text: "It is taken out of its file, and is in force without it in two seconds. Configuration > History can bring it back.", action: "Delete", danger: true });
  if (!isSure) return;
  try {
    await ask("DELETE", path(state.name), undefined, { headers: { "If-Match": `"${state.etag}"` } });
    state.saved = yaml.text;
    location.assign(data.back);
  } catch (error) {
    if (error.code === "changed_meanwhile") conflict(error);
    else toastError(error);
  }
}

// A call of one of the account's models, as the page has it.

/** Offer the models that the YAML has now. */
function showModels(manifest) {
  const choice = document.getElementById("test-model");
  if (!choice) return;
  const models = Array.isArray(manifest?.integrations) ? manifest.integrations.map((one) => one?.name).filter((name) => name && typeof name === "string") : [];
  const chosen = choice.value;
  choice.replaceChildren(...models.map((name) => make("option", { value: name, textContent: name })));
  if (models.includes(chosen)) choice.value = chosen;
  choice.hidden = models.length < 2;
  at("test").disabled = !models.length;
}

async function test() {
  if (!await followed()) return;
  const model = at("test-model").value;
  at("tested").replaceChildren(note("", `Calling ${model} ...`));
  at("tested").scrollIntoView({ block: "nearest" });
  try {
    const { data: found } = await ask("POST", "/api/models/test", { type: data.type, name: state.name, yaml: yaml.text, model });
    const took = `${found.model}: ${found.ok ? "it works" : "it failed"}, ${duration(found.latency_ms)}`;
    at("tested").replaceChildren(note(found.ok ? "good" : "bad", took, found.what, found.answer ? `It said: ${found.answer}` : "", found.advice,
      found.ok && isChanged() ? "This is not saved yet." : ""));
  } catch (error) {
    at("tested").replaceChildren(...(error.problems?.length ? error.problems.map((one) => note("bad", `${one.path}: ${one.message}`, one.fix)) : [note("bad", "It cannot be tested", error.message)]));
  }
  at("tested").scrollIntoView({ block: "nearest" });
}

/** Names that fields may have, as the browser suggests them. */
function suggest(lists) {
  for (const [field, values] of Object.entries(lists)) {
    document.getElementById(`list-${field}`)?.remove();
    document.body.append(make("datalist", { id: `list-${field}` }, ...[...new Set(values)].map((value) => make("option", { value }))));
  }
}

function views() {
  for (const button of all("#views button")) {
    button.addEventListener("click", () => {
      page.dataset.view = button.dataset.view;
      for (const one of all("#views button")) one.setAttribute("aria-pressed", String(one === button));
    });
  }
}

async function start() {
  views();
  yaml.isReadOnly = isReadOnly;
  let schema = null;
  try {
    if (data.has_schema) schema = new Schema(await get(`/api/schema/${data.type}`));
    if (schema) {
      const suggestions = { target: ["x"] };
      form = new Form(at("form"), schema, { isReadOnly, suggestions, parts: { "integrations.*.routing_config": routingPart },
        changed: () => { state.isTouched = true; check({ yaml: yaml.text, manifest: form.body }); } });
    }
    await watchTargets().catch(() => {});
    suggest({ target: targetNames() });
    if (state.name) {
      await load();
    } else {
      const body = data.template || (schema ? schema.fresh(schema.root) : { type: data.type, name: "" });
      form?.show(body);
      check({ yaml: "", manifest: body });
      // Nobody should write a whole manifest to learn that it cannot be kept.
      get("/api/manifests").then(({ why_not: why }) => { if (why) { state.isFixed = true; notWritable(why); } }).catch(() => {});
    }
  } catch (error) {
    if (error.status !== 404) throw error;
    page.replaceChildren(empty("search", "There is no such manifest", make("p", {}, "It may have been deleted or renamed."), make("a", { className: "button", href: data.back, textContent: "Back" })));
    return;
  }
  page.removeAttribute("aria-busy");
  const looks = isReadOnly ? follow : look;
  looks().catch(() => {}).finally(() => repeat(looks, LOOK_MS));
}

at("save").addEventListener("click", () => busy(at("save"), save));
document.getElementById("test")?.addEventListener("click", () => busy(at("test"), test));
at("undo").addEventListener("click", () => load().catch(toastError));
at("delete").addEventListener("click", remove);
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "s") { event.preventDefault(); if (!at("save").disabled) at("save").click(); }
});
keepTyped(() => state.isTouched && (isChanged() || pending?.manifest) && !isReadOnly);
start().catch(toastError);
