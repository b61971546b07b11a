// Traces: search, list, and what comes now. The search is in the URL.

import { get, signIn } from "./api.js";
import { all, at, badge, empty, make, note } from "./dom.js";
import { firstCall } from "./first_call.js";
import { compact, duration, number, time, usd } from "./format.js";
import { parameters, range, setParameters, watchRange } from "./range.js";
import { toastError } from "./toast.js";

const PAGE = 50;
const MOST_SHOWN = 500;
const fields = all("#search-form [name]");
const isMember = (name) => name.startsWith("metadata.");
let cursor = null;
let searchedTo = null;
let asked = null;
let tail = null;
let body = null;

function search() {
  const wanted = new URLSearchParams();
  const now = parameters();
  for (const [name, value] of now) if (value && (isMember(name) || fields.some((field) => field.name === name))) wanted.set(name, value);
  const { since, until } = range("");
  if (since) wanted.set("since", since);
  if (until) wanted.set("until", until);
  return wanted;
}

const isNarrow = () => [...search().keys()].length > 0;

function showForm() {
  const now = parameters();
  for (const field of fields) {
    const value = now.get(field.name) ?? "";
    if (field.tagName === "SELECT" && value && ![...field.options].some((option) => option.value === value)) field.append(make("option", { value, textContent: value }));
    field.value = value;
  }
  const [name, value] = [...now].find(([one]) => isMember(one)) ?? ["metadata.", ""];
  at("metadata-key").value = name.slice(9);
  at("metadata-value").value = value;
  if (all("#more input").some((input) => input.value)) at("more").open = true;
}

const statusBadge = (call) => (call.status === "error" ? badge("bad", String(call.status_code || "error")) : badge(call.status_code === 499 ? "warn" : "good", String(call.status_code || "ok")));

function row(call) {
  const model = call.model && call.resolved_model && call.model !== call.resolved_model ? `${call.model} → ${call.resolved_model}` : call.model ?? call.resolved_model ?? call.name;
  const usage = call.usage;
  const tokens = usage.input_tokens === null && usage.output_tokens === null ? "–" : `${compact(usage.input_tokens ?? 0)} / ${compact(usage.output_tokens ?? 0)}`;
  return make("tr", {},
    make("td", { className: "nowrap" }, make("a", { href: `/traces/${call.trace_id}`, textContent: time(call.started_at) })),
    make("td", {}, statusBadge(call)),
    make("td", { className: "label-cell" }, model, call.error_type ? make("div", { className: "error", textContent: call.error_type }) : null),
    make("td", { className: "label-cell", textContent: call.caller ?? "–" }),
    make("td", { className: "number", textContent: duration(call.duration_ms) }),
    make("td", { className: "number", textContent: tokens }),
    make("td", { className: "number", textContent: usd(call.cost_usd) }),
    make("td", { className: "number", textContent: number(call.attempts) }));
}

const HEADS = [["Started"], ["Status"], ["Model"], ["Caller"], ["Took", "number"], ["Tokens in / out", "number"], ["Cost", "number"], ["Attempts", "number"]];

function showTable() {
  body = make("tbody");
  at("list").replaceChildren(make("div", { className: "table-scroll", tabIndex: 0, role: "region", "aria-label": "Calls" },
    make("table", { className: "data", id: "calls" },
      make("thead", {}, make("tr", {}, HEADS.map(([head, kind]) => make("th", { scope: "col", className: kind ?? "", textContent: head })))), body)));
}

function showCount() {
  at("list-foot").hidden = !body && !searchedTo;
  at("older").hidden = cursor === null;
  at("older").textContent = searchedTo ? "Search further back" : "Older calls";
  const shown = body?.rows.length ?? 0;
  const words = [`${number(shown)} ${shown === 1 ? "call" : "calls"}${cursor === null ? "" : " so far"}`, searchedTo ? `searched back to ${time(searchedTo)}` : ""];
  at("count").textContent = words.filter(Boolean).join(", ");
}

