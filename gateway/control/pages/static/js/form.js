// A form made of a manifest's JSON Schema. It shows what the manifest says and tells every change; what is wrong comes
// from the server and is shown at the field that it is about. Field names and texts are data: they are only ever text.

import { icon, make } from "./dom.js";
import { asText } from "./format.js";
import { at, isObject, labelOf, put } from "./schema.js";

const idOf = (path) => `f-${path.join("-").replace(/[^\w-]/g, (letter) => letter.codePointAt(0).toString(16))}`;
const MANY = 12;
const FEW = 3;

/** `env:NAME` in backticks as code. */
const SECRET_HELP = " Paste the value itself: saving moves it into a file of its own, and it is not shown again. Or say where it is: `env:NAME`, `file:PATH`.";

export function helpText(text) {
  return text.split("\n\n")[0].split("`").map((part, index) => (index % 2 ? make("code", { textContent: part }) : part));
}

export class Form {
  /** *changed* is called after each change of *body*. `parts`: path pattern ("integrations.*.routing_config") -> function. */
  constructor(box, schema, { changed, parts = {}, suggestions = {}, isReadOnly = false }) {
    this.box = box;
    this.schema = schema;
    this.changed = changed;
    this.parts = parts;
    this.suggestions = suggestions;
    this.isReadOnly = isReadOnly;
    this.body = {};
    this.opened = new Set();
    // What makes the fields of entries that nobody has opened yet, by their place.
    this.unmade = new Map();
  }

  /** Show *body*, from the beginning. */
  show(body) {
    this.body = body;
    this.draw();
  }

  /** Whether it shows *body*: as it is loaded it is checked, and to draw it once more would take as long again. */
  shows(body) {
    return JSON.stringify(this.body) === JSON.stringify(body);
  }

  draw() {
    const focused = this.box.contains(document.activeElement) ? document.activeElement.id : "";
    this.unmade.clear();
    this.box.replaceChildren(...this.fields(this.schema.root, []));
    this.disable(this.box);
    if (focused) document.getElementById(focused)?.focus();
    this.mark(this.problems || []);
  }

  /** Let nobody change what is in *box*, where nobody may. */
  disable(box) {
    if (this.isReadOnly) for (const one of box.querySelectorAll("input, select, textarea, button")) one.disabled = true;
  }

  get(path) {
    return at(this.body, path);
  }

  // What is of another kind than the field has no parts to show: the check says what is wrong, and the YAML has it.
  listAt(path) {
    const value = this.get(path);
    return Array.isArray(value) ? value : [];
  }

  objectAt(path) {
    const value = this.get(path);
    return isObject(value) ? value : {};
  }

  set(path, value) {
    put(this.body, path, value, (inner) => this.isRequired(inner));
    this.changed();
  }

  /** A change after which there are other fields. */
  restructure(path, value) {
    this.set(path, value);
    this.draw();
  }

  isRequired(path) {
    let schema = this.schema.root;
    let isRequired = true;
    path.forEach((step, index) => {
      const plain = this.schema.kind(schema) === "variants" ? this.variantOf(schema, path.slice(0, index))?.schema : this.schema.plain(schema);
      if (typeof step === "number") {
        schema = this.schema.taken(plain?.items || {}, this.get(path.slice(0, index + 1)));
      } else {
        isRequired = Boolean(plain?.required?.includes(step));
        schema = plain?.properties?.[step] || plain?.additionalProperties || {};
      }
    });
    return isRequired;
  }

