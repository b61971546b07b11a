// Provider accounts with their models, and virtual models with their targets; how each target does, kept up to date.

import { get } from "./api.js";
import { at, badge, empty, icon, make, repeat } from "./dom.js";
import { percent } from "./format.js";
import { targetBadge, watchTargets } from "./health.js";
import { labelOf, typeLabel } from "./schema.js";
import { toastError } from "./toast.js";

const page = at("models");
const isAdmin = page.dataset.admin === "true";
const isVirtual = page.dataset.kind === "virtual";
const VIRTUAL = "provider-account/virtual-model";
const TITLES = JSON.parse(page.dataset.titles);
const NOT_MODELS = new Set(JSON.parse(page.dataset.others));
const LOOK_MS = 1500;
let shown = "";

const edit = (one) => `/models/edit?type=${encodeURIComponent(one.type)}&name=${encodeURIComponent(one.name)}`;
/** A link that opens the playground with a model chosen. */
const tryIt = (name) => make("a", { className: "button small quiet", href: `/playground?model=${encodeURIComponent(name)}`, "aria-label": `Try ${name} in the playground` }, icon("playground", "small"), "Try");
const isChat = (model) => !model.model_types?.length || model.model_types.includes("chat");
const array = (value) => (Array.isArray(value) ? value.filter((one) => one && typeof one === "object") : []);

function head(one, ...more) {
  return make("div", { className: "card-head" },
    make("div", { className: "row" }, icon(isVirtual ? "route" : "server"), make("h2", { className: "anywhere", textContent: one.name }), badge("", TITLES[one.type] ?? typeLabel(one.type)), ...more),
    make("a", { className: "button small", href: edit(one), "aria-label": `${isAdmin ? "Edit" : "Look at"} ${one.name}` }, icon(isAdmin ? "edit" : "eye", "small"), isAdmin ? "Edit" : "Look"));
}

function scrolled(label, columns, rows) {
  return make("div", { className: "table-scroll", tabIndex: 0, role: "region", "aria-label": label }, make("table", { className: "data" },
    make("thead", {}, make("tr", {}, ...columns.map((name) => (name ? make("th", { scope: "col", textContent: name }) : make("td"))))), make("tbody", {}, ...rows)));
}

function account(one) {
  const rows = array(one.manifest.integrations).map((model) => make("tr", {},
    make("th", { scope: "row" }, make("code", { textContent: `${one.name}/${model.name}` })),
    make("td", { className: "anywhere", textContent: model.model_id || model.hosted_model_name || model.deployment_name || "" }),
    make("td", {}, make("div", { className: "badges" }, ...(model.model_types || []).map((type) => badge("info", labelOf(String(type)))))),
    make("td", {}, targetBadge(`${one.name}/${model.name}`)),
    make("td", { className: "number" }, isChat(model) ? tryIt(`${one.name}/${model.name}`) : null)));
  return make("section", { className: "card", "aria-label": one.name }, head(one, keyBadge(one.manifest.auth_data)),
    rows.length ? scrolled(`Models of ${one.name}`, ["Model", "Provider's name", "Can do", "Now", ""], rows) : make("div", { className: "card-body" }, make("p", { className: "soft", textContent: "No models yet: edit the account and add one." })));
}

/** Where the account's key is, without the key. */
function keyBadge(auth) {
  const values = Object.values(auth || {}).filter((value) => typeof value === "string");
  if (values.includes("***")) return badge("warn", "key in the manifest");
  if (values.some((value) => value.startsWith("file:"))) return badge("", "key from a file");
  return values.some((value) => value.startsWith("env:")) ? badge("", "key from the environment") : null;
}

function virtual(one) {
  const cards = array(one.manifest.integrations).map((model) => {
    const routing = model.routing_config || {};
    const targets = array(routing.load_balance_targets);
    const sum = targets.reduce((total, target) => total + (Number(target.weight) || 0), 0);
    const rows = targets.map((target, index) => make("tr", {},
      make("td", { className: "soft", textContent: String(index + 1) }),
      make("th", { scope: "row" }, make("code", { textContent: String(target.target) })),
      make("td", {}, target.weight !== undefined ? percent(sum ? target.weight / sum : 0, 0) : target.priority !== undefined ? `priority ${target.priority}` : target.tier ? labelOf(String(target.tier)) : ""),
      make("td", {}, target.fallback_candidate === false ? badge("", "no fallback") : ""),
      make("td", {}, targetBadge(String(target.target)))));
    const names = [model.slug, ...(Array.isArray(model.alias) ? model.alias : [])].filter(Boolean).join(", ");
    return make("div", { className: "card-body stack-s" },
      make("div", { className: "row" }, make("h3", {}, make("code", { textContent: `${one.name}/${model.name}` })), badge("accent", labelOf(String(routing.type || "").replace("-based-routing", ""))), names ? make("span", { className: "soft anywhere grow", textContent: `also ${names}` }) : make("span", { className: "grow" }), isChat(model) ? tryIt(`${one.name}/${model.name}`) : null),
      scrolled(`Targets of ${one.name}/${model.name}`, ["#", "Target", "Share or order", "", "Now"], rows));
  });
  return make("section", { className: "card", "aria-label": one.name }, head(one), ...(cards.length ? cards : [make("div", { className: "card-body" }, make("p", { className: "soft", textContent: "No virtual models yet: edit the group and add one." }))]));
}

function nothing() {
  const add = (href, text) => (isAdmin ? make("a", { className: "button main", href }, text) : "An admin can add one.");
  return isVirtual
    ? empty("route", "One name, several models", "A virtual model is a name that applications use. You decide which models stand behind it, with what share, and who answers when one fails.", add(`/models/edit?type=${encodeURIComponent(VIRTUAL)}`, "Add a virtual model"))
    : empty("model", "Connect the first provider", "An account says where models are and with what key. Its models can be called at once, and by every application that may.", add("/models/new", "Add an account"));
}

async function look() {
  const { manifests, why_not: why } = await get("/api/manifests");
  at("read-only").textContent = why ? `Read-only here: ${why}.` : "";
  at("read-only").hidden = !why;
  const found = manifests.filter((one) => one.type.startsWith("provider-account/") && !NOT_MODELS.has(one.type) && (one.type === VIRTUAL) === isVirtual);
  const text = JSON.stringify(found);
  if (text !== shown) {
    shown = text;
    at("list").replaceChildren(...(found.length ? found.map(isVirtual ? virtual : account) : [nothing()]));
  }
  page.removeAttribute("aria-busy");
}

watchTargets().catch(() => {}).finally(() => look().catch(toastError).finally(() => repeat(look, LOOK_MS)));
