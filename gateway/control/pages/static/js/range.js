// The range of time in the URL: ?range=1h, or ?since=...&until=... (RFC 3339). Buttons and form are templates/range.html.

import { all, at } from "./dom.js";
import { time } from "./format.js";

const UNITS = { m: 6e4, h: 36e5, d: 864e5 };
const KNOWN = /^(\d{1,4})([mhd])$/;

export const parameters = () => new URLSearchParams(location.search);

/** Put *changes* into the URL (null takes out) without loading the page anew. */
export function setParameters(changes) {
  const now = parameters();
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") now.delete(name); else now.set(name, value);
  }
  const text = now.toString();
  history.pushState(null, "", text ? `?${text}` : location.pathname);
}

/** {since, until, isLive}: RFC 3339 texts; *fallback* is a range such as 1h, or "" for all times. */
export function range(fallback) {
  const now = parameters();
  if (now.get("since") || now.get("until")) return { since: now.get("since"), until: now.get("until"), isLive: false, name: "" };
  const name = KNOWN.test(now.get("range") ?? "") ? now.get("range") : fallback;
  const [, count, unit] = KNOWN.exec(name) ?? [];
  if (!count) return { since: null, until: null, isLive: true, name: "" };
  return { since: new Date(Date.now() - count * UNITS[unit]).toISOString(), until: null, isLive: true, name };
}

// An address may have been cut or mistyped on its way here; what is wrong with it the server says.
const isTime = (value) => !Number.isNaN(new Date(value).getTime());
const local = (value) => { const at = new Date(value); return new Date(at - at.getTimezoneOffset() * 6e4).toISOString().slice(0, 19); };

/** Follow the buttons, the form and the browser's own back and forward. */
export function watchRange(fallback, onChange) {
  const show = () => {
    const found = range(fallback);
    const [since, until] = [found.since, found.until].map((value) => (value && isTime(value) ? value : null));
    for (const button of all("#ranges [data-range]")) button.setAttribute("aria-pressed", String(button.dataset.range === found.name));
    at("range-text").textContent = found.isLive || !(since || until) ? "Other times" : `${since ? time(since) : "the beginning"} to ${until ? time(until) : "now"}`;
    at("range-since").value = local(since ?? Date.now() - UNITS.h);
    at("range-until").value = local(until ?? Date.now());
  };
  const change = (changes) => { setParameters(changes); show(); onChange(); };
  for (const button of all("#ranges [data-range]")) button.addEventListener("click", () => change({ range: button.dataset.range, since: null, until: null }));
  at("range-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const since = new Date(at("range-since").value);
    const until = new Date(at("range-until").value);
    const isRange = since < until;
    at("range-error").textContent = isRange ? "" : "From must be before To.";
    if (!isRange) return;
    at("range-menu").open = false;
    change({ range: null, since: since.toISOString(), until: until.toISOString() });
  });
  addEventListener("popstate", () => { show(); onChange(); });
  show();
  return { show, set: (since, until) => change({ range: null, since: since.toISOString(), until: until.toISOString() }) };
}
