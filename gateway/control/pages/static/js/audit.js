// Who changed what, the newest first. Filters are in the address, so that what is found can be shared.

import { ago } from "./ago.js";
import { get } from "./api.js";
import { at, badge, busy, debounce, empty, make } from "./dom.js";
import { number } from "./format.js";
import { toastError } from "./toast.js";

const FILTERS = ["action", "type", "name"];
const KINDS = [["removed", "bad"], ["deleted", "bad"], ["drained", "warn"], ["created", "good"], ["restored", "warn"], ["failed", "bad"], ["refused", "bad"], ["locked", "bad"], ["accepted", "good"]];
let cursor = null;
let last = null;

function chosen() {
  return Object.fromEntries(FILTERS.map((name) => [name, at(name).value.trim()]).filter(([, value]) => value));
}

function by(who) {
  if (!who) return "–";
  if (who.kind === "command") return `${who.user} (command)`;
  return who.operator || (who.kind === "file" ? `${who.owner || "unknown"} (file)` : who.address);
}

function details(entry) {
  const parts = [];
  if (entry.paths?.length) parts.push(make("p", {}, "Fields: ", ...entry.paths.flatMap((path) => [make("code", { textContent: path }), " "])));
  for (const side of ["before", "after"]) {
    if (entry[side]) parts.push(make("div", {}, make("h3", { textContent: side === "before" ? "Before" : "After" }), make("pre", { tabIndex: 0, "aria-label": side, textContent: JSON.stringify(entry[side], null, 2) })));
  }
  return parts;
}

function line(entry) {
  const kind = KINDS.find(([word]) => entry.action.includes(word))?.[1] ?? "info";
  const version = typeof entry.version === "string" ? entry.version : entry.version?.after;
  const counts = entry.manifests ? Object.entries(entry.manifests).filter(([, count]) => count).map(([action, count]) => `${count} ${action}`).join(", ") : "";
  const more = details(entry);
  // Who was not let in is no operator: the name is whose password was tried.
  const times = entry.count > 1 ? make("span", { className: "badge", textContent: `${number(entry.count)} times` }) : null;
  return make("tr", {}, make("td", { className: "nowrap" }, ago(entry.at)), make("td", {}, make("div", { className: "badges" }, badge(kind, entry.action), times)),
    make("td", { className: "anywhere" }, make("strong", { textContent: entry.name || "" }), entry.type ? make("span", { className: "soft", textContent: ` ${entry.type}` }) : counts || (entry.action === "config.accepted" ? "all manifests, as found" : ""),
      more.length ? make("details", { className: "more" }, make("summary", { textContent: entry.paths?.length ? `${entry.paths.length} ${entry.paths.length === 1 ? "field" : "fields"}` : "Details" }), make("div", { className: "stack-s" }, ...more)) : null),
    make("td", { className: "anywhere", textContent: by(entry.by) }),
    make("td", {}, version ? make("a", { className: "mono", href: `/configuration/history?version=${encodeURIComponent(version)}`, textContent: version }) : ""));
}

async function load({ isMore = false } = {}) {
  const filters = chosen();
  const asked = new URLSearchParams({ ...filters, limit: "50", ...(isMore && cursor ? { cursor } : {}) });
  if (!isMore) history.replaceState(null, "", Object.keys(filters).length ? `?${new URLSearchParams(filters)}` : location.pathname);
  const mine = last = {};
  const found = await get(`/api/audit?${asked}`);
  // Something else is wanted since.
  if (mine !== last) return;
  const lines = found.entries.map(line);
  if (isMore) at("rows").append(...lines); else at("rows").replaceChildren(...lines);
  cursor = found.next_cursor;
  at("older").hidden = cursor === null;
  at("table").hidden = !at("rows").children.length;
  at("nothing").replaceChildren(...(at("rows").children.length ? [] : [Object.keys(filters).length
    ? empty("search", "Nothing like that", "No entry has exactly these words.")
    : empty("eye", "Nothing has changed yet", "Each change of the configuration and everything asked of the control API is noted here, with who did it.")]));
  at("audit").removeAttribute("aria-busy");
}

for (const name of FILTERS) {
  at(name).value = new URLSearchParams(location.search).get(name) || "";
  at(name).addEventListener("input", debounce(() => load().catch(toastError)));
}
at("older").addEventListener("click", () => busy(at("older"), () => load({ isMore: true }).catch(toastError)));
load().catch(toastError);