  /** Show each of *problems* at its field, or at the nearest field around it. */
  mark(problems) {
    this.problems = problems;
    for (const spot of this.box.querySelectorAll(".error")) { spot.textContent = ""; spot.hidden = true; }
    for (const field of this.box.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    for (const problem of problems) {
      const steps = problem.path.split(".");
      steps.forEach((_step, index) => this.unmade.get(steps.slice(0, index + 1).join("."))?.());
      for (let length = steps.length; length > 0; length -= 1) {
        const id = idOf(steps.slice(0, length));
        const spot = document.getElementById(`${id}-error`);
        if (!spot) continue;
        spot.hidden = false;
        if (problem.severity === "error" || !spot.textContent) spot.classList.toggle("warn", problem.severity !== "error");
        spot.textContent = [spot.textContent, `${problem.message}. ${problem.fix}`].filter(Boolean).join(" ");
        if (problem.severity === "error") document.getElementById(id)?.setAttribute("aria-invalid", "true");
        for (let outer = spot.closest("details"); outer; outer = outer.parentElement.closest("details")) outer.open = true;
        break;
      }
    }
  }

  /** The fields of an object but for the *hidden*: what matters, then the rest behind one line. */
  fields(schema, path, hidden = []) {
    const plain = this.schema.plain(schema);
    const value = this.objectAt(path);
    const shown = [];
    const more = [];
    for (const [name, field] of Object.entries(plain.properties || {})) {
      const here = [...path, name];
      if (this.schema.kind(field) === "fixed" || hidden.includes(name)) continue;
      const matters = plain.required?.includes(name) || value[name] !== undefined || (name === "name" && !path.length);
      (matters ? shown : more).push(this.field(name, field, here));
    }
    // Where a provider is and with what key comes before the many models that it has.
    const rank = (field) => ({ name: 0, auth_data: 2, integrations: 3 })[field.dataset.name] ?? 1;
    shown.sort((one, other) => rank(one) - rank(other));
    const unknown = Object.keys(value).filter((name) => !plain.properties?.[name]);
    for (const name of unknown) shown.push(this.error([...path, name], `${name}: not a field of this part`));
    // A line that hides two or three fields saves nothing.
    if (more.length <= FEW && !shown.length) shown.push(...more);
    else if (more.length) shown.push(this.details(`${path.join(".")}+`, shown.length ? `More settings (${more.length})` : `Settings (${more.length})`, more));
    return shown;
  }

  details(key, title, children, isOpen = false) {
    const box = make("details", { className: "more", open: isOpen || this.opened.has(key) },
      make("summary", {}, icon("right", "small"), title), make("div", { className: "stack" }, ...children));
    box.addEventListener("toggle", () => (box.open ? this.opened.add(key) : this.opened.delete(key)));
    return box;
  }

  /** The same, whose children *build* makes when they are wanted: of a thousand entries few are ever opened. */
  lateDetails(key, title, build, isOpen) {
    if (isOpen || this.opened.has(key)) return this.details(key, title, build(), isOpen);
    const box = this.details(key, title, []);
    const fill = () => {
      this.unmade.delete(key);
      box.lastChild.append(...build());
      this.disable(box.lastChild);
    };
    this.unmade.set(key, fill);
    box.addEventListener("toggle", () => { if (this.unmade.get(key) === fill) fill(); });
    return box;
  }

  error(path, text = "") {
    const id = idOf(path);
    return make("p", { className: "error", id: `${id}-error`, textContent: text, hidden: !text });
  }

  field(name, schema, path) {
    const pattern = path.map((step) => (typeof step === "number" ? "*" : step)).join(".");
    const plain = this.schema.plain(schema);
    const own = this.parts[pattern];
    const box = own ? own(this, path, plain) : this.byKind(name, schema, plain, path);
    box.dataset.name = name;
    return box;
  }

  byKind(name, schema, plain, path) {
    switch (this.schema.kind(schema)) {
      case "object": return this.group(name, plain, path, this.fields(schema, path));
      case "variants": return this.variants(name, schema, plain, path);
      case "list": return this.list(name, plain, path);
      case "pairs": return this.pairs(name, plain, path);
      case "choices": return this.choices(name, plain, path);
      case "flag": return this.flag(name, plain, path);
      default: return this.line(name, this.input(schema, plain, path), plain, path);
    }
  }

  /** A labelled input with help and a place for what is wrong. */
  line(name, input, plain, path) {
    const id = idOf(path);
    const isOptional = !this.isRequired(path);
    input.id = id;
    input.setAttribute("aria-describedby", `${id}-help ${id}-error`);
    return make("div", { className: "field" },
      make("label", { for: id }, labelOf(name), isOptional ? make("span", { className: "soft optional", textContent: " optional" }) : null),
      input,
      make("p", { className: "help", id: `${id}-help` }, ...helpText(`${plain.description || ""}${input.dataset.secret ? SECRET_HELP : ""}`)),
      this.error(path));
  }

  group(name, plain, path, children) {
    const id = idOf(path);
    return make("fieldset", { className: "part", id },
      make("legend", { textContent: labelOf(name) }),
      plain.description ? make("p", { className: "help" }, ...helpText(plain.description)) : null,
      this.error(path), make("div", { className: "stack" }, ...children));
  }

  input(schema, plain, path) {
    const value = this.get(path);
    const isOptional = !this.isRequired(path);
    const kind = this.schema.kind(schema);
    const clear = (text, made) => (text === "" && isOptional ? undefined : made(text));
    if (kind === "choice") {
      const options = plain.enum.map((one) => make("option", { value: one, textContent: labelOf(String(one)) }));
      if (isOptional) options.unshift(make("option", { value: "", textContent: plain.default ? `As usual: ${labelOf(String(plain.default))}` : "Not set" }));
      if (value !== undefined && !plain.enum.includes(value)) options.unshift(make("option", { value: asText(value), textContent: asText(value) }));
      const select = make("select", { onchange: () => this.set(path, clear(select.value, (text) => text)) }, ...options);
      select.value = asText(value);
      return select;
    }
    if (kind === "number") {
      const input = make("input", { inputMode: "decimal", autocomplete: "off", value: asText(value), placeholder: plain.default ?? "",
        oninput: () => this.set(path, clear(input.value.trim(), (text) => (text === "" || Number.isNaN(Number(text)) ? text : Number(text)))) });
      return input;
    }
    if (kind === "texts") {
      const rows = Array.isArray(value) ? value : [];
      const area = make("textarea", { className: "mono", rows: Math.max(2, Math.min(8, rows.length + 1)), spellcheck: false, value: rows.map(asText).join("\n"), placeholder: "One on each line",
        oninput: () => {
          const found = area.value.split("\n").map((line) => line.trim()).filter(Boolean);
          this.set(path, found.length || !isOptional ? found : undefined);
        } });
      return area;
    }
    if (kind === "data") {
      const area = make("textarea", { className: "code", rows: 4, spellcheck: false, value: value === undefined ? "" : JSON.stringify(value, null, 2), placeholder: "{\"name\": value}",
        oninput: () => {
          let found = area.value;
          try { found = JSON.parse(area.value); } catch { /* as text it is refused with words */ }
          this.set(path, clear(typeof found === "string" ? found.trim() : found, () => found));
        } });
      return area;
    }
    const isLong = typeof value === "string" && value.includes("\n");
    const text = kind === "secret" && value !== null && typeof value === "object" ? "***" : asText(value);
    const input = make(isLong ? "textarea" : "input", { autocomplete: "off", spellcheck: false, value: text, maxLength: plain.maxLength,
      placeholder: kind === "secret" ? "env:NAME, file:PATH or the value" : plain.default ?? "",
      oninput: () => this.set(path, clear(input.value, (found) => found)) });
    if (kind === "secret") { input.classList.add("mono"); input.dataset.secret = "true"; }
    const list = this.suggestions[path.at(-1)];
    if (list?.length) input.setAttribute("list", `list-${path.at(-1)}`);
    return input;
  }

  flag(name, plain, path) {
    const id = idOf(path);
    const isOn = this.get(path) ?? plain.default ?? false;
    const input = make("input", { type: "checkbox", id, checked: isOn === true, onchange: () => this.set(path, input.checked), "aria-describedby": `${id}-help ${id}-error` });
    return make("div", { className: "field" }, make("label", { className: "switch" }, input, labelOf(name)),
      make("p", { className: "help", id: `${id}-help` }, ...helpText(plain.description || "")), this.error(path));
  }

  choices(name, plain, path) {
    const value = this.listAt(path);
    const boxes = this.schema.plain(plain.items).enum.map((one) => {
      const input = make("input", { type: "checkbox", checked: value.includes(one),
        onchange: () => {
          const now = new Set(this.listAt(path));
          if (input.checked) now.add(one); else now.delete(one);
          this.set(path, now.size || this.isRequired(path) ? [...now] : undefined);
        } });
      return make("label", { className: "check" }, input, labelOf(one));
    });
    const grid = make("div", { className: "grid choices" }, ...boxes);
    const chosen = value.length ? ` (${value.length} chosen)` : "";
    return this.group(name, plain, path, [boxes.length > MANY ? this.details(`${path.join(".")}?`, `${boxes.length} to choose from${chosen}`, [grid], value.length > 0) : grid]);
  }

  pairs(name, plain, path) {
    const isSecret = this.schema.plain(plain.additionalProperties).format === "secret";
    const rows = Object.entries(this.objectAt(path));
    const box = make("div", { className: "pairs" });
    const tell = () => {
      const found = [...box.children].map((row) => [...row.querySelectorAll("input")].map((input) => input.value)).filter(([key]) => key !== "");
      this.set(path, found.length || this.isRequired(path) ? Object.fromEntries(found) : undefined);
    };
    const add = (key = "", value = "") => {
      const row = make("div", { className: "pair" },
        make("input", { value: key, placeholder: "name", "aria-label": `${labelOf(name)}: name`, spellcheck: false, oninput: tell }),
        make("input", { value: asText(value), placeholder: isSecret ? "env:NAME, file:PATH or the value" : "value", "aria-label": `${labelOf(name)}: value`, spellcheck: false, oninput: tell }),
        make("button", { type: "button", className: "quiet icon-only", "aria-label": `Remove ${key || "this line"}`, onclick: () => { row.remove(); tell(); } }, icon("trash", "small")));
      box.append(row);
      return row;
    };
    for (const [key, value] of rows) add(key, value);
    const button = make("button", { type: "button", className: "small", onclick: () => add().querySelector("input").focus() }, icon("plus", "small"), "Add");
    return this.group(name, plain, path, [box, make("div", {}, button)]);
  }

  variantOf(schema, path) {
    const tagName = this.schema.plain(schema).discriminator?.propertyName;
    const tag = this.get(path)?.[tagName];
    return this.schema.variants(schema).find((one) => one.tag === tag);
  }

  variants(name, schema, plain, path) {
    const isOptional = !this.isRequired(path);
    const tagName = plain.discriminator.propertyName;
    const all = this.schema.variants(schema);
    const now = this.variantOf(schema, path);
    const id = idOf([...path, tagName]);
    const options = all.map((one) => make("option", { value: one.tag, textContent: labelOf(one.tag) }));
    if (isOptional || !now) options.unshift(make("option", { value: "", textContent: "Not set" }));
    const select = make("select", { id, "aria-describedby": `${id}-error`, onchange: () => {
      const chosen = all.find((one) => one.tag === select.value);
      if (!chosen) { this.restructure(path, undefined); return; }
      const kept = Object.fromEntries(Object.entries(this.objectAt(path)).filter(([key]) => key !== tagName && chosen.schema.properties[key]));
      this.restructure(path, { ...this.schema.fresh(chosen.schema), [tagName]: chosen.tag, ...kept });
    } }, ...options);
    select.value = now?.tag ?? "";
    const choice = make("div", { className: "field" }, make("label", { for: id, textContent: labelOf(tagName) }), select,
      now?.schema.description ? make("p", { className: "help" }, ...helpText(now.schema.description)) : null, this.error([...path, tagName]));
    const inner = now ? this.fields(now.schema, path, [tagName]) : [];
    return this.group(name, plain, path, [choice, ...inner]);
  }

  list(name, plain, path) {
    const items = this.listAt(path);
    const boxes = items.map((item, index) => this.item(name, plain, [...path, index], index, items));
    const add = make("button", { type: "button", className: "small", onclick: () => {
      const now = [...this.listAt(path), this.schema.fresh(plain.items)];
      this.opened.add(`${[...path, now.length - 1].join(".")}`);
      this.restructure(path, now);
    } }, icon("plus", "small"), "Add");
    const nothing = items.length ? null : make("p", { className: "soft", textContent: "None yet." });
    return this.group(name, plain, path, [nothing, ...boxes, make("div", {}, add)]);
  }

  /** What one entry of a list holds, and a place for what is wrong with it. */
  inside(name, items, path, item) {
    const schema = this.schema.taken(items, item);
    const plain = this.schema.plain(schema);
    switch (this.schema.kind(schema)) {
      case "variants": return [this.error(path), this.variants("item", schema, plain, path)];
      case "object": return [this.error(path), ...this.fields(schema, path)];
      default: return [this.line(plain.title || name, this.input(schema, plain, path), plain, path)];
    }
  }

  item(name, plain, path, index, items) {
    const item = items[index];
    const title = (isObject(item) && asText(item.id || item.name || item.target || item.subject)) || `${labelOf(name)} ${index + 1}`;
    const move = (to) => {
      const now = [...items];
      now.splice(to, 0, ...now.splice(index, 1));
      this.restructure(path.slice(0, -1), now);
    };
    const remove = () => {
      const now = items.filter((_one, place) => place !== index);
      this.restructure(path.slice(0, -1), now.length || this.isRequired(path.slice(0, -1)) ? now : undefined);
    };
    const tool = (symbol, label, action, isOff = false) => make("button", { type: "button", className: "quiet icon-only small", "aria-label": `${label}: ${title}`, title: label, disabled: isOff, onclick: action }, icon(symbol, "small"));
    const box = this.lateDetails(path.join("."), make("strong", { textContent: title }), () => this.inside(name, plain.items, path, item), items.length <= 3);
    return make("div", { className: "item" }, box, make("div", { className: "item-tools" },
      tool("arrow-up", "Move up", () => move(index - 1), index === 0), tool("arrow-down", "Move down", () => move(index + 1), index === items.length - 1), tool("trash", "Remove", remove)));
  }
}
