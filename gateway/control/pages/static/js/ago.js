// How long ago something was, as an element that goes on to be right while the page is open.

import { all, make } from "./dom.js";
import { since, time } from "./format.js";

const EVERY_MS = 10000;

/** "3 minutes ago", with the time itself as its title; *otherwise* where there is none. */
export function ago(value, otherwise = "–") {
  return value ? make("time", { dateTime: value, title: time(value), textContent: since(value), "data-ago": "" }) : otherwise;
}

setInterval(() => {
  for (const element of all("time[data-ago]")) {
    const words = since(element.dateTime);
    if (element.textContent !== words) element.textContent = words;
  }
}, EVERY_MS);
