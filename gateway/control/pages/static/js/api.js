// Asking the API. What it refuses is an error with its own words; a session that has ended leads to signing in.

const csrf = document.querySelector('meta[name="csrf-token"]')?.content ?? "";

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
  const data = await reply.json().catch(() => ({}));
  if (reply.status === 401 && !staysOn.includes(401)) signIn();
  if (!reply.ok) throw new Refused(reply.status, data.error || {});
  return { data, tag: reply.headers.get("etag"), headers: reply.headers };
}

/** What GET *path* answers. */
export async function get(path, options) {
  return (await ask("GET", path, undefined, options)).data;
}

/** Go and sign in, and come back here. */
export function signIn() {
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/** Headers that a request of one's own needs (a stream by fetch, say). */
export function changeHeaders() {
  return { "X-CSRF-Token": csrf, "Content-Type": "application/json" };
}
