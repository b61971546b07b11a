// Provider accounts with their models, and virtual models with their targets; how each target does, kept up to date.

import { get } from "./api.js";
import { at, badge, empty, icon, make, repeat } from "./dom.js";
import { asText, percent } from "./format.js";
import { targetBadge, watchTargets } from "./health.js";
import { isObject, labelOf, typeLabel } from "./schema.js";
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
// What stands in a file may be of any shape: one slip must not hide all other models.
const several = (value) => (Array.isArray(value) ? value : []);
const array = (value) => several(value).filter(isObject);
const isChat = (model) => !several(model.model_types).length || model.model_types.includes("chat");
const nameOf = (one, model) => `${one.name}/${asText(model.name)}`;

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
    make("th", { scope: "row" }, make("code", { textContent: nameOf(one, model) })),
    make("td", { className: "anywhere", textContent: asText(model.model_id || model.hosted_model_name || model.deployment_name) }),
    make("td", {}, make("div", { className: "badges" }, ...several(model.model_types).map((type) => badge("info", labelOf(asText(type)))))),
    make("td", {}, targetBadge(nameOf(one, model))),
    make("td", { className: "number" }, isChat(model) ? tryIt(nameOf(one, model)) : null)));
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

const weightOf = (target) => (typeof target.weight === "object" ? 0 : Number(target.weight) || 0);

function virtual(one) {
  const cards = array(one.manifest.integrations).map((model) => {
    const routing = isObject(model.routing_config) ? model.routing_config : {};
    const targets = array(routing.load_balance_targets);
    const sum = targets.reduce((total, target) => total + weightOf(target), 0);
    const rows = targets.map((target, index) => make("tr", {},
      make("td", { className: "soft", textContent: String(index + 1) }),
      make("th", { scope: "row" }, make("code", { textContent: asText(target.target) })),
      make("td", {}, target.weight !== undefined ? percent(sum ? weightOf(target) / sum : 0, 0) : target.priority !== undefined ? `priority ${asText(target.priority)}` : target.tier ? labelOf(asText(target.tier)) : ""),
      make("td", {}, target.fallback_candidate === false ? badge("", "no fallback") : ""),
      make("td", {}, targetBadge(asText(target.target)))));
    const names = [model.slug, ...several(model.alias)].filter(Boolean).map(asText).join(", ");
    return make("div", { className: "card-body stack-s" },
      make("div", { className: "row" }, make("h3", {}, make("code", { textContent: nameOf(one, model) })), badge("accent", labelOf(asText(routing.type).replace("-based-routing", ""))), names ? make("span", { className: "soft anywhere grow", textContent: `also ${names}` }) : make("span", { className: "grow" }), isChat(model) ? tryIt(nameOf(one, model)) : null),
      scrolled(`Targets of ${nameOf(one, model)}`, ["#", "Target", "Share or order", "", "Now"], rows));
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
