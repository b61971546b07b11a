// Monitor: what calls add up to, over a range of time, split by what tells them apart. All of it is in the URL.

import { get } from "./api.js";
import { chart } from "./chart.js";
import { at, debounce, icon, make, note, renew } from "./dom.js";
import { firstCall } from "./first_call.js";
import { compact, duration, number, percent, time, timeOfDay, usd } from "./format.js";
import { parameters, range, setParameters, watchRange } from "./range.js";

const FALLBACK = "1h";
const EVERY = 5000;
const NAMES = { model: "model", target: "target", user: "user", virtual_account: "virtual account", team: "team", status: "status", error_type: "type of error" };
// What a search calls it.
const SEARCHED = { model: "asked" };
const SMALL = 8;

let charts = [];
let drawnFor = "";
let asked = null;
// An answer that takes longer than from one look to the next is waited for, not given up for another question.
let isAsking = false;

const isFilter = (name) => name in NAMES || name.startsWith("metadata.");
const filters = () => [...parameters()].filter(([name, value]) => isFilter(name) && value);
const capital = (text) => text[0].toUpperCase() + text.slice(1);
const nameOf = (dimension) => NAMES[dimension] ?? `metadata ${dimension.slice(9)}`;

/** Where the calls behind a number are; null when a label is not one value. */
function tracesOf(answer, more = {}, label = null) {
  if (label === "other" || label === "") return null;
  const wanted = new URLSearchParams({ since: answer.since, until: answer.until });
  for (const [name, value] of Object.entries(answer.filters)) wanted.set(SEARCHED[name] ?? name, value);
  if (label !== null) wanted.set(SEARCHED[answer.split_by] ?? answer.split_by, label);
  for (const [name, value] of Object.entries(more)) wanted.set(name, value);
  return `/traces?${wanted}`;
}

const errorsOnly = { status: "error" };
const slowerThan = (ms) => (ms === null ? {} : { min_duration_ms: String(Math.floor(ms)) });

// Target health and routes by latency go by another: from the start of an attempt to its first content.
const FIRST_IS = "From the start of the call, tries before included, to the first that the answering model sent, text or none";

function tile(answer, label, value, words, more = {}, title = null) {
  return make("a", { className: "card stat", href: tracesOf(answer, more), title },
    make("span", { className: "stat-label", textContent: label }), make("div", { className: "stat-value", textContent: value }),
    make("div", { className: "stat-note", textContent: words }));
}

/** What is not known to cost anything counts as nothing; which of both it is, sums do not know. */
const costWords = ({ cost_usd: cost, requests }) => (cost ? `${usd(cost / requests)} a call` : requests ? "of calls whose price is known" : "");

function showTiles(answer) {
  const total = answer.total;
  const minutes = (new Date(answer.until) - new Date(answer.since)) / 6e4;
  const latency = total.latency_ms;
  const first = total.first_token_ms;
  const gap = total.output_token_ms;
  renew(at("tiles"),
    tile(answer, "Requests", compact(total.requests), `${compact(Math.round(total.requests / minutes * 10) / 10)} a minute`),
    tile(answer, "Error rate", percent(total.error_ratio, 2), `${number(total.errors)} failed`, "status" in answer.filters ? {} : errorsOnly),
    tile(answer, "Latency, median", duration(latency.p50), `p75 ${duration(latency.p75)}, p90 ${duration(latency.p90)}`, slowerThan(latency.p50)),
    tile(answer, "Latency, p99", duration(latency.p99), `longest ${duration(latency.max)}`, slowerThan(latency.p99)),
    tile(answer, "Time to first token", duration(first.p50), `p90 ${duration(first.p90)}, p99 ${duration(first.p99)}`, {}, FIRST_IS),
    tile(answer, "Time per output token", duration(gap.p50), `p90 ${duration(gap.p90)}, p99 ${duration(gap.p99)}`),
    tile(answer, "Tokens", compact(total.input_tokens + total.output_tokens), `${compact(total.input_tokens)} in (${compact(total.cached_input_tokens)} cached), ${compact(total.output_tokens)} out`),
    tile(answer, "Cost", usd(total.cost_usd), costWords(total), total.cost_usd ? { min_cost_usd: "0.000001" } : {}));
}

/** What each chart draws: of all calls one line or more, of a split one line for each label. */
const CHARTS = [
  { title: "Requests", format: compact, whole: [["Requests", (points) => points.requests]], part: (points) => points.requests },
  { title: "Errors", format: compact, whole: [["Errors", (points) => points.errors]], part: (points) => points.errors, stroke: "--bad" },
  { title: "Latency", format: duration, split: "Latency, p99", whole: ["p50", "p75", "p90", "p99"].map((name) => [name, (points) => points.latency_ms[name]]), part: (points) => points.latency_ms.p99 },
  { title: "Time to first token", format: duration, split: "Time to first token, p90", whole: ["p50", "p90", "p99"].map((name) => [name, (points) => points.first_token_ms[name]]), part: (points) => points.first_token_ms.p90 },
  { title: "Time per output token", format: duration, split: "Time per output token, p90", whole: ["p50", "p90", "p99"].map((name) => [name, (points) => points.output_token_ms[name]]), part: (points) => points.output_token_ms.p90 },
  { title: "Tokens", format: compact, split: "Output tokens", whole: [["Input", (points) => points.input_tokens], ["of these cached", (points) => points.cached_input_tokens], ["Output", (points) => points.output_tokens]], part: (points) => points.output_tokens },
  { title: "Cost", format: usd, whole: [["Cost", (points) => points.cost_usd]], part: (points) => points.cost_usd },
];

