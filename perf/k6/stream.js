// Streamed chat calls at a constant rate: k6 reads each answer whole, so this is time to the first byte, time to the
// last, and whether every stream came to its end; gaps between events are measured by `python -m perf`.
//
//   k6 run -e GATEWAY_URL=https://gateway.example -e GATEWAY_KEY=... -e GATEWAY_MODEL=vm/chat -e RATE=20 perf/k6/stream.js

import { check } from "k6";
import { Counter, Rate, Trend } from "k6/metrics";

import { ask, constantRate, gateway, rate } from "./calls.js";

const firstByte = new Trend("stream_first_byte", true);
const whole = new Trend("stream_whole", true);
const events = new Counter("stream_events");
const failed = new Rate("stream_failed");

export const options = {
  scenarios: { stream: constantRate(Number(__ENV.RATE ? rate : 20)) },
  thresholds: { stream_failed: ["rate==0"], dropped_iterations: ["count==0"] },
  summaryTrendStats: ["min", "med", "p(95)", "p(99)", "max"],
};

export default function () {
  const response = ask(gateway, "gateway", { stream: true });
  const good = check(response, {
    "status is 200": (answer) => answer.status === 200,
    "it ends with the end mark": (answer) => (answer.body || "").trimEnd().endsWith("data: [DONE]"),
  });
  failed.add(!good);
  if (!good) return;
  firstByte.add(response.timings.waiting);
  whole.add(response.timings.waiting + response.timings.receiving);
  events.add(response.body.split("data: ").length - 1);
}
