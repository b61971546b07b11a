// Charts: uPlot in our colours, and sparklines. A page that uses `chart` loads vendor/uplot in its `modules` block.

import { svg } from "./dom.js";
import { axisTimes, time } from "./format.js";

/** The value of a colour token as the canvas needs it, in the theme of this moment. */
export function colour(token) {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const WHOLE = Array.from({ length: 13 }, (_no, power) => [1, 2, 5].map((one) => one * 10 ** power)).flat();

export const seriesColour = (index) => colour(`--series-${(index % 8) + 1}`);

/** A line chart of columns over time (seconds) in *box*; `series`: [{label, value: (number) => text, area}]; of *isWhole* numbers
 *  the axis has no half ones.
 *  Follows the width of *box* and the theme. Gives {update(data), destroy()}. */
export function chart(box, { series, data, format = String, isWhole = false, onRange = null }) {
  let plot = null;
  let shown = data;
  // A canvas does not know of rem: on a large screen letters and height grow with those of the page.
  const rem = () => parseFloat(getComputedStyle(document.documentElement).fontSize);
  const height = () => Math.round(13 * rem());
  const axis = () => ({ stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: `${Math.round(0.75 * rem())}px ${getComputedStyle(document.body).fontFamily}` });
  const draw = () => {
    plot?.destroy();
    plot = new window.uPlot({
      width: Math.max(200, box.clientWidth), height: height(), class: series.length > 1 ? "several" : "single", padding: [8, 1.75 * rem(), 0, 0],
      cursor: { drag: { x: Boolean(onRange), y: false, setScale: false }, points: { size: 6 } },
      legend: { live: true },
      scales: { x: { time: true }, y: { range: (_plot, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] } },
      axes: [{ ...axis(), size: 3.5 * rem(), gap: 0.5 * rem(), space: 4.75 * rem(), values: (_plot, times, _axis, _space, step) => axisTimes(times, step) }, { ...axis(), size: 4 * rem(), ...(isWhole ? { incrs: WHOLE } : {}), values: (_plot, values) => values.map((value) => format(value)) }],
      series: [{ value: (_plot, value) => (isGap(value) ? "–" : time(new Date(value * 1000))) }, ...series.map((one, index) => ({
        label: one.label, stroke: one.stroke ? colour(one.stroke) : seriesColour(index), width: 1.75, points: { show: false, size: 5, filter: alone }, spanGaps: false,
        fill: one.area ? faint(one.stroke ? colour(one.stroke) : seriesColour(index)) : undefined,
        value: (_plot, value) => (value === null || value === undefined ? "–" : (one.value || format)(value)),
      }))],
      hooks: { setCursor: [(self) => self.root.classList.toggle("pointed", self.cursor.idx !== null && self.cursor.idx !== undefined)], setSelect: [(self) => {
        if (!onRange || self.select.width < 4) return;
        onRange(self.posToVal(self.select.left, "x"), self.posToVal(self.select.left + self.select.width, "x"));
        self.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
      }] },
    }, shown, box);
  };
  const sized = new ResizeObserver(() => plot?.setSize({ width: Math.max(200, box.clientWidth), height: height() }));
  const system = matchMedia("(prefers-color-scheme: dark)");
  draw();
  sized.observe(box);
  document.addEventListener("theme", draw);
  system.addEventListener("change", draw);
  return {
    update(next) { shown = next; plot.setData(next); },
    destroy() { sized.disconnect(); document.removeEventListener("theme", draw); system.removeEventListener("change", draw); plot?.destroy(); },
  };
}

// A value between gaps has no line: it is a point, or nobody would see it.
const isGap = (value) => value === null || value === undefined;
function alone(plot, index) {
  const values = plot.data[index];
  const found = [];
  for (let at = 0; at < values.length; at += 1) if (!isGap(values[at]) && isGap(values[at - 1]) && isGap(values[at + 1])) found.push(at);
  return found.length ? found : null;
}

const faint = (value) => value.replace(/^rgb\((.*)\)$/, "rgba($1, 0.12)");

/** A small line without axes: an <svg class="spark"> of *values*; *label* says it in words. */
export function sparkline(values, label) {
  const width = 100;
  const high = 30;
  const top = Math.max(...values, 1e-9);
  const points = values.map((value, index) => [values.length > 1 ? (index / (values.length - 1)) * width : width, high - (value / top) * (high - 2) - 1]);
  const line = points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");
  const picture = svg("svg", { class: "spark", viewBox: `0 0 ${width} ${high}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  if (points.length) picture.append(svg("path", { class: "area", d: `${line}L${width} ${high}L${points[0][0].toFixed(2)} ${high}Z` }), svg("path", { d: line }));
  return picture;
}
