// Asking the API. What it refuses is an error with its own words; a session that has ended leads to signing in, but not
// away from what somebody has typed.

import { make } from "./dom.js";
import { toast } from "./toast.js";

const tokenOf = (page) => page.querySelector('meta[name="csrf-token"]')?.content ?? "";
// Name and role, as the menu says them.
const operatorOf = (page) => page.querySelector(".menu-title")?.textContent ?? "";
let csrf = tokenOf(document);
let isTyped = () => false;
let ended = null;

export class Refused extends Error {
  constructor(status, error) {
    super(error.message || `the control plane answered ${status}`);
    this.status = status;
    this.code = error.code || "";
    this.problems = error.problems || [];
    this.details = error;
  }
}

/** One request. Gives {data, tag, headers}; throws Refused. `options`: headers, signal, staysOn (statuses that are an
 *  answer here, where 401 would lead to signing in). A body that is text is sent as it is. */
export async function ask(method, path, body, { headers = {}, signal, staysOn = [] } = {}) {
  const sent = csrf;
  const { reply, data } = await exchange(method, path, { headers, signal, body });
  if (reply.status === 403 && data.error?.code === "csrf" && await renewed(sent)) return ask(method, path, body, { headers, signal, staysOn });
  if (reply.status === 401 && !staysOn.includes(401)) signIn();
  if (!reply.ok) throw new Refused(reply.status, data.error || {});
  ended?.remove();
  return { data, tag: reply.headers.get("etag"), headers: reply.headers };
}

async function exchange(method, path, { headers, signal, body }) {
  const sent = { Accept: "application/json", ...headers };
  if (method !== "GET") {
    sent["X-CSRF-Token"] = csrf;
    sent["Content-Type"] ??= "application/json";
  }
  let reply;
  try {
    reply = await fetch(path, { method, headers: sent, signal, body: body === undefined || typeof body === "string" ? body : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { code: "unreachable", message: "The control plane does not answer." });
  }
  return { reply, data: await reply.json().catch(() => ({})) };
}

/** Whether the same operator has signed in anew, in another tab: what this page sends is of their session from now on. */
async function renewed(sent) {
  if (csrf !== sent) return true;
  const reply = await fetch(location.pathname + location.search).catch(() => null);
  if (!reply?.ok) return false;
  const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
  const token = tokenOf(fresh);
  if (!token || token === sent || operatorOf(fresh) !== operatorOf(document)) return false;
  csrf = token;
  return true;
}

/** While *check* says so there is something typed and not saved: who leaves the page is asked. */
export function keepTyped(check) {
  isTyped = check;
  addEventListener("beforeunload", (event) => { if (isTyped()) event.preventDefault(); });
}

/** What GET *path* answers. */
export async function get(path, options) {
  return (await ask("GET", path, undefined, options)).data;
}

/** Go and sign in, and come back here; where something is typed, in another tab. */
export function signIn() {
  const address = `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`;
  if (!isTyped()) { location.assign(address); return; }
  if (ended?.isConnected) return;
  const link = make("a", { href: address, target: "_blank", textContent: "Sign in in another tab" });
  ended = toast("bad", "Your session has ended", make("span", {}, "What you typed is still here. ", link, ", then save it."));
}

/** Headers that a request of one's own needs (a stream by fetch, say). */
export function changeHeaders() {
  return { "X-CSRF-Token": csrf, "Content-Type": "application/json" };
}
