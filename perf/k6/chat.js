// Chat calls at a constant rate, and what the gateway adds to them.
//
//   k6 run -e GATEWAY_URL=https://gateway.example -e GATEWAY_KEY=... -e GATEWAY_MODEL=vm/chat perf/k6/chat.js
//
// Thresholds: the seed vendor's promise, overhead p95 under 4 ms at 350 requests a second on one core, and that
// the rate was reached without errors. With UPSTREAM_URL each iteration asks the model server and the gateway, one
// after the other (which of them first changes), and the overhead is the difference of the two: noise of both is
// in it, so it is never flattering.

import { check } from "k6";
import { Rate, Trend } from "k6/metrics";

import { ask, constantRate, gateway, rate, timings, upstream } from "./calls.js";

const overhead = new Trend("gateway_overhead", true);
const isKnown = new Rate("gateway_overhead_known");
const failed = new Rate("chat_failed");

export const options = {
  discardResponseBodies: false,
  scenarios: { chat: constantRate(rate) },
  thresholds: {
    gateway_overhead_known: ["rate==1"],
    gateway_overhead: [`p(95)<${Number(__ENV.MAX_OVERHEAD_MS || 4)}`],
    chat_failed: ["rate==0"],
    dropped_iterations: ["count==0"],
    // No threshold, but a line of its own in the summary.
    "http_req_duration{name:direct}": [],
    "http_req_duration{name:gateway}": [],
  },
  summaryTrendStats: ["min", "med", "p(95)", "p(99)", "max"],
};

function chat(server, name) {
  const response = ask(server, name);
  const good = check(response, {
    "status is 200": (answer) => answer.status === 200,
    "it is an answer": (answer) => answer.status === 200 && answer.json("choices.0.message.content") !== undefined,
  });
  failed.add(!good);
  return response;
}

export default function () {
  if (upstream === null) {
    const phases = timings(chat(gateway, "gateway"));
    // A gateway that does not say where the time went needs UPSTREAM_URL: a promise not measured is not kept.
    isKnown.add("total" in phases && "upstream" in phases);
    if ("total" in phases && "upstream" in phases) overhead.add(phases.total - phases.upstream);
    return;
  }
  const isDirectFirst = __ITER % 2 === 0;
  const first = isDirectFirst ? chat(upstream, "direct") : chat(gateway, "gateway");
  const second = isDirectFirst ? chat(gateway, "gateway") : chat(upstream, "direct");
  const difference = second.timings.duration - first.timings.duration;
  isKnown.add(true);
  overhead.add(isDirectFirst ? difference : -difference);
}
