// Lists of the manifests of one page: rules with whom and what they are about, and how much of each is used now.

import { get } from "./api.js";
import { at, badge, empty, icon, make, repeat } from "./dom.js";
import { asText, number, percent, since, usd } from "./format.js";
import { isObject, labelOf } from "./schema.js";
import { toastError } from "./toast.js";

const page = at("manifests");
const data = JSON.parse(page.dataset.section);
const isAdmin = page.dataset.admin === "true";
const LOOK_MS = 1500;
const USAGE_MS = 5000;
const NEARLY = 75;
const MANY = 6;
let shown = "";
let hasRules = false;

const edit = (type, name) => `${data.path}/edit?type=${encodeURIComponent(type)}${name === undefined ? "" : `&name=${encodeURIComponent(name)}`}`;
// What stands in a file may be of any shape: one slip must not hide all other manifests.
const several = (value) => (Array.isArray(value) ? value : value === undefined || value === null || value === "" ? [] : [value]);
const list = (values) => several(values).map(asText).filter(Boolean).join(", ");
const entries = (value) => (isObject(value) ? Object.entries(value) : []);
const pairs = (object) => entries(object).map(([key, value]) => `${key}=${asText(value)}`).join(", ");

function filter(value) {
  if (Array.isArray(value)) return list(value);
  if (!value) return "";
  return [list(value.in), list(value.not_in) ? `not ${list(value.not_in)}` : ""].filter(Boolean).join(", ");
}

function subjects(value) {
  if (!value || Array.isArray(value) || value.in || value.not_in) return filter(value);
  return ["users", "teams", "virtual_accounts"].map((kind) => (value[kind] ? `${labelOf(kind).toLowerCase()}: ${filter(value[kind])}` : "")).filter(Boolean).join("; ");
}

const each = (name) => (name === "virtualaccount" ? "virtual account" : name);
const isNumber = (value) => value === undefined || value === null || (typeof value !== "object" && !Number.isNaN(Number(value)));
const amount = (value, unit) => (!isNumber(value) ? asText(value) : unit.startsWith("cost") ? usd(value) : number(value));
const limit = (value, unit) => `${amount(value, unit)} ${labelOf(unit).toLowerCase().replace(/^cost /, "")}`;

/** Conditions on metadata: a value each, or lists of the newer rules. */
const tagged = (object) => entries(object).map(([key, value]) => `metadata ${key}: ${value && typeof value === "object" ? filter(value) : asText(value)}`).join("; ");
const joined = (...parts) => parts.filter(Boolean).join("; ");

/** Whether prompts and replies are recorded, of global settings. */
function recorded(settings) {
  if (settings?.type === "always") return "Recorded";
  if (settings?.type !== "header_controlled") return "Not recorded";
  return settings.log_body_by_default ? "Recorded unless callers say no" : "Recorded where callers ask for it";
}

/** What a caller may use: patterns of models, and permissions for accounts and models; else what others say of it. A binding gives nothing else. */
const reach = (one) => list([...(Array.isArray(one.models) ? one.models : []),
  ...several(one.permissions).filter((each) => each?.resource_fqn || each?.resourceFqn).map(permission)]) || (one.subjects ? "" : "What is shared with it");

/** Its role may be left out, and is then the usual one. */
function permission(one) {
  const role = one.role_id || one.role;
  return `${asText(one.resource_fqn || one.resourceFqn)}${role ? ` (${asText(role)})` : ""}`;
}

/** What each line of the table says of a manifest: one for each of its rules, or one alone. */
function lines(manifest, isOfRules) {
  const rules = isOfRules && Array.isArray(manifest.rules) ? manifest.rules : [manifest];
  return rules.filter(isObject).map((rule) => {
    const when = rule.when || {};
    const accounts = filter(when.provider_accounts);
    const per = rule.rate_limit_applies_per || rule.budget_applies_per || (rule.applies_to ? rule.applies_to.metadata ? `metadata.${asText(rule.applies_to.metadata)}` : rule.applies_to.type : []);
    const limits = isObject(rule.limits) ? entries(rule.limits).map(([unit, value]) => limit(value, unit)).join(", ") : rule.limits ? asText(rule.limits) : rule.unit ? limit(rule.limit_to, asText(rule.unit)) : "";
    return {
      Name: manifest.name || "default",
      "Prompts and replies": recorded(manifest.logging_settings),
      Rule: rule.id || rule.name || "default",
      Who: joined(subjects(when.subjects) || "Everybody", tagged(when.metadata)),
      User: rule.user_fqn || "", "May call": reach(rule), Tokens: several(rule.tokens).length ? number(several(rule.tokens).length) : "",
      Permissions: list(several(rule.permissions).filter((one) => typeof one === "string")), Applies: rule.resourceType || "",
      Subjects: list(several(rule.subjects).map((one) => (typeof one === "string" ? one : [one?.type, one?.name].filter(Boolean).map(asText).join(":")))),
      Issuer: rule.issuer || "", Audiences: list(rule.audiences), Unknown: rule.unknown_users || "refuse",
      Models: joined(filter(when.models), accounts && `accounts: ${accounts}`) || "Every model",
      Limit: limits, Each: list(several(per).filter((one) => one !== "aggregate").map(each)),
      Mode: rule.audit_mode ? "audit" : rule.mode || "enforce",
      Recorded: rule.log === undefined ? "" : rule.log ? "Yes" : "No",
      Masked: rule.redact_with ? list([...several(rule.redact_with.presets), ...several(rule.redact_with.custom_patterns).map((one) => one?.pattern)]) : "",
      Given: pairs(rule.metadata_override),
      Team: joined(asText(rule.team_name), subjects(when.subjects), tagged(when.metadata)), Members: list(rule.members),
    };
  });
}

