// Setting a password by a one-time link. Its secret is after the # of the address, and leaves the address at once.

import { Refused, post } from "./way_in.js";
import { at, busy } from "./dom.js";

const link = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

function fault() {
  if (!link) return "This address lacks its last part: open the link as it was printed.";
  if (at("password").value.length < Number(at("first").dataset.minLength)) return `Use at least ${at("first").dataset.minLength} characters.`;
  return at("password").value === at("again").value ? "" : "The two are not the same.";
}

async function set() {
  at("error").textContent = fault();
  if (at("error").textContent) return;
  try {
    await post("/api/first", { link, password: at("password").value });
    location.assign("/");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    at("error").textContent = error.message;
  }
}

at("first").addEventListener("submit", (event) => { event.preventDefault(); busy(at("go"), set); });
at("password").focus();
if (!link) at("error").textContent = fault();