function showNothing() {
  body = null;
  at("list").replaceChildren(isNarrow()
    ? searchedTo ? empty("search", "No call like that so far", "Many had to be looked at, so the search has stopped. It can go on.")
      : empty("search", "No call like that", "Take a filter away, or look at a longer time.")
    : firstCall(at("traces").dataset.gateway));
}

async function load(isMore = false) {
  asked?.abort();
  const mine = asked = new AbortController();
  const wanted = search();
  wanted.set("limit", String(PAGE));
  if (isMore && cursor) wanted.set("cursor", cursor);
  try {
    const page = await get(`/api/traces?${wanted}`, { signal: mine.signal });
    at("trouble").replaceChildren();
    cursor = page.next_cursor;
    searchedTo = page.searched_back_to;
    if (!isMore) {
      if (page.traces.length) showTable(); else showNothing();
    } else if (!body && page.traces.length) showTable();
    const told = page.traces.length ? `${page.traces.length}${cursor ? " or more" : ""} calls found` : "No call found";
    at("told").textContent = searchedTo ? `${told}, searched back to ${time(searchedTo)}` : told;
    body?.append(...page.traces.map(row));
    showCount();
  } catch (error) {
    if (error.name === "AbortError") return;
    at("list").querySelector(".skeleton")?.remove();
    at("trouble").replaceChildren(note("bad", "The calls cannot be shown", error.message));
  }
}

function submit() {
  const changes = Object.fromEntries(fields.map((field) => [field.name, field.value.trim()]));
  for (const name of [...parameters().keys()].filter(isMember)) changes[name] = null;
  const key = at("metadata-key").value.trim();
  if (key && at("metadata-value").value.trim()) changes[`metadata.${key}`] = at("metadata-value").value.trim();
  setParameters(changes);
  renew();
}

// Live tail.

function follow() {
  tail?.close();
  const wanted = search();
  wanted.delete("until");
  wanted.delete("since");
  const url = `/api/traces/tail?${wanted}`;
  const mine = tail = new EventSource(url);
  // A break mends itself; what is refused is not asked again.
  tail.addEventListener("error", () => { if (mine === tail && mine.readyState === EventSource.CLOSED) refused(url).catch(toastError); });
  tail.addEventListener("skipped", () => at("trouble").replaceChildren(note("warn", "More calls came than can be shown at once", "Some were left out here. A filter makes them fewer; the list has them all when you search again.")));
  tail.addEventListener("traces", (event) => {
    if (!body) showTable();
    for (const call of JSON.parse(event.data).traces) {
      const shown = row(call);
      shown.className = "new-call";
      body.prepend(shown);
    }
    while (body.rows.length > MOST_SHOWN) body.deleteRow(-1);
    showCount();
  });
  tail.addEventListener("trouble", (event) => at("trouble").replaceChildren(note("warn", "The tail had trouble", JSON.parse(event.data).message)));
}

/** Say why nothing follows; an EventSource does not tell it. */
async function refused(url) {
  setLive(false);
  const asking = new AbortController();
  const reply = await fetch(url, { signal: asking.signal });
  if (reply.status === 401) { signIn(); return; }
  const error = reply.ok ? {} : (await reply.json().catch(() => ({}))).error ?? {};
  asking.abort();
  at("trouble").replaceChildren(note("warn", "Nothing is followed any more", error.message ?? "Switch Live tail on again."));
}

function setLive(isLive) {
  at("live").setAttribute("aria-pressed", String(isLive));
  at("told").textContent = isLive ? "New calls appear as they end." : "";
  if (isLive) follow(); else { tail?.close(); tail = null; }
}

function renew() {
  showForm();
  load();
  if (tail) follow();
}

at("search-form").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
at("f-status").addEventListener("change", submit);
at("clear").addEventListener("click", () => { history.pushState(null, "", location.pathname); picker.show(); renew(); });
at("older").addEventListener("click", () => load(true));
at("live").addEventListener("click", () => setLive(!tail));
addEventListener("pagehide", () => tail?.close());

const picker = watchRange("", renew);
renew();
