// The routing of a virtual model: who is asked first, with what share, who when another fails, and how each does now.

import { icon, make } from "./dom.js";
import { asText, percent } from "./format.js";
import { targetBadge } from "./health.js";
import { isObject, labelOf } from "./schema.js";

const STRATEGIES = {
  "weight-based-routing": ["By weight", "Each target gets its share of the calls."],
  "priority-based-routing": ["By priority", "The first target gets the calls as long as it answers."],
  "latency-based-routing": ["By latency", "The quickest targets get the calls."],
  "complexity-based-routing": ["By complexity", "Simple calls go to one model, hard ones to another."],
};
const OWN_FIELD = { "weight-based-routing": "weight", "priority-based-routing": "priority", "complexity-based-routing": "tier" };

const weightOf = (target) => (typeof target?.weight === "object" ? 0 : Number(target?.weight) || 0);

/** A part of a Form: `routing_config` of a virtual model. */
export function routingPart(form, path, plain) {
  const routing = form.objectAt(path);
  const order = Object.keys(STRATEGIES);
  const variants = form.schema.variants(plain).sort((one, other) => order.indexOf(one.tag) - order.indexOf(other.tag));
  const now = variants.find((one) => one.tag === routing.type) || variants[0];
  const targetsPath = [...path, "load_balance_targets"];
  const targets = form.listAt(targetsPath);
  const itemSchema = form.schema.plain(form.schema.plain(now.schema).properties.load_balance_targets.items);
  const own = OWN_FIELD[now.tag];

  const chooser = make("div", { className: "segments strategies", role: "group", "aria-label": "Strategy" }, ...variants.map(({ tag }) => make("button", {
    type: "button", "aria-pressed": String(tag === now.tag), textContent: (STRATEGIES[tag] || [labelOf(tag)])[0], id: `strategy-${path.join("-")}-${tag}`,
    onclick: () => form.restructure(path, changeStrategy(form, routing, tag)),
  })));

  const sum = targets.reduce((total, one) => total + weightOf(one), 0);
  const rows = targets.map((target, index) => targetRow(form, { target, index, targets, targetsPath, itemSchema, own, sum }));
  const add = make("button", { type: "button", className: "small", onclick: () => {
    const fresh = { ...form.schema.fresh(itemSchema), target: "" };
    if (own === "weight") fresh.weight = 1;
    if (own === "priority") fresh.priority = targets.length;
    form.restructure(targetsPath, [...targets, fresh]);
    document.getElementById(rowId(targetsPath, targets.length))?.focus();
  } }, icon("plus", "small"), "Add target");

  return make("fieldset", { className: "part routing", id: `f-${path.join("-")}` },
    make("legend", { textContent: "Routing" }),
    make("p", { className: "help" }, (STRATEGIES[now.tag] || ["", ""])[1], " When a target fails, the next one that may is asked."),
    form.error(path), chooser,
    form.error(targetsPath),
    make("ol", { className: "targets" }, ...rows),
    make("div", {}, add),
    ...form.fields(now.schema, path, ["type", "load_balance_targets"]));
}

function changeStrategy(form, routing, tag) {
  const own = OWN_FIELD[tag];
  const targets = (Array.isArray(routing.load_balance_targets) ? routing.load_balance_targets : []).map((one, index) => {
    const { weight, priority, tier, sla_cutoff: _cutoff, ...kept } = isObject(one) ? one : {};
    if (own === "weight") return { ...kept, weight: weight ?? 1 };
    if (own === "priority") return { ...kept, priority: priority ?? index };
    return own === "tier" ? { ...kept, tier: tier ?? ["simple", "medium", "complex"][Math.min(index, 2)] } : kept;
  });
  const { hedging } = routing;
  return { type: tag, load_balance_targets: targets, ...(hedging ? { hedging } : {}) };
}

const rowId = (path, index) => `f-${[...path, index, "target"].join("-")}`;

function targetRow(form, { target, index, targets, targetsPath, itemSchema, own, sum }) {
  const path = [...targetsPath, index];
  const id = rowId(targetsPath, index);
  const name = asText(target?.target);
  const move = (to) => {
    const now = [...targets];
    now.splice(to, 0, ...now.splice(index, 1));
    form.restructure(targetsPath, now);
  };
  const tool = (symbol, label, action, isOff = false) => make("button", { type: "button", className: "quiet icon-only small", "aria-label": `${label}: target ${index + 1}`, title: label, disabled: isOff, onclick: action }, icon(symbol, "small"));
  const badgeBox = targetBadge(name);
  const model = make("input", { id, value: name, spellcheck: false, autocomplete: "off", placeholder: "account/model", list: undefined, "aria-describedby": `${id}-error`,
    oninput: () => { badgeBox.dataset.target = model.value; badgeBox.replaceChildren(); form.set([...path, "target"], model.value); } });
  model.setAttribute("list", "list-target");
  const share = own === "weight" ? make("span", { className: "share number" }, make("progress", { max: 1, value: sum ? weightOf(target) / sum : 0, "aria-label": `Share of target ${index + 1}` }),
    make("span", { textContent: percent(sum ? weightOf(target) / sum : 0, 0) })) : null;
  const settings = Object.keys(isObject(target) ? target : {}).filter((field) => !["target", own].includes(field)).length;
  return make("li", { className: "target" },
    make("div", { className: "target-row" },
      make("div", { className: "field grow" }, make("label", { for: id, textContent: `Target ${index + 1}` }), model, form.error([...path, "target"])),
      own ? ownField(form, [...path, own], itemSchema.properties[own], own) : null,
      make("div", { className: "item-tools" }, tool("arrow-up", "Move up", () => move(index - 1), index === 0), tool("arrow-down", "Move down", () => move(index + 1), index === targets.length - 1),
        tool("trash", "Remove", () => form.restructure(targetsPath, targets.filter((_one, place) => place !== index))))),
    make("div", { className: "row target-state" }, badgeBox, share),
    form.error(path),
    form.details(`${path.join(".")}!`, settings ? `Settings of this target (${settings})` : "Settings of this target", form.fields(itemSchema, path, ["target", own])));
}

function ownField(form, path, schema, name) {
  const plain = form.schema.plain(schema);
  const id = `f-${path.join("-")}`;
  let input;
  if (plain.enum) {
    input = make("select", { id, onchange: () => form.set(path, input.value) }, ...plain.enum.map((one) => make("option", { value: one, textContent: labelOf(one) })));
    input.value = asText(form.get(path));
  } else {
    input = make("input", { id, type: "number", min: 0, step: 1, value: asText(form.get(path) ?? plain.default),
      oninput: () => { form.set(path, input.value === "" ? undefined : Number(input.value)); shares(input); } });
  }
  input.setAttribute("aria-describedby", `${id}-error`);
  const label = make("label", { for: id, textContent: labelOf(name), title: plain.description });
  return make("div", { className: "field own" }, label, input, form.error(path));
}

/** The shares of all targets beside *input*, after one weight has changed. */
function shares(input) {
  const rows = [...input.closest("ol").children];
  const weights = rows.map((row) => Number(row.querySelector(".own input")?.value) || 0);
  const sum = weights.reduce((total, one) => total + one, 0);
  rows.forEach((row, index) => {
    const share = sum ? weights[index] / sum : 0;
    const bar = row.querySelector(".share progress");
    if (!bar) return;
    bar.value = share;
    row.querySelector(".share span").textContent = percent(share, 0);
  });
}