function showCharts(answer, picker) {
  const times = answer.times.map((one) => new Date(one).getTime() / 1000);
  const groups = answer.groups.filter((group) => group.points).slice(0, SMALL);
  const isSplit = groups.length > 0;
  const lines = (one) => (isSplit ? groups.map((group) => [group.label || "none", one.part(group.points)]) : one.whole.map(([label, of]) => [label, of(answer.points)]));
  // The same lines are drawn on, so that a cursor stays where it is.
  const shape = JSON.stringify([isSplit, groups.map((group) => group.label)]);
  if (shape === drawnFor && charts.length) {
    charts.forEach((drawn, index) => drawn.update([times, ...lines(CHARTS[index]).map(([, values]) => values)]));
    return;
  }
  drawnFor = shape;
  charts.forEach((drawn) => drawn.destroy());
  const boxes = CHARTS.map((one) => {
    const title = isSplit ? one.split ?? one.title : one.title;
    const box = make("div", { className: "chart" });
    return [box, make("section", { className: "card chart-card", "aria-label": title }, make("div", { className: "card-head" }, make("h2", { textContent: title })), make("div", { className: "card-body" }, box))];
  });
  at("charts").replaceChildren(...boxes.map(([, card]) => card));
  charts = CHARTS.map((one, index) => chart(boxes[index][0], {
    series: lines(one).map(([label]) => ({ label, area: !isSplit && one.whole.length === 1, stroke: isSplit ? undefined : one.stroke })),
    data: [times, ...lines(one).map(([, values]) => values)],
    format: one.format, isWhole: one.format === compact,
    onRange: (since, until) => picker.set(new Date(since * 1000), new Date(until * 1000)),
  }));
}

const HEADS = ["Requests", "Errors", "Error rate", "p50", "p75", "p90", "p99", "First token", "Per token", "Tokens in / out", "Cost"];

function showGroups(answer) {
  at("groups").hidden = !answer.split_by;
  if (!answer.split_by) return;
  at("groups-title").textContent = `By ${nameOf(answer.split_by)}`;
  at("groups-note").textContent = answer.groups_not_shown ? `the ${number(answer.groups.length)} with most calls; ${number(answer.groups_not_shown)} more` : `${number(answer.groups.length)} in all`;
  const cell = (text, href) => make("td", { className: "number" }, href ? make("a", { href, textContent: text }) : text);
  const rows = answer.groups.map(({ label, total }) => {
    const to = (more) => tracesOf(answer, more, label);
    const all = to({});
    const narrow = make("button", { type: "button", className: "link", textContent: label || "none", title: "Show only these" });
    narrow.addEventListener("click", () => { setParameters({ [answer.split_by]: label }); load(); });
    return make("tr", {}, make("th", { scope: "row", className: "label-cell" }, narrow),
      cell(number(total.requests), all), cell(number(total.errors), total.errors ? to(errorsOnly) : null), cell(percent(total.error_ratio, 2), total.errors ? to(errorsOnly) : null),
      ...["p50", "p75", "p90", "p99"].map((name) => cell(duration(total.latency_ms[name]), to(slowerThan(total.latency_ms[name])))),
      cell(duration(total.first_token_ms.p50), all), cell(duration(total.output_token_ms.p50), all),
      cell(`${compact(total.input_tokens)} / ${compact(total.output_tokens)}`, all), cell(usd(total.cost_usd), all));
  });
  renew(at("groups-table"),
    make("thead", {}, make("tr", {}, make("th", { scope: "col", textContent: capital(nameOf(answer.split_by)) }), HEADS.map((head) => make("th", { scope: "col", className: "number", title: head === "First token" ? FIRST_IS : null, textContent: head })))),
    make("tbody", {}, rows.length ? rows : make("tr", {}, make("td", { colSpan: HEADS.length + 1, className: "soft", textContent: "No call in this time says so." }))));
}

function showFilters() {
  renew(at("filters"), ...filters().map(([name, value]) => {
    const chip = make("button", { type: "button", className: "small chip", "aria-label": `Without the filter ${nameOf(name)} ${value}` }, make("span", { textContent: `${nameOf(name)}: ${value}` }), icon("close", "small"));
    chip.addEventListener("click", () => { setParameters({ [name]: null }); load(); });
    return chip;
  }));
}

