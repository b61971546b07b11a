// Tokens of callers: made, shown once, rotated, revoked.

import { ago } from "./ago.js";
import { ask, get } from "./api.js";
import { confirmed } from "./dialog.js";
import { at, badge, busy, empty, make, repeat } from "./dom.js";
import { toast, toastError } from "./toast.js";

const isAdmin = at("tokens-page").dataset.admin === "true";
const FIELDS = { "virtual-account": "virtual_account", pat: "pat" };
const STATES = {
  active: ["good", "active"], due: ["warn", "due to rotate"], replaced: ["warn", "replaced"], expired: ["bad", "expired"], unknown: ["", "not made here"],
};
const LOOK_MS = 1500;
let shown = "";

function showSecret(title, secret) {
  at("secret-title").textContent = title;
  at("secret").textContent = secret;
  at("secret-dialog").addEventListener("close", () => { at("secret").textContent = ""; }, { once: true });
  at("secret-dialog").showModal();
}

function action(text, label, act, kind = "") {
  const button = make("button", { type: "button", className: `small ${kind}`, textContent: text, "aria-label": label });
  button.addEventListener("click", () => busy(button, () => act().catch(toastError)));
  return button;
}

async function rotate(token) {
  if (!await confirmed({ title: `Rotate ${token.id}?`, text: "Another token is made. This one works on for the grace period, 7 days if nothing else is set, so that nothing stops while it is replaced.", action: "Rotate" })) return;
  const { data } = await ask("POST", "/api/tokens/rotate", { id: token.id });
  showSecret(`The token ${data.id} of ${data.subject}`, data.token);
  await look();
}

async function revoke(token) {
  if (!await confirmed({ title: `Revoke ${token.id}?`, text: `What ${token.subject} calls with it is refused within two seconds.`, action: "Revoke", danger: true })) return;
  await ask("POST", "/api/tokens/revoke", { id: token.id });
  toast("good", `${token.id} is revoked`);
  await look();
}

function when(value, otherwise) {
  return make("td", { className: "nowrap" }, ago(value, otherwise));
}

function row(token) {
  const [kind, text] = STATES[token.state] || ["", token.state];
  const tools = [];
  if (isAdmin && token.id) {
    if (!token.replaced_by) tools.push(action("Rotate", `Rotate ${token.id}`, () => rotate(token)));
    tools.push(action("Revoke", `Revoke ${token.id}`, () => revoke(token), "danger"));
  }
  return make("tr", {},
    make("th", { scope: "row", className: "mono anywhere", textContent: token.id || token.reference || "in the manifest" }),
    make("td", { className: "anywhere" }, make("a", { href: `/access/callers/edit?type=${encodeURIComponent(token.type)}&name=${encodeURIComponent(token.name)}`, textContent: token.subject })),
    make("td", {}, badge(kind, text), token.replaced_by ? make("div", { className: "help", textContent: `by ${token.replaced_by}` }) : null),
    when(token.created_at, "–"), when(token.expires_at, "never"),
    make("td", {}, make("div", { className: "row end" }, tools)));
}

async function look() {
  const { tokens } = await get("/api/tokens");
  const text = JSON.stringify(tokens);
  if (text === shown) return;
  shown = text;
  at("tokens").replaceChildren(tokens.length
    ? make("div", { className: "table-scroll", tabIndex: 0, role: "region", "aria-label": "List of tokens" }, make("table", { className: "data" },
      make("thead", {}, make("tr", {}, ["Token", "Whose", "State", "Made", "Ends"].map((name) => make("th", { scope: "col", textContent: name })), make("td"))),
      make("tbody", {}, tokens.map(row))))
    : empty("key", "No tokens yet", "A caller is a virtual account or a user; add one, then make a token for it.", make("a", { className: "button main", href: "/access/callers", textContent: "Callers" })));
}

async function openAdd() {
  const { manifests } = await get("/api/manifests");
  const callers = manifests.filter((one) => FIELDS[one.type]);
  at("add-caller").replaceChildren(...callers.map((one) => make("option", { value: JSON.stringify([FIELDS[one.type], one.name]), textContent: `${one.name} (${one.type === "pat" ? "user" : "virtual account"})` })));
  at("add-end").value = "";
  at("add-error").textContent = callers.length ? "" : "There is no virtual account yet: add one under Callers.";
  at("add-go").disabled = !callers.length;
  at("add-dialog").showModal();
}

async function add() {
  const [field, name] = JSON.parse(at("add-caller").value);
  const body = { [field]: name };
  if (at("add-end").value.trim()) body.expires_at = at("add-end").value.trim();
  try {
    const { data } = await ask("POST", "/api/tokens", body);
    at("add-dialog").close();
    showSecret(`The token ${data.id} of ${data.subject}`, data.token);
    await look();
  } catch (error) { at("add-error").textContent = error.message; }
}

if (isAdmin) {
  at("add").addEventListener("click", () => openAdd().catch(toastError));
  at("add-form").addEventListener("submit", (event) => { event.preventDefault(); busy(at("add-go"), add); });
  at("add-form").querySelector("[data-close]").addEventListener("click", () => at("add-dialog").close());
}
look().catch(toastError).finally(() => repeat(look, LOOK_MS));
