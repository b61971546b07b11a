// The configurations that were in force, what differs between two of them, and going back.

import { ago } from "./ago.js";
import { ask, get } from "./api.js";
import { at, badge, busy, empty, make, note, repeat } from "./dom.js";
import { confirmed } from "./dialog.js";
import { time } from "./format.js";
import { toast, toastError } from "./toast.js";

const page = at("history");
const isAdmin = page.dataset.admin === "true";
const LOOK_MS = 1000;
const KINDS = { created: "good", changed: "info", removed: "bad" };
let shown = "";
let versions = [];
const query = () => new URLSearchParams(location.search);

const by = (one) => [...new Set(one.by.map((who) => who.operator || who.owner || who.address || "").filter(Boolean))].join(", ") || "–";
function what(one) {
  if (one.version.includes("+")) return "secrets were read again";
  if (!one.manifests) return "all, as found";
  const parts = Object.entries(one.manifests).filter(([, count]) => count).map(([action, count]) => `${count} ${action}`);
  return parts.join(", ") || "nothing";
}

function line(one) {
  const link = make("a", { href: `?version=${encodeURIComponent(one.version)}`, className: "mono", textContent: one.version,
    onclick: (event) => { event.preventDefault(); choose(one.version); } });
  return make("tr", { "aria-selected": String(one.version === query().get("version")) },
    make("th", { scope: "row" }, link, " ", one.is_in_force ? badge("good dot", "in force") : null),
    make("td", { className: "nowrap" }, ago(one.at)), make("td", { className: "anywhere", textContent: by(one) }), make("td", { textContent: what(one) }));
}

function choose(version, against = "") {
  history.pushState(null, "", `?version=${encodeURIComponent(version)}${against ? `&against=${encodeURIComponent(against)}` : ""}`);
  showVersions();
  compare().catch(toastError);
}

function showVersions() {
  at("rows").replaceChildren(...versions.map(line));
}

function diffLine(text) {
  const kind = text.startsWith("@@") ? "place" : text[0] === "+" ? "added" : text[0] === "-" ? "removed" : "";
  return make("span", { className: `diff-line ${kind}`, textContent: text });
}

function change(one) {
  const secretsOnly = one.paths.length && !one.diff.length;
  return make("section", { className: "diff", "aria-label": `${one.type} ${one.name}` },
    make("div", { className: "row" }, badge(KINDS[one.action], one.action), make("strong", { className: "anywhere", textContent: one.name }), make("span", { className: "soft anywhere", textContent: one.type })),
    secretsOnly ? make("p", { className: "soft", textContent: `A secret differs: ${one.paths.join(", ")}` }) : make("pre", { tabIndex: 0, "aria-label": `Difference of ${one.name}` }, ...one.diff.map(diffLine)));
}

async function compare() {
  const version = query().get("version");
  at("difference").hidden = !version;
  if (!version) return;
  const inForce = versions.find((one) => one.is_in_force)?.version;
  const place = versions.findIndex((one) => one.version === version);
  const before = versions[place + 1]?.version;
  const against = query().get("against") || (version === inForce ? before : inForce);
  at("difference-title").textContent = `Configuration ${version}`;
  const select = at("against");
  select.replaceChildren(...versions.filter((one) => one.version !== version).map((one) => make("option", { value: one.version, textContent: `${one.version}${one.is_in_force ? " (in force)" : ""}, ${time(one.at)}` })));
  at("against-field").hidden = versions.length < 2;
  at("restore").hidden = !isAdmin || version === inForce || version.split("+")[0] === inForce?.split("+")[0];
  if (!against) { at("changes").replaceChildren(make("p", { className: "soft", textContent: "It is the only one that is kept: there is nothing to compare it with." })); return; }
  select.value = against;
  let found;
  try {
    found = await get(`/api/config/history/${encodeURIComponent(version)}?against=${encodeURIComponent(against)}`);
  } catch (error) {
    if (error.status !== 404) throw error;
    at("changes").replaceChildren(note("warn", "This version is not kept any more", "The last 50 are."));
    at("restore").hidden = true;
    return;
  }
  at("changes").replaceChildren(...(found.changes.length ? found.changes.map(change) : [make("p", { className: "soft", textContent: "Both say the same." })]));
}

async function restore() {
  const version = query().get("version");
  const isSure = await confirmed({ title: `Go back to ${version}?`, action: "Restore",
    text: "The manifests are written back to their files: what was changed, added and removed since. What is in force now stays in this list." });
  if (!isSure) return;
  try {
    const { data } = await ask("POST", "/api/config/restore", { version });
    toast("good", data.manifests.length ? "Restored" : "Nothing to restore", `${data.manifests.length} ${data.manifests.length === 1 ? "manifest" : "manifests"}; in force in two seconds.`);
    await look();
  } catch (error) { toastError(error); }
}

async function look() {
  const found = await get("/api/config/history");
  const text = JSON.stringify(found);
  page.removeAttribute("aria-busy");
  if (text === shown) return;
  shown = text;
  versions = found.versions;
  at("list").hidden = !versions.length;
  at("nothing").replaceChildren(...(versions.length ? [] : [empty("history", "Nothing yet", "Each configuration that comes into force is kept here.")]));
  at("read-only").hidden = !found.why_not;
  at("read-only").textContent = found.why_not ? `Read-only here: ${found.why_not}.` : "";
  showVersions();
  await compare();
}

async function rejected() {
  const config = await get("/api/config");
  const last = config.last_rejected;
  at("rejected").replaceChildren(...(last ? [note("bad", "What is on disk is refused, so the last good configuration stays in force",
    ...last.errors.slice(0, 5).map((error) => [error.file && `${error.file}:${error.line}`, error.path, error.message, error.fix].filter(Boolean).join(": ")))] : []));
}

function replicaLine(one, inForce) {
  const last = one.last_rejected;
  return make("tr", {},
    make("th", { scope: "row", className: "anywhere", title: one.instance_id }, one.host, " ", one.is_this ? badge("", "this one") : null),
    make("td", {}, badge(one.state === "ready" ? "good dot" : "warn dot", one.state)),
    make("td", {}, make("span", { className: "mono", textContent: one.config_version }), " ",
      one.config_set ? make("span", { className: "soft", textContent: `set ${one.config_set} ` }) : null,
      last ? make("span", { title: last.message }, badge("bad", "refuses the last change")) : one.config_version.split("+")[0] === inForce ? null : badge("warn", "another")),
    make("td", { className: "nowrap" }, ago(one.in_force_since)),
    make("td", { className: "number", textContent: String(one.workers) }),
    make("td", { className: "mono", textContent: one.gateway_version }));
}

async function replicas() {
  const found = await get("/api/replicas");
  at("replicas").hidden = found.shared === "off";
  if (found.shared === "off") return;
  const inForce = found.replicas.find((one) => one.is_this).config_version.split("+")[0];
  at("replicas-state").className = `badge ${found.shared === "ok" ? "good" : "warn"} dot`;
  at("replicas-state").textContent = found.shared === "ok" ? "by Redis" : "Redis is away: this one alone is known";
  at("replica-rows").replaceChildren(...found.replicas.map((one) => replicaLine(one, inForce)));
}

at("against").addEventListener("change", () => choose(query().get("version"), at("against").value));
at("restore").addEventListener("click", () => busy(at("restore"), restore));
addEventListener("popstate", () => { showVersions(); compare().catch(toastError); });
Promise.allSettled([look().catch(toastError), rejected(), replicas()])
  .then(() => repeat(() => Promise.allSettled([look(), rejected(), replicas()]), LOOK_MS));
