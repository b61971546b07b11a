// How every target does now, and taking one out of the routes for a while.

import { ask } from "./api.js";
import { at, badge, busy, empty, make } from "./dom.js";
import { confirmed } from "./dialog.js";
import { duration, number, percent, since } from "./format.js";
import { stateOf, watchTargets } from "./health.js";
import { toast, toastError } from "./toast.js";

const page = at("targets");
const isAdmin = page.dataset.admin === "true";
const rows = new Map();

async function drain(entry) {
  const isSure = entry.is_drained || await confirmed({ title: `Drain ${entry.target}?`, action: "Drain",
    text: "No route asks it until you undrain it, also after a restart. Calls under way go on, and calls of its own name are answered." });
  if (!isSure) return;
  try {
    const { data } = await ask("POST", `/api/targets/${entry.is_drained ? "undrain" : "drain"}`, { target: entry.target });
    toast("good", data.is_drained ? "Drained" : "Asked again", data.target);
    show([...rows.keys()].map((name) => (name === data.target ? data : rows.get(name).entry)));
  } catch (error) { toastError(error); }
}

function fill(row, entry) {
  row.entry = entry;
  const [kind, words] = stateOf(entry);
  const { attempts, times } = entry;
  const texts = [null, words, attempts.good || attempts.sick ? `${number(attempts.good)} good, ${number(attempts.sick)} failed` : "–", percent(attempts.error_ratio), duration(times.first_token_ms),
    times.per_output_token_ms === null ? "–" : duration(times.per_output_token_ms), entry.opened_at ? since(entry.opened_at) : "–"];
  const cells = [...row.line.children];
  texts.forEach((text, index) => { if (index && cells[index].textContent !== text) cells[index].replaceChildren(index === 1 ? badge(`${kind} dot`, text) : text); });
  cells[1].title = entry.missing_secret ?? "";
  if (row.button) row.button.textContent = entry.is_drained ? "Undrain" : "Drain";
}

function makeRow(entry) {
  const button = isAdmin ? make("button", { type: "button", className: "small", "aria-label": `Drain or undrain ${entry.target}` }) : null;
  const row = { entry, button, line: make("tr", {}, make("th", { scope: "row" }, make("code", { textContent: entry.target })), ...Array.from({ length: 6 }, (_no, index) => make("td", { className: index > 1 ? "number" : "nowrap" })), make("td", {}, button)) };
  button?.addEventListener("click", () => busy(button, () => drain(row.entry)));
  return row;
}

function show(entries) {
  const names = entries.map((entry) => entry.target).join("\n");
  if (names !== [...rows.keys()].join("\n") || !entries.length) {
    rows.clear();
    for (const entry of entries) rows.set(entry.target, makeRow(entry));
    at("rows").replaceChildren(...[...rows.values()].map((row) => row.line));
    at("table").hidden = !entries.length;
    at("nothing").replaceChildren(...(entries.length ? [] : [empty("target", "No models yet", "Each model of an account is a target.", make("a", { className: "button main", href: "/models/new", textContent: "Add an account" }))]));
  }
  for (const entry of entries) fill(rows.get(entry.target), entry);
  page.removeAttribute("aria-busy");
}

watchTargets(show).catch(toastError);
