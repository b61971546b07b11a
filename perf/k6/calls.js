// What the scripts beside this file share: where to send what, all from the environment.
//
//   GATEWAY_URL   http://127.0.0.1:8787   the gateway's address: what comes before /v1, or with it
//   GATEWAY_KEY   demo-key                the caller's key; empty: none is sent
//   GATEWAY_MODEL demo/echo               what the gateway calls the model
//   UPSTREAM_URL                          the model server itself, to compare with; none: the overhead is what the
//                                         gateway says of itself in `server-timing`
//   UPSTREAM_KEY, UPSTREAM_MODEL          for the model server (GATEWAY_MODEL without the part before the slash)
//   RATE 350, DURATION 30s                calls begun per second, and for how long

import http from "k6/http";

// Copied addresses often end with a slash, or with what SDKs want: `//v1` and `/v1/v1` are other paths.
const addressOf = (text) => text.replace(/\/+$/, "").replace(/\/v1$/, "");
const gatewayModel = __ENV.GATEWAY_MODEL || "demo/echo";

export const rate = Number(__ENV.RATE || 350);
export const duration = __ENV.DURATION || "30s";
export const gateway = {
  url: addressOf(__ENV.GATEWAY_URL || "http://127.0.0.1:8787"),
  key: __ENV.GATEWAY_KEY ?? "demo-key",
  model: gatewayModel,
};
export const upstream = __ENV.UPSTREAM_URL
  ? {
      url: addressOf(__ENV.UPSTREAM_URL),
      key: __ENV.UPSTREAM_KEY ?? "",
      model: __ENV.UPSTREAM_MODEL || gatewayModel.replace(/^[^/]*\//, ""),
    }
  : null;

export function ask(server, name, more) {
  const body = {
    model: server.model,
    messages: [
      { role: "system", content: "You are a helpful assistant." },
      { role: "user", content: "The quick brown fox jumps over the lazy dog. ".repeat(9) },
    ],
    temperature: 0.2,
    max_tokens: 256,
    ...more,
  };
  const headers = { "content-type": "application/json" };
  if (server.key) headers.authorization = `Bearer ${server.key}`;
  return http.post(`${server.url}/v1/chat/completions`, JSON.stringify(body), {
    headers,
    tags: { name },
    timeout: "30s",
  });
}

// Each phase of `server-timing` by name, in milliseconds: "auth;dur=0.1, upstream;dur=3.2" gives {auth: 0.1, ...}.
export function timings(response) {
  const found = {};
  for (const phase of (response.headers["Server-Timing"] || "").split(",")) {
    const match = /^\s*([\w-]+);dur=([\d.]+)/.exec(phase);
    if (match) found[match[1]] = Number(match[2]);
  }
  return found;
}

// Calls begin at a fixed rate, however slow the answers are.
export function constantRate(perSecond) {
  return {
    executor: "constant-arrival-rate",
    rate: perSecond,
    timeUnit: "1s",
    duration,
    preAllocatedVUs: Math.max(20, Math.ceil(perSecond / 5)),
    maxVUs: Math.max(100, perSecond),
  };
}