const cell = { Mode: (text) => badge(text === "enforce" ? "" : "warn", text), Recorded: (text) => badge(text === "No" ? "warn" : "good", text) };

function table(type, manifests) {
  const isOfRules = type.columns[0] === "Rule";
  const head = make("thead", {}, make("tr", {}, ...type.columns.map((name) => make("th", { scope: "col", textContent: name })), make("th", { scope: "col", textContent: isOfRules ? "Manifest" : "File" })));
  const rows = manifests.flatMap((one) => lines(one.manifest, isOfRules).map((line) => make("tr", {},
    ...type.columns.map((name, index) => (index
      ? make("td", { className: "anywhere" }, cell[name] && line[name] ? cell[name](asText(line[name])) : asText(line[name]))
      : make("th", { scope: "row" }, make("a", { href: edit(one.type, one.name), className: "anywhere", textContent: asText(line[name]) })))),
    make("td", { className: "soft anywhere", textContent: isOfRules ? `${one.name} · ${one.file.split("/").pop()}` : one.file }))));
  return make("div", { className: "table-scroll", tabIndex: 0, role: "region", "aria-label": `Table: ${type.title}` }, make("table", { className: "data" }, head, make("tbody", {}, ...rows)));
}

function card(type, manifests) {
  const canAdd = isAdmin && type.add && (!type.is_single || !manifests.length);
  const tools = [];
  if (canAdd) tools.push(make("a", { className: "button small", href: edit(type.type) }, icon("plus", "small"), type.is_single ? "Write the first rules" : "Add"));
  if (type.is_single && manifests.length) tools.push(make("a", { className: "button small", href: edit(type.type, manifests[0].name) }, icon("edit", "small"), isAdmin ? "Edit" : "Look"));
  return make("section", { className: "card", "aria-label": type.title },
    make("div", { className: "card-head" }, make("div", {}, make("h2", { textContent: type.title }), make("p", { className: "help", textContent: type.help })), make("div", { className: "row" }, ...tools)),
    manifests.length ? table(type, manifests) : make("div", { className: "card-body" }, make("p", { className: "soft", textContent: "None yet." })));
}

function nothing() {
  const first = data.types[0];
  return empty(data.icon, data.empty_title, data.empty_text,
    data.types.length > MANY ? make("a", { className: "button main", href: "/models/new", textContent: "Add an account" })
      : isAdmin ? make("div", { className: "row" }, ...data.types.map((type) => make("a", { className: type === first ? "button main" : "button", href: edit(type.type), textContent: type.add })))
      : "An admin can write the first one.");
}

function show(found) {
  const text = JSON.stringify(found);
  if (text === shown) return;
  shown = text;
  hasRules = found.length > 0;
  const cards = data.types.map((type) => [type, found.filter((one) => one.type === type.type)])
    .filter(([, manifests]) => manifests.length || data.types.length <= MANY);
  at("list").classList.toggle("many", data.types.length > MANY && found.length > 0);
  at("list").replaceChildren(...(found.length ? cards.map(([type, manifests]) => card(type, manifests)) : [nothing()]));
}

async function look() {
  const { manifests, why_not: why } = await get("/api/manifests");
  at("read-only").textContent = why ? `Read-only here: ${why}.` : "";
  at("read-only").hidden = !why;
  show(manifests.filter((one) => data.types.some((type) => type.type === one.type)));
  page.removeAttribute("aria-busy");
}

const entity = (one) => (one ? Object.entries(one).map(([key, value]) => `${each(key)} ${value || "(none)"}`).join(", ") : "all together");

function bar(one) {
  const kind = one.percentage >= 100 ? "bad" : one.percentage >= NEARLY ? "warn" : "";
  const title = `${one.rule}: ${entity(one.entity)}`;
  return make("li", { className: "usage" },
    make("div", { className: "row between" }, make("span", { className: "anywhere" }, make("strong", { textContent: one.rule }), ` ${entity(one.entity)}`),
      make("span", { className: "number nowrap", textContent: `${amount(one.used, one.unit)} of ${limit(one.limit, one.unit)}` })),
    make("progress", { className: kind, max: 100, value: Math.min(100, one.percentage), "aria-label": title }),
    make("div", { className: "row between help" }, make("span", { textContent: `${percent(one.percentage / 100, 0)} used${one.mode && one.mode !== "enforce" ? `, ${one.mode}` : ""}` }),
      make("span", { textContent: one.resets_at ? `begins anew ${since(one.resets_at)}` : "" })));
}

async function usage() {
  if (document.hidden || !data.has_usage) return;
  const wanted = new Set(data.types.map((type) => type.type));
  const { usage: found, counted_by: by, is_cut: isCut, next_cursor: more } = await get("/api/limits/usage?limit=200");
  const bars = found.filter((one) => wanted.has(one.type)).map(bar);
  at("usage").hidden = !bars.length && !hasRules;
  at("usage-list").replaceChildren(...(bars.length ? bars : [make("li", { className: "soft", textContent: "Nothing is counted yet: bars appear with the first calls." })]));
  const cut = isCut || more !== null ? `, the ${number(bars.length)} nearest to their limits` : "";
  at("usage-by").textContent = `${by === "replicas" ? "counted by all replicas together" : "counted by this host"}${cut}`;
}

look().catch(toastError).finally(() => {
  repeat(look, LOOK_MS);
  if (data.has_usage) usage().catch(() => {}).finally(() => repeat(usage, USAGE_MS));
});

