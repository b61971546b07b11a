// How targets do, as badges that are kept up to date: watchTargets() asks every two seconds while the page is seen.

import { get } from "./api.js";
import { all, badge, repeat } from "./dom.js";
import { duration } from "./format.js";

const EVERY_MS = 2000;
const WORDS = {
  closed: ["good", "Healthy"], open: ["bad", "Circuit open"], half_open: ["warn", "Trying again"], "half-open": ["warn", "Trying again"],
  drained: ["warn", "Drained"], cool_down: ["warn", "Paused"],
};
// A target may be written by its resource name, <tenant>:<provider>:<account>:model:<model>.
const RESOURCE = /^[^:/]*:[^:]+:([^:]+):model:(.+)$/;
let targets = new Map();

/** Kind and words for one entry of /api/targets; undefined: not asked yet, or not configured. */
export function stateOf(entry) {
  if (!entry) return ["bad", "Not configured"];
  if (entry.missing_secret) return ["bad", "Key missing"];
  const state = entry.is_drained ? "drained" : entry.skip_reason === "cool_down" ? "cool_down" : entry.circuit;
  const [kind, words] = WORDS[state] || ["", state];
  if (state === "closed" && !entry.attempts.good && !entry.attempts.sick && !entry.times.samples) return ["", "Not asked lately"];
  return entry.wait_ms > 0 ? [kind, `${words}, ${duration(entry.wait_ms)} left`] : [kind, words];
}

/** A badge for the target *name*, which may be empty. */
export function targetBadge(name) {
  const box = document.createElement("span");
  box.dataset.target = name;
  fill(box);
  return box;
}

function fill(box) {
  const name = box.dataset.target;
  if (!name || !targets.size) { box.replaceChildren(); return; }
  const entry = targets.get(name.replace(RESOURCE, "$1/$2"));
  const [kind, words] = stateOf(entry);
  if (box.textContent !== words) box.replaceChildren(badge(`${kind} dot`, words));
  box.title = entry?.missing_secret ?? "";
}

export const targetNames = () => [...targets.keys()];

/** Keep badges right; *told* gets all entries each time. */
export async function watchTargets(told = () => {}) {
  const look = async () => {
    const found = (await get("/api/targets")).targets;
    targets = new Map(found.map((entry) => [entry.target, entry]));
    for (const box of all("[data-target]")) fill(box);
    told(found);
  };
  try { await look(); } finally { repeat(look, EVERY_MS); }
}
