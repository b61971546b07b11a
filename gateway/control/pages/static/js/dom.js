// Making elements. Text goes in as text, so nothing that is shown can become markup; never use innerHTML.

export const at = (id) => document.getElementById(id);
export const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** An element: make("td", {className: "number", textContent: "1"}, ...children). Keys with a dash or in
 *  `attributes` are attributes. Children may be strings; null and false are left out. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key.includes("-") || key === "role" || key === "for") element.setAttribute(key, value);
    else if (key === "dataset") Object.assign(element.dataset, value);
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element[key] = value;
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** A symbol of icons.svg. */
export function icon(name, size = "") {
  const use = svg("use", { href: `${document.body.dataset.icons}#${name}` });
  return svg("svg", { class: `icon ${size}`, "aria-hidden": "true", focusable: "false" }, use);
}

/** Something to say: kind is good, warn, bad, info or "". */
export function note(kind, title, ...lines) {
  return make("div", { className: `note ${kind}` }, make("strong", { textContent: title }),
    ...lines.filter(Boolean).map((line) => make("span", { textContent: line })));
}

export function badge(kind, text) {
  return make("span", { className: `badge ${kind}`, textContent: text });
}

/** Put *children* in the place of what is in *box*, again and again; who is on one of them with the keyboard stays there. */
export function renew(box, ...children) {
  const places = () => all("a[href], button, input, select, summary", box);
  const place = places().indexOf(document.activeElement);
  box.replaceChildren(...children);
  if (place >= 0) places()[place]?.focus({ preventScroll: true });
}

/** What is shown where there is nothing yet. */
export function empty(name, title, ...children) {
  return make("div", { className: "empty" }, make("span", { className: "empty-icon" }, icon(name, "large")),
    make("h2", { textContent: title }),
    ...children.map((child) => (typeof child === "string" ? make("p", { textContent: child }) : child)));
}

/** Run *action* while *button* says that it is busy; gives what it gives. */
export async function busy(button, action) {
  if (button.getAttribute("aria-busy") === "true") return undefined;
  button.setAttribute("aria-busy", "true");
  try { return await action(); } finally { button.removeAttribute("aria-busy"); }
}

/** Do *action* again and again while the page is seen, *wait* ms after it has ended: what takes long is not asked for
 *  many times over, with what a person asks for behind it. What fails is tried the next time. */
export function repeat(action, wait) {
  const next = async () => {
    try { if (!document.hidden) await action(); } catch { /* as said */ }
    setTimeout(next, wait);
  };
  setTimeout(next, wait);
}

export function debounce(action, wait = 250) {
  let timer;
  return (...values) => { clearTimeout(timer); timer = setTimeout(() => action(...values), wait); };
}
