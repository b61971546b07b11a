// What works on every page: the navigation on a phone, light and dark, the list of pages, copy buttons, menus.

import { copyText } from "./clipboard.js";
import { ask } from "./api.js";
import { all, at, icon, make } from "./dom.js";

const THEMES = ["auto", "light", "dark"];
const YEAR_S = 31536000;

function openNavigation(isOpen) {
  document.body.dataset.nav = isOpen ? "open" : "";
  at("nav-toggle").setAttribute("aria-expanded", String(isOpen));
  at("nav-shade").hidden = !isOpen;
  if (isOpen) at("nav").querySelector("a")?.focus();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  document.cookie = `gateway-theme=${theme}; path=/; max-age=${YEAR_S}; samesite=lax`;
  at("theme").replaceChildren(icon(`theme-${theme}`));
  const said = `Colours: ${theme === "auto" ? "as the system" : theme}`;
  at("theme").setAttribute("aria-label", said);
  at("theme").title = said;
  document.dispatchEvent(new CustomEvent("theme"));
}

at("nav-toggle").addEventListener("click", () => openNavigation(document.body.dataset.nav !== "open"));
at("nav-shade").addEventListener("click", () => openNavigation(false));
at("theme").addEventListener("click", () => {
  const now = THEMES.indexOf(document.documentElement.dataset.theme);
  setTheme(THEMES[(now + 1) % THEMES.length]);
});
at("theme").title = `Colours: ${document.documentElement.dataset.theme}`;

at("sign-out")?.addEventListener("click", async () => {
  await ask("POST", "/api/sign-out");
  location.assign("/sign-in");
});

// The list of pages.

const pages = all(".sidebar section").flatMap((section) => all("a", section).map((link) => ({
  title: link.textContent.trim(), group: section.querySelector("h2").textContent, path: link.getAttribute("href"), words: link.dataset.words,
})));
let chosen = 0;

function found() {
  const words = at("palette-input").value.toLowerCase().split(/\s+/).filter(Boolean);
  return pages.filter((page) => words.every((word) => `${page.group} ${page.title} ${page.words}`.toLowerCase().includes(word)));
}

function showFound() {
  const list = found();
  chosen = Math.max(0, Math.min(chosen, list.length - 1));
  at("palette-list").replaceChildren(...list.map((page, index) => make("li", {
    id: `palette-${index}`, role: "option", "aria-selected": String(index === chosen), onclick: () => location.assign(page.path),
  }, page.title, make("small", { textContent: page.group }))));
  at("palette-input").setAttribute("aria-activedescendant", list.length ? `palette-${chosen}` : "");
  at(`palette-${chosen}`)?.scrollIntoView({ block: "nearest" });
}

function openPalette() {
  at("palette-input").value = "";
  chosen = 0;
  showFound();
  at("palette").showModal();
}

at("search-open").addEventListener("click", openPalette);
at("palette-input").addEventListener("input", () => { chosen = 0; showFound(); });
at("palette-input").addEventListener("keydown", (event) => {
  const list = found();
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    chosen = (chosen + (event.key === "ArrowDown" ? 1 : list.length - 1)) % Math.max(1, list.length);
    showFound();
  } else if (event.key === "Enter" && list[chosen]) {
    location.assign(list[chosen].path);
  }
});
at("palette").addEventListener("click", (event) => { if (event.target === at("palette")) at("palette").close(); });

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); openPalette(); }
  if (event.key === "Escape") {
    if (document.body.dataset.nav === "open") { openNavigation(false); at("nav-toggle").focus(); }
    for (const menu of all("details.menu[open]")) { menu.open = false; menu.querySelector("summary").focus(); }
  }
});
document.addEventListener("click", (event) => {
  for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  const button = event.target.closest?.("[data-copy]");
  if (button) copy(button);
});

// <button data-copy="#id-of-element"> copies its text; an empty data-copy that of the <pre> beside it.
async function copy(button) {
  const source = button.dataset.copy ? document.querySelector(button.dataset.copy) : button.parentElement.querySelector("pre");
  await copyText(source.value ?? source.textContent);
  const before = [...button.childNodes];
  button.replaceChildren(icon("check", "small"));
  setTimeout(() => button.replaceChildren(...before), 1500);
}