function showReach(answer) {
  const { traces_since: traces, metrics_since: metrics, hours_since: hours, minutes_since: minutes, sums_dropped: dropped } = answer.reach;
  const grain = { minute: "by the minute", hour: "by the hour", day: "by the day (UTC)" }[answer.grain];
  const finer = [hours && hours > metrics ? `by the hour to ${time(hours)}` : "", minutes && minutes > (hours ?? metrics) ? `by the minute to ${time(minutes)}` : ""].filter(Boolean);
  at("reach").textContent = metrics ? [
    `Numbers reach back to ${time(metrics)}${finer.length ? `, ${finer.join(", ")}` : ""}; they are read ${grain} here. Traces reach back to ${traces ? time(traces) : "nothing yet"}.`,
    dropped ? `Some numbers had to go early, the oldest first: the store is full (--traces-max-bytes).` : "",
    `As of ${timeOfDay(new Date())}.`].filter(Boolean).join(" ") : "";
}

/** Metadata is counted for itself: what else is asked with it cannot be told. */
function isTooMuch(split) {
  const asked = new Set([...filters().map(([name]) => name), ...(split ? [split] : [])]);
  return asked.size > 1 && [...asked].some((name) => name.startsWith("metadata."));
}

function showTooMuch(split) {
  const { since, until } = range(FALLBACK);
  const wanted = new URLSearchParams(filters().map(([name, value]) => [SEARCHED[name] ?? name, value]));
  if (since) wanted.set("since", since);
  if (until) wanted.set("until", until);
  const others = [...new Set([...filters().map(([name]) => nameOf(name)), ...(split ? [nameOf(split)] : [])])];
  const told = note("info", "Metadata cannot be combined here");
  told.append(make("span", {},
    `Calls are counted by one key of metadata at a time, and not together with another split or filter (now: ${others.join(", ")}). Take one away, or `,
    make("a", { href: `/traces?${wanted}`, textContent: "see the calls themselves" }), ", where all filters go together."));
  at("trouble").replaceChildren(told);
  at("shown").hidden = true;
  at("reach").textContent = "";
}

function showSplit() {
  const split = parameters().get("split_by") ?? "";
  const isMetadata = split.startsWith("metadata");
  at("split").value = isMetadata ? "metadata" : split;
  at("metadata-key").hidden = !isMetadata;
  if (isMetadata && document.activeElement !== at("metadata-key")) at("metadata-key").value = split.slice(9);
}

let picker;

async function load() {
  asked?.abort();
  isAsking = false;
  const mine = asked = new AbortController();
  showFilters();
  showSplit();
  const { since, until } = range(FALLBACK);
  const wanted = new URLSearchParams(filters());
  if (since) wanted.set("since", since);
  if (until) wanted.set("until", until);
  const split = parameters().get("split_by") ?? "";
  const isSplit = split && split !== "metadata" && split !== "metadata.";
  if (isSplit) wanted.set("split_by", split);
  if (isTooMuch(isSplit ? split : "")) {
    showTooMuch(isSplit ? split : "");
    return;
  }
  isAsking = true;
  try {
    const answer = await get(`/api/metrics/query?${wanted}`, { signal: mine.signal });
    at("trouble").replaceChildren();
    const isEmpty = !answer.reach.metrics_since;
    // Made once: who is on a link in it stays there.
    if (isEmpty !== Boolean(at("nothing").firstChild)) at("nothing").replaceChildren(...(isEmpty ? [firstCall(at("monitor").dataset.gateway)] : []));
    at("shown").hidden = isEmpty;
    at("controls").hidden = isEmpty;
    if (!isEmpty) {
      showTiles(answer);
      showCharts(answer, picker);
      showGroups(answer);
    }
    showReach(answer);
    at("shown").setAttribute("aria-busy", "false");
  } catch (error) {
    if (error.name === "AbortError") return;
    at("tiles").querySelector(".skeleton")?.remove();
    at("trouble").replaceChildren(note("bad", "The numbers cannot be shown", error.message));
  } finally {
    if (asked === mine) isAsking = false;
  }
}

at("split").addEventListener("change", () => {
  const value = at("split").value;
  setParameters({ split_by: value });
  load();
  if (value === "metadata") at("metadata-key").focus();
});
at("metadata-key").addEventListener("input", debounce(() => { setParameters({ split_by: `metadata.${at("metadata-key").value.trim()}` }); load(); }, 400));
at("controls").addEventListener("submit", (event) => event.preventDefault());

let timer = null;
function setLive(isLive) {
  clearInterval(timer);
  timer = isLive ? setInterval(() => { if (!document.hidden && !isAsking && range(FALLBACK).isLive) load(); }, EVERY) : null;
  at("live").setAttribute("aria-pressed", String(isLive));
}
at("live").addEventListener("click", () => {
  const isLive = at("live").getAttribute("aria-pressed") !== "true";
  setLive(isLive);
  at("told").textContent = isLive ? "The numbers follow what happens." : "The numbers stand still.";
  if (isLive) load();
});

picker = watchRange(FALLBACK, load);
setLive(true);
load();
