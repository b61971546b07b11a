// Numbers, times and money as people read them, in the viewer's language and time zone.

const plain = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const dayTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const ago = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const NOTHING = "–";
// Each unit, its length, and how many of it are said as one of the next.
const STEPS = [["second", 1e3, 60], ["minute", 6e4, 60], ["hour", 36e5, 24], ["day", 864e5, 30], ["month", 2592e6, 12], ["year", 31536e6, Infinity]];

const isMissing = (value) => value === null || value === undefined || Number.isNaN(value);

export const number = (value) => (isMissing(value) ? NOTHING : plain.format(value));
/** 12,345 as 12.3K. */
export const compact = (value) => (isMissing(value) ? NOTHING : Math.abs(value) < 10000 ? plain.format(value) : short.format(value));
export const percent = (ratio, digits = 1) => (isMissing(ratio) ? NOTHING
  : new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: digits }).format(ratio));

/** Milliseconds: 0.42 ms, 812 ms, 3.1 s, 2 min 5 s. */
export function duration(ms) {
  if (isMissing(ms)) return NOTHING;
  if (ms < 10) return `${Number(ms.toPrecision(2))} ms`;
  // What is rounded up to the next unit is said in it: nothing takes 1 min 60 s.
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59950) return `${Number((ms / 1000).toPrecision(3))} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minute = Math.round(ms / 60000);
  return `${Math.floor(minute / 60)} h ${minute % 60} min`;
}

/** US dollars, with as many digits as a small sum needs. */
export function usd(value) {
  if (isMissing(value)) return NOTHING;
  const digits = value === 0 || Math.abs(value) >= 1 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(Math.abs(value))));
  return new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: Math.max(2, digits) }).format(value);
}

export function bytes(value) {
  if (isMissing(value)) return NOTHING;
  const units = ["B", "KB", "MB", "GB", "TB"];
  let at = 0;
  while (value >= 1000 && at < units.length - 1) { value /= 1000; at += 1; }
  return `${Number(value.toPrecision(3))} ${units[at]}`;
}

/** What stands in a file, as text: it may be of any shape, and no list or object says of itself what it holds. */
export const asText = (value) => (typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value));

const date = (value) => (value instanceof Date ? value : new Date(value));
export const time = (value) => (value ? dayTime.format(date(value)) : NOTHING);
export const timeOfDay = (value) => (value ? clock.format(date(value)) : NOTHING);

const minutes = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const DAY_S = 86400;

/** What stands at an axis below *times* (Unix, in seconds) that are *step* seconds apart; the day below where it begins. */
export function axisTimes(times, step) {
  let before = "";
  return times.map((at) => {
    const today = day.format(at * 1000);
    const clockTime = (step < 60 ? clock : minutes).format(at * 1000);
    const text = step >= DAY_S ? today : today === before ? clockTime : `${clockTime}\n${today}`;
    before = today;
    return text;
  });
}

/** "3 minutes ago". */
export function since(value, now = Date.now()) {
  if (!value) return NOTHING;
  const passed = date(value).getTime() - now;
  const [unit, ms] = STEPS.find(([, length, most]) => Math.abs(Math.round(passed / length)) < most);
  return ago.format(Math.round(passed / ms), unit);
}
