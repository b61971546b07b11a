// Users of the dashboard, tokens of the admin API, and one's own password.

import { ago } from "./ago.js";
import { ask, get } from "./api.js";
import { confirmed } from "./dialog.js";
import { at, badge, busy, empty, make } from "./dom.js";
import { toast, toastError } from "./toast.js";

const me = at("access").dataset.name;

function table(label, heads, rows) {
  return make("div", { className: "table-scroll", tabIndex: 0, role: "region", "aria-label": label },
    make("table", { className: "data" },
      make("thead", {}, make("tr", {}, heads.map((head) => (head ? make("th", { scope: "col", textContent: head }) : make("td", {}))))),
      make("tbody", {}, rows)));
}

const when = (value) => make("td", { className: "nowrap" }, ago(value));

function action(text, label, act, kind = "") {
  const button = make("button", { type: "button", className: `small ${kind}`, textContent: text, "aria-label": label });
  button.addEventListener("click", () => busy(button, () => act().catch(toastError)));
  return button;
}

// Secrets are shown once, here, and are gone with the dialog.
function showSecret(title, help, secret) {
  at("secret-title").textContent = title;
  at("secret-help").textContent = help;
  at("secret").textContent = secret;
  at("secret-dialog").addEventListener("close", () => { at("secret").textContent = ""; }, { once: true });
  at("secret-dialog").showModal();
}

const showLink = (name, link) => showSecret(`A link for ${name}`,
  "Hand it over. It works once, for a day; with it they choose their password. It is not shown again.", location.origin + link);

function userRow(user) {
  const role = make("select", { "aria-label": `Role of ${user.name}` },
    ["viewer", "admin"].map((one) => make("option", { value: one, textContent: one, selected: one === user.role })));
  role.addEventListener("change", async () => {
    try {
      await ask("POST", `/api/operators/${encodeURIComponent(user.name)}/role`, { role: role.value });
      toast("good", `${user.name} is ${role.value === "admin" ? "an admin" : "a viewer"} now`);
    } catch (error) { toastError(error); }
    await showUsers();
  });
  const link = action("New link", `New link for ${user.name}`, async () => {
    const { data } = await ask("POST", `/api/operators/${encodeURIComponent(user.name)}/link`, {});
    showLink(user.name, data.link);
  });
  const remove = action("Remove", `Remove ${user.name}`, async () => {
    if (!await confirmed({ title: `Remove ${user.name}?`, text: "Their sessions end at once.", action: "Remove", danger: true })) return;
    await ask("DELETE", `/api/operators/${encodeURIComponent(user.name)}`, {});
    await showUsers();
  }, "danger");
  return make("tr", {}, make("th", { scope: "row", className: "anywhere" }, user.name, user.name === me ? [" ", badge("", "you")] : null),
    make("td", {}, role), make("td", {}, user.has_password ? badge("good", "set") : badge("warn", "waits for the link")),
    when(user.created_at), make("td", {}, make("div", { className: "row end" }, link, remove)));
}

async function showUsers() {
  const { users } = await get("/api/operators");
  at("users").replaceChildren(users.length ? table("List of users", ["Name", "Role", "Password", "Added", ""], users.map(userRow))
    : empty("users", "No users yet", "Add one; they get a link to choose a password. Until then GATEWAY_ADMIN_TOKEN is the way in."));
}

function tokenRow(token) {
  const revoke = action("Revoke", `Revoke ${token.name}`, async () => {
    if (!await confirmed({ title: `Revoke ${token.name}?`, text: "What uses it is refused at once.", action: "Revoke", danger: true })) return;
    await ask("DELETE", `/api/operator-tokens/${encodeURIComponent(token.id)}`, {});
    await showTokens();
  }, "danger");
  return make("tr", {}, make("th", { scope: "row", className: "anywhere", textContent: token.name }), make("td", {}, badge(token.role === "admin" ? "accent" : "", token.role)),
    when(token.created_at), token.expires_at ? when(token.expires_at) : make("td", { textContent: "never" }),
    make("td", {}, make("div", { className: "row end" }, revoke)));
}

async function showTokens() {
  const { tokens } = await get("/api/operator-tokens");
  at("tokens").replaceChildren(tokens.length ? table("List of API tokens", ["Name", "Role", "Made", "Expires", ""], tokens.map(tokenRow))
    : empty("key", "No tokens yet", "A script sends one as Authorization: Bearer. The API is described under Configuration > Admin API."));
}

let adding = "user";

function openAdd(kind) {
  adding = kind;
  const isToken = kind === "token";
  at("add-title").textContent = isToken ? "New token" : "Add user";
  at("add-go").textContent = isToken ? "Make token" : "Add user";
  at("add-help").textContent = isToken ? "What it is for. The audit log tells changes by it." : "What they sign in with.";
  at("days-field").hidden = !isToken;
  for (const id of ["add-name", "add-days"]) at(id).value = "";
  at("add-role").value = "viewer";
  at("add-error").textContent = "";
  at("add-dialog").showModal();
}

async function add() {
  const body = { name: at("add-name").value.trim(), role: at("add-role").value };
  // The browser gives "" for what is no number, and without days a token never ends.
  if (adding === "token" && at("add-days").validity.badInput) { at("add-error").textContent = "The days are no number."; return; }
  try {
    if (adding === "token") {
      if (at("add-days").value) body.days = Number(at("add-days").value);
      const { data } = await ask("POST", "/api/operator-tokens", body);
      at("add-dialog").close();
      showSecret(`The token ${data.name}`, "Keep it now: it is not shown again.", data.token);
      await showTokens();
    } else {
      const { data } = await ask("POST", "/api/operators", body);
      at("add-dialog").close();
      showLink(data.name, data.link);
      await showUsers();
    }
  } catch (error) { at("add-error").textContent = error.code === "invalid_parameter" && !body.name ? "Give it a name." : error.message; }
}

async function changePassword() {
  at("password-error").textContent = "";
  try {
    await ask("POST", "/api/me/password", { password: at("old").value, new_password: at("new").value }, { staysOn: [401] });
    at("password-form").reset();
    // The session is another one now, and so is its token.
    sessionStorage.setItem("said", "Your password is changed");
    location.reload();
  } catch (error) { at("password-error").textContent = error.code === "invalid_parameter" ? "Fill in both fields." : error.message; }
}

at("password-form")?.addEventListener("submit", (event) => { event.preventDefault(); busy(at("change"), changePassword); });
if (sessionStorage.getItem("said")) { toast("good", sessionStorage.getItem("said")); sessionStorage.removeItem("said"); }

if (at("users")) {
  at("add-user").addEventListener("click", () => openAdd("user"));
  at("add-token").addEventListener("click", () => openAdd("token"));
  at("add-form").addEventListener("submit", (event) => { event.preventDefault(); busy(at("add-go"), add); });
  at("add-form").querySelector("[data-close]").addEventListener("click", () => at("add-dialog").close());
  showUsers().catch(toastError);
  showTokens().catch(toastError);
}
