// Signing in with a password or a token.

import { Refused, post } from "./way_in.js";
import { all, at, busy } from "./dom.js";

let way = "password";

function choose(next) {
  way = next;
  for (const button of all("[data-way]")) button.setAttribute("aria-pressed", String(button.dataset.way === way));
  at("by-password").hidden = way !== "password";
  at("by-token").hidden = way !== "token";
  at("error").textContent = "";
  at(way === "token" ? "token" : "password").focus();
}

async function signIn() {
  const body = way === "token" ? { token: at("token").value.trim() } : { user: at("user").value.trim(), password: at("password").value };
  at("error").textContent = "";
  try {
    await post("/api/sign-in", body);
    location.assign(at("sign-in").dataset.next + location.hash);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    at("error").textContent = error.code === "invalid_parameter" ? "Fill in every field." : error.message;
    at(way === "token" ? "token" : "password").select();
  }
}

for (const button of all("[data-way]")) button.addEventListener("click", () => choose(button.dataset.way));
at("sign-in").addEventListener("submit", (event) => { event.preventDefault(); busy(at("go"), signIn); });
at("password").focus();
