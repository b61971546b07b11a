"""Controls, models and history in a real browser: what is saved is the file, what is wrong is said there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from gateway.control.operator import Role
from gateway.control.replica_list import encode
from tests.browser.plane import Plane, shoot
from tests.browser.test_settings_page import choose
from tests.rig.axe import find_faults
from tests.rig.browser import Page
from tests.rig.requires import requires
from tests.unit.config.writing import ACCOUNT, CALLER, documents
from tests.unit.control.rooms import THIS

pytestmark = requires("chromium")

KIND = "gateway-rate-limiting-config"
LIMITS = """\
# what may be asked
type: gateway-rate-limiting-config
name: limits
rules:
  - id: everyone   # all of us
    when: {}
    limit_to: 10
    unit: requests_per_minute
"""
SPARE = ACCOUNT.replace("name: lab", "name: spare") + ACCOUNT[ACCOUNT.index("  - name: qwen") :].replace(
    "name: qwen", "name: other"
)
ROUTES = (
    SPARE
    + """\
---
type: provider-account/virtual-model
name: vm
integrations:
  - name: chat
    model_types: [chat]
    routing_config:
      type: weight-based-routing
      load_balance_targets:
        - {target: lab/qwen, weight: 80}   # the old one
        - {target: spare/qwen, weight: 20}
"""
)
ODD_ROUTES = [
    {"name": ["c"], "slug": {}, "alias": [[]], "model_types": "chat", "routing_config": []},
    {
        "name": "d",
        "routing_config": {"load_balance_targets": [{"target": {}, "weight": {}}, {"tier": []}, 5]},
    },
]
HOSTILE = "<img src=x onerror=document.title='hacked'>"
EDIT = f"/controls/rate-limits/edit?type={KIND}"
READY = "document.getElementById('editor').getAttribute('aria-busy') === null"


def add(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    return file


async def verdict(page: Page, words: str) -> None:
    await page.wait(f"document.getElementById('verdict').innerText.includes({json.dumps(words)})")


async def write_yaml(page: Page, text: str) -> None:
    await page.fill("#yaml textarea", text)


async def test_the_first_rule(plane: Plane, page: Page) -> None:
    """From the empty page through the form to a file; the YAML beside it follows."""
    await plane.sign_in(page)
    await page.look(width=1440, height=1000)
    await page.open(plane.origin + "/controls/rate-limits")
    await page.wait("document.querySelector('.empty') !== null")
    assert await page.run("document.getElementById('usage').hidden")
    await shoot(page, "rate-limits-empty")
    await page.click(".empty .button.main")
    await page.wait("document.getElementById('f-rules-0-limit_to') !== null")
    await verdict(page, "Valid")
    await page.fill("#f-rules-0-limit_to", "25")
    await page.wait("document.querySelector('#yaml textarea').value.includes('limit_to: 25')")
    await page.click("#save")
    await verdict(page, "In force")
    assert await page.text("h1") == "rate-limits"
    assert "limit_to: 25" in (plane.folder / f"{KIND}.yaml").read_text()
    await page.open(plane.origin + "/controls/rate-limits")
    await page.wait("document.querySelector('table.data') !== null")
    assert "25 requests per minute" in await page.text("table.data")
    await page.wait("!document.getElementById('usage').hidden")
    await shoot(page, "rate-limits")
    assert page.complaints == []


async def test_of_many_rules_the_fullest_are_told(plane: Plane, page: Page) -> None:
    """And that they are not all."""
    rules = "".join(
        f"  - {{id: rule-{number}, when: {{}}, limit_to: 10, unit: requests_per_minute}}\n"
        for number in range(201)
    )
    add(plane.folder, "limits.yaml", f"type: {KIND}\nname: limits\nrules:\n{rules}")
    await plane.sign_in(page)
    await page.open(plane.origin + "/controls/rate-limits")
    await page.wait("document.querySelectorAll('#usage-list .usage').length === 200")
    assert await page.text("#usage-by") == "counted by this host, the 200 nearest to their limits"


@pytest.mark.parametrize("role", [Role.ADMIN, Role.VIEWER])
async def test_entries_are_made_as_they_are_opened(plane: Plane, page: Page, role: Role) -> None:
    """Of a thousand rules nobody opens more than a few, and all their fields took seconds to make."""
    rules = "".join(
        f"  - {{id: rule-{number}, when: {{}}, limit_to: 10, unit: requests_per_minute}}\n"
        for number in range(50)
    )
    add(plane.folder, "limits.yaml", f"type: {KIND}\nname: limits\nrules:\n{rules}")
    await plane.sign_in(page, role)
    await page.open(f"{plane.origin}{EDIT}&name=limits")
    await page.wait(READY)
    await verdict(page, "Valid")
    assert await page.run("document.querySelectorAll('#f-rules .item').length") == 50
    # That of the rule that is warned of, and no other.
    assert await page.run("document.querySelectorAll('#f-rules .item > details[open]').length") == 1
    assert await page.run("document.querySelectorAll('#f-rules input').length") < 5
    await page.run("document.querySelectorAll('#f-rules .item > details > summary')[7].click()")
    await page.wait("document.getElementById('f-rules-7-limit_to') !== null")
    assert await page.run("document.getElementById('f-rules-8-limit_to')") is None
    is_off = await page.run("document.getElementById('f-rules-7-limit_to').disabled")
    assert is_off is (role is Role.VIEWER)
    if role is Role.VIEWER:
        return
    await page.fill("#f-rules-7-limit_to", "77")
    await page.wait("document.querySelector('#yaml textarea').value.includes('limit_to: 77')")
    await verdict(page, "Valid")
    text = await page.run("document.querySelector('#yaml textarea').value")
    await write_yaml(page, text.replace("id: rule-30,", "id: rule-30, colour: red,").replace("10", "-1", 1))
    await verdict(page, "1 error")
    await page.wait("document.getElementById('f-rules-0-limit_to-error').innerText !== ''")
    await page.wait("document.getElementById('f-rules-30-colour-error').innerText.includes('red') === false")
    assert await page.run("document.getElementById('f-rules-0-limit_to').closest('details').open")
    assert await page.run("document.getElementById('f-rules-7-limit_to').value") == "77"
    assert page.complaints == []


async def test_a_model_without_its_key_is_not_called_healthy(plane: Plane, page: Page) -> None:
    """Beside it one that nobody has asked; an editor says nothing of what is wrong in other files."""
    keyless = ACCOUNT.replace("name: lab", "name: spare").replace(
        "    hosted_model_name:",
        "    auth_data: {type: bearer-auth, bearer_token: 'env:GONE'}\n    hosted_model_name:",
    )
    (plane.folder / "spare.yaml").write_text(keyless)
    await plane.sign_in(page)
    await page.open(plane.origin + "/models")
    await page.wait("document.querySelectorAll('[data-target] .badge').length === 2")
    assert await page.text("[data-target='lab/qwen']") == "Not asked lately"
    assert await page.text("[data-target='spare/qwen']") == "Key missing"
    assert "GONE" in await page.run("document.querySelector(\"[data-target='spare/qwen']\").title")
    await page.open(plane.origin + f"/controls/rate-limits/edit?type={KIND}")
    await verdict(page, "Valid")
    assert "warning" not in await page.text("#verdict")
    assert page.complaints == []


TYPED_AND_SAVED = """
(() => {
  const [field, save] = [document.getElementById('f-rules-0-limit_to'), document.getElementById('save')];
  field.value = '13';
  field.dispatchEvent(new Event('input', {bubbles: true}));
  save.click();
})()
"""


async def typed_once(plane: Plane, page: Page) -> Path:
    """Type into a form, until it can be saved; the file that it is of."""
    file = add(plane.folder, "limits.yaml", LIMITS)
    await plane.sign_in(page)
    await page.open(f"{plane.origin}{EDIT}&name=limits")
    await page.wait(READY)
    await page.fill("#f-rules-0-limit_to", "12")
    await page.wait("!document.getElementById('save').disabled")
    return file


async def test_what_was_typed_last_is_saved(plane: Plane, page: Page) -> None:
    """Also when the YAML does not follow the form yet."""
    file = await typed_once(plane, page)
    await page.run(TYPED_AND_SAVED)
    await verdict(page, "In force")
    assert file.read_text() == LIMITS.replace("10", "13")
    assert await page.run("document.getElementById('f-rules-0-limit_to').value") == "13"
    assert page.complaints == []


_HELD = """
(() => {
  const [ask, later] = [window.fetch, window.setTimeout];
  const held = new Promise((done) => { window.release = done; });
  window.setTimeout = (action, ms) => later(() => { action(); window.looked ||= ms === 250; }, ms);
  window.fetch = async (path, options) => {
    if (path === '/api/manifests/validate') await held;
    return ask(path, options);
  };
})()
"""


async def test_what_was_typed_last_is_saved_on_a_slow_host(plane: Plane, page: Page) -> None:
    """Save asks at once what typing would have asked a moment later; that moment comes before the answer."""
    file = await typed_once(plane, page)
    await page.run(_HELD)
    await page.run(TYPED_AND_SAVED)
    await page.wait("window.looked")
    await page.run("release()")
    await verdict(page, "In force")
    assert file.read_text() == LIMITS.replace("10", "13")
    assert page.complaints == []


async def test_what_is_wrong_is_said_as_it_is_typed(plane: Plane, page: Page) -> None:
    """At the line and at the field, in the server's words; comments survive the form."""
    file = add(plane.folder, "limits.yaml", LIMITS)
    await plane.sign_in(page)
    await page.look(width=1440, height=1000)
    await page.open(f"{plane.origin}{EDIT}&name=limits")
    await page.wait(READY)
    await write_yaml(page, LIMITS.replace("limit_to: 10", "limit_to: ten"))
    await verdict(page, "1 error")
    assert "expected a whole number" in await page.text(".yaml-problems")
    assert "Line 7" in await page.text(".yaml-problems")
    await page.wait("document.getElementById('f-rules-0-limit_to').getAttribute('aria-invalid') === 'true'")
    assert "expected a whole number" in await page.text("#f-rules-0-limit_to-error")
    await shoot(page, "editor-wrong")
    await page.fill("#f-rules-0-limit_to", "12")
    await verdict(page, "Valid")
    await choose(page, "#f-rules-0-unit", "requests_per_day")
    await page.wait("document.querySelector('#yaml textarea').value.includes('requests_per_day')")
    await page.click("#save")
    await verdict(page, "In force")
    assert file.read_text() == LIMITS.replace("10", "12").replace("per_minute", "per_day")
    await write_yaml(page, "type: [")
    await page.wait("document.getElementById('form-note').innerText.includes('waits')")
    assert page.complaints == []


async def test_the_second_of_two_is_told(plane: Plane, page: Page) -> None:
    """By the page that is open, and again when it saves; nothing is lost without a word."""
    file = add(plane.folder, "limits.yaml", LIMITS)
    await plane.sign_in(page)
    await page.open(f"{plane.origin}{EDIT}&name=limits")
    await page.wait(READY)
    await page.fill("#f-rules-0-limit_to", "11")
    await page.wait("document.querySelector('#yaml textarea').value.includes('limit_to: 11')")
    file.write_text(LIMITS.replace("limit_to: 10", "limit_to: 99"))
    await page.click("#save")
    await page.wait("document.getElementById('notes').innerText.includes('Somebody else was first')")
    await shoot(page, "editor-conflict")
    assert "99" in file.read_text()
    # The page goes on to look what is on disk, and leaves the choice where it is.
    looks = "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/editing')).length"
    await page.wait(f"{looks} > {await page.run(looks)} + 1")
    await page.click("#notes button.danger")
    await verdict(page, "In force")
    assert "limit_to: 11" in file.read_text()
    assert all("412" in one for one in page.complaints)


async def test_a_comment_that_came_meanwhile_is_not_lost(plane: Plane, page: Page) -> None:
    """It is somebody's work as a value is: the page shows it, or says so to whoever has typed."""
    file = add(plane.folder, "limits.yaml", LIMITS)
    await plane.sign_in(page)
    await page.open(f"{plane.origin}{EDIT}&name=limits")
    await page.wait(READY)
    file.write_text(LIMITS.replace("all of us", "as Ann asked"))
    await page.wait("document.querySelector('#yaml textarea').value.includes('as Ann asked')")
    await write_yaml(page, LIMITS.replace("limit_to: 10", "limit_to: 11"))
    await verdict(page, "Valid")
    file.write_text(LIMITS.replace("all of us", "as Ben asked"))
    await page.click("#save")
    await page.wait("document.getElementById('notes').innerText.includes('Somebody else was first')")
    assert "as Ben asked" in file.read_text()


async def test_what_is_typed_outlives_the_session(plane: Plane, page: Page) -> None:
    """Who signs in again in another tab saves it here; another operator does not by accident."""
    file = add(plane.folder, "limits.yaml", LIMITS)
    await plane.sign_in(page)
    await page.open(f"{plane.origin}{EDIT}&name=limits")
    await page.wait(READY)
    await write_yaml(page, LIMITS.replace("limit_to: 10", "limit_to: 33"))
    await verdict(page, "Valid")
    accounts = plane.access.entrance.accounts
    for token in accounts.tokens():
        accounts.revoke_token(token.id)
    await page.wait("document.getElementById('toasts').innerText.includes('Your session has ended')")
    link = await page.run("document.querySelector('#toasts a').getAttribute('href')")
    assert link.startswith("/sign-in?next=%2Fcontrols%2Frate-limits%2Fedit")
    await shoot(page, "editor-session-ended")
    await plane.sign_in(page, Role.VIEWER)
    await page.click("#save")
    await page.wait("document.getElementById('toasts').innerText.includes('older than its session')")
    assert file.read_text() == LIMITS
    await plane.sign_in(page)
    await page.wait("!document.getElementById('toasts').innerText.includes('Your session has ended')")
    await page.click("#save")
    await verdict(page, "In force")
    assert "limit_to: 33" in file.read_text()
    assert [one for one in page.complaints if "401" not in one and "403" not in one] == []


async def test_in_force_with_secrets_that_were_read_again(plane: Plane, page: Page) -> None:
    """The version in force has a number of its own then; what is saved is in force all the same."""
    add(plane.folder, "limits.yaml", LIMITS)
    plane.rereads = "+1"
    await plane.sign_in(page)
    await page.open(f"{plane.origin}{EDIT}&name=limits")
    await page.wait(READY)
    await write_yaml(page, LIMITS.replace("all of us", "all"))
    await verdict(page, "Valid")
    await page.click("#save")
    await verdict(page, "In force")


async def test_a_change_on_disk_shows(plane: Plane, page: Page) -> None:
    """Without a reload, in the list and in the editor."""
    file = add(plane.folder, "limits.yaml", LIMITS)
    await plane.sign_in(page)
    await page.open(plane.origin + "/controls/rate-limits")
    await page.wait("document.body.innerText.includes('10 requests')")
    file.write_text(LIMITS.replace("limit_to: 10", "limit_to: 44"))
    await page.wait("document.body.innerText.includes('44 requests')")
    await page.open(f"{plane.origin}{EDIT}&name=limits")
    await page.wait(READY)
    file.write_text(LIMITS.replace("limit_to: 10", "limit_to: 55"))
    await page.wait("document.querySelector('#yaml textarea').value.includes('limit_to: 55')")
    assert page.complaints == []


async def test_routing(plane: Plane, page: Page) -> None:
    """Weights, a new target and another strategy by hand; the comment of a line that stays is kept."""
    file = add(plane.folder, "vm.yaml", ROUTES)
    await plane.sign_in(page)
    await page.look(width=1440, height=1200)
    await page.open(f"{plane.origin}/models/edit?type=provider-account/virtual-model&name=vm")
    await page.wait(READY)
    await page.wait("document.querySelectorAll('.target').length === 2")
    assert "80" in await page.text(".target .share")
    weight = "#f-integrations-0-routing_config-load_balance_targets-0-weight"
    await page.fill(weight, "60")
    await page.wait("document.querySelector('#yaml textarea').value.includes('weight: 60')")
    assert "75" in await page.text(".target .share")
    await page.click(".routing > div > button.small")
    await page.wait("document.querySelectorAll('.target').length === 3")
    await page.fill("#f-integrations-0-routing_config-load_balance_targets-2-target", "lab/none")
    await verdict(page, "error")
    await page.wait("document.querySelectorAll('.target .error:not([hidden])').length > 0")
    await shoot(page, "routing-wrong")
    await page.fill("#f-integrations-0-routing_config-load_balance_targets-2-target", "spare/other")
    await verdict(page, "Valid")
    await page.click("#save")
    await verdict(page, "In force")
    text = file.read_text()
    assert "{target: lab/qwen, weight: 60}   # the old one" in text
    await page.click(".strategies button:nth-child(2)")
    await page.wait("document.querySelector('#yaml textarea').value.includes('-based-routing')")
    await shoot(page, "routing")
    assert page.complaints == []


async def test_a_permission_may_name_its_resource_alone(plane: Plane, page: Page) -> None:
    """A role is told where one is written."""
    text = """\
type: virtual-account
name: app2
tokens: [env:APP2]
permissions:
  - resource_fqn: acme:self-hosted-model:lab
  - {resource_fqn: acme:openai:two, role_id: caller}
"""
    add(plane.folder, "app2.yaml", text)
    await plane.sign_in(page)
    await page.open(plane.origin + "/access/callers")
    await page.wait("document.querySelector('table.data') !== null")
    assert "acme:self-hosted-model:lab, acme:openai:two (caller)" in await page.text("table.data")
    assert page.complaints == []


async def test_a_list_of_texts_and_objects(plane: Plane, page: Page) -> None:
    """Tokens of a caller are references, or were issued here: each has its fields, and one can be added."""
    issued = "  - {id: t1, hash: 'sha256:" + "1" * 64 + "', created_at: '2026-11-01T00:00:00Z'}\n"
    file = add(
        plane.folder, "pat.yaml", f"type: virtual-account\nname: app2\ntokens:\n{issued}models: ['*']\n"
    )
    await plane.sign_in(page)
    await page.open(f"{plane.origin}/access/callers/edit?type=virtual-account&name=app2")
    await page.wait(READY)
    assert await page.run("document.getElementById('f-tokens-0-id').value") == "t1"
    button = "document.querySelector('#f-tokens > .stack > div:last-child > button')"
    await page.run(f"{button}.click(), true")
    await page.fill("#f-tokens-1", "env:APP2_TOKEN")
    await verdict(page, "Valid")
    await page.click("#save")
    await verdict(page, "In force")
    assert yaml.safe_load(file.read_text())["tokens"][1] == "env:APP2_TOKEN"
    assert issued in file.read_text()
    assert page.complaints == []


async def test_a_key_is_hidden(plane: Plane, page: Page) -> None:
    """It is typed once, kept in a file, and no page has it."""
    await plane.sign_in(page)
    await page.open(f"{plane.origin}/models/edit?type=provider-account/openai")
    await page.wait("document.getElementById('f-auth_data-api_key') !== null")
    await page.fill("#f-auth_data-api_key", "sk-canary-secret")
    await verdict(page, "Valid")
    await page.wait("document.querySelector('#yaml textarea').value.includes('sk-canary')")
    await page.wait("document.getElementById('verdict').innerText === 'Valid'")
    await page.click("#save")
    await verdict(page, "In force")
    assert "sk-canary" not in await page.run("document.documentElement.outerHTML")
    assert "sk-canary" not in await page.run("document.querySelector('#yaml textarea').value")
    assert "sk-canary" not in (plane.folder / "provider-account-openai.yaml").read_text()
    (secret,) = (plane.folder / "secrets").iterdir()
    assert secret.read_text() == "sk-canary-secret\n"
    assert secret.stat().st_mode & 0o777 == 0o600
    await page.open(plane.origin + "/models")
    await page.wait("document.querySelectorAll('.card').length === 2")
    await shoot(page, "models")


async def test_a_table_says_which_calls_a_rule_is_about(plane: Plane, page: Page) -> None:
    """Whole, of either kind of rule, and on a laptop without anything beyond its edge."""
    add(
        plane.folder,
        "budgets.yaml",
        """\
type: gateway-budget-config
name: spending
rules:
  - {id: first, when: {metadata: {env: prod}}, limit_to: 5, unit: cost_per_day}
  - {id: other, when: {subjects: ["virtualaccount:app"], models: [lab/qwen]}, limit_to: 5, unit: cost_per_day}
---
type: tenant-budget-config
name: each
when:
  subjects: {virtual_accounts: {in: [app]}}
  provider_accounts: {not_in: [lab]}
  metadata: {env: {in: [prod, dev]}, region: {not_in: [us]}}
limits: {cost_per_month: 5}
applies_to: {type: aggregate}
mode: enforce
---
type: team-budget-config
name: of-ml
team_name: ml
when: {subjects: {users: {in: [a@x.io]}}, metadata: {env: {in: [prod]}}}
limits: {cost_per_month: 5}
applies_to: {type: aggregate}
mode: enforce
---
type: team
name: ml
members: [a@x.io]
""",
    )
    await plane.sign_in(page)
    await page.look(width=1280, height=900)
    await page.open(plane.origin + "/controls/budgets")
    await page.wait("document.querySelectorAll('table.data').length === 3")
    cells = "[...row.cells].slice(0, 3).map((one) => one.innerText)"
    assert await page.run(f"[...document.querySelectorAll('tbody tr')].map((row) => {cells})") == [
        [
            "each",
            "virtual accounts: app; metadata env: prod, dev; metadata region: not us",
            "accounts: not lab",
        ],
        ["of-ml", "ml; users: a@x.io; metadata env: prod", "Every model"],
        ["first", "Everybody; metadata env: prod", "Every model"],
        ["other", "virtualaccount:app", "lab/qwen"],
    ]
    fits = "(one) => one.scrollWidth <= one.clientWidth"
    assert await page.run(f"[...document.querySelectorAll('.table-scroll')].every({fits})")
    await shoot(page, "budgets-told")
    assert page.complaints == []


async def test_who_has_no_models_of_their_own(plane: Plane, page: Page) -> None:
    """May call what accounts share, as is usual with manifests of TrueFoundry: no blank cell says less."""
    ann = f"type: pat\nname: ann\nuser_fqn: ann@x.io\ntokens: ['sha256:{'4' * 64}']\n"
    add(plane.folder, "ann.yaml", ann)
    await plane.sign_in(page)
    await page.open(plane.origin + "/access/callers")
    await page.wait("document.querySelectorAll('table.data').length === 2")
    cells = (
        "(name) => document.querySelector(`section[aria-label='${name}'] tbody tr`).innerText.split('\\t')"
    )
    assert "lab/*" in await page.run(f"({cells})('Virtual accounts')")
    assert "What is shared with it" in await page.run(f"({cells})('Users')")


async def test_every_manifest_is_listed_once(plane: Plane, page: Page) -> None:
    """However many rules it has, and also one that is not in force yet, which is said and not begun here."""
    rule = "{when: {}, limit_to: 1, unit: requests_per_day"
    add(
        plane.folder,
        "more.yaml",
        f"type: {KIND}\nname: limits\nrules: [{rule}, id: a}}, {rule}, id: b}}]\n"
        "---\ntype: mcp-server/remote\nname: tools\nurl: https://tools.example/mcp\n",
    )
    await plane.sign_in(page)
    await page.open(plane.origin + "/configuration/manifests")
    await page.wait("document.querySelector('table.data') !== null")
    limits, tools = f"section[aria-label='{KIND}']", "section[aria-label='mcp-server/remote']"
    assert await page.run(f"document.querySelectorAll({json.dumps(f'{limits} tbody tr')}).length") == 1
    assert await page.text(f"{tools} .help") == "Not in force yet: nothing in it has an effect."
    assert await page.run(f"document.querySelector({json.dumps(f'{tools} .button')})") is None
    await page.click(f"{tools} tbody a")
    await page.wait("document.querySelector('#yaml textarea')?.value.includes('https://tools.example/mcp')")
    await verdict(page, "Valid, 1 warning")
    assert page.complaints == []


async def test_a_slip_in_one_hides_no_other(plane: Plane, page: Page) -> None:
    """Who has written it into a file looks for it here."""
    limits = "rate_limit_applies_per: user\nlimits: {cost_per_day: $5}\n"
    masks = "rules: [{id: a, redact_with: {presets: 5, custom_patterns: {}}}]\n"
    slips = [
        "type: team\nname: ml\nmembers: a@x.io\n",
        "type: role-binding\nname: ml\nsubjects: {type: user, name: a@x.io}\npermissions: x\n",
        f"type: {KIND}\nname: a\nrules: [{{id: a, when: {{models: {{in: lab/qwen}}}}, unit: 5}}]\n",
        f"type: tenant-rate-limit-config/model\nname: a\n{limits}",
        f"type: gateway-logging-config\nname: a\n{masks}",
        f"type: {KIND}\nname: b\nrules: [{{id: [], unit: [], limit_to: {{}}, when: {{models: [{{a: b}}]}}}}]",
        "type: tenant-budget-config\nname: b\nmode: {a: b}\nlimits: {'': 1, constructor: {a: b}}",
        f"type: provider-account/virtual-model\nname: b\nintegrations: {json.dumps(ODD_ROUTES)}",
        "type: provider-account/openai\nname: b\nintegrations: [{name: [a], model_id: {}, model_types: x}]",
    ]
    add(plane.folder, "slips.yaml", "\n---\n".join(slips))
    await plane.sign_in(page)
    await page.open(plane.origin + "/configuration/manifests")
    await page.wait("document.querySelectorAll('tbody tr').length === 11")
    for path, shown in (
        ("/controls/rate-limits", "{} []"),
        ("/controls/budgets", '{"a":"b"} constructor'),
        ("/models", 'b/["a"]'),
        ("/models/virtual", 'b/["c"]'),
    ):
        await page.open(plane.origin + path)
        await page.wait(f"document.querySelector('main').innerText.includes({json.dumps(shown)})")
    await page.open(plane.origin + "/access/callers")
    await page.wait("document.querySelector('section[aria-label=Teams] table')?.innerText.includes('a@x.io')")
    await page.open(plane.origin + "/access/permissions")
    await page.wait("document.querySelector('tbody td')?.innerText === 'user:a@x.io'")
    assert await page.text("tbody td:nth-child(3)") == ""
    assert page.complaints == []


@pytest.mark.parametrize(
    ("text", "field", "shown"),
    [
        ("unit: []", "#f-rules-0-unit", "[]"),
        ("limit_to: {a: [b]}", "#f-rules-0-limit_to", '{"a":["b"]}'),
        ("id: {toString: 1, valueOf: 2}", "#f-rules-0-id", '{"toString":1,"valueOf":2}'),
        ("when: {models: x, subjects: [{a: b}]}", "#f-rules-0-when-subjects", '{"a":"b"}'),
        ("when: []", "#f-rules-0-id", "everyone"),
    ],
)
async def test_a_form_of_odd_shapes(plane: Plane, page: Page, text: str, field: str, shown: str) -> None:
    """It shows what stands there as text, with what the check says of it, and it can be mended there."""
    name = text.partition(":")[0]
    rule = {
        "id": "everyone",
        "when": {},
        "limit_to": 10,
        "unit": "requests_per_minute",
        **yaml.safe_load(text),
    }
    body = {"type": KIND, "name": "limits", "rules": [rule]}
    add(plane.folder, "limits.yaml", yaml.safe_dump(body))
    await plane.sign_in(page)
    await page.open(f"{plane.origin}{EDIT}&name=limits")
    await page.wait(READY)
    await verdict(page, "error")
    assert await page.run(f"document.querySelector('{field}').value") == shown
    wrong = f"document.querySelector('[id^=f-rules-0-{name}][id$=-error]:not([hidden])')?.innerText"
    await page.wait(f"Boolean({wrong})")
    await write_yaml(page, LIMITS)
    await verdict(page, "Valid")
    assert page.complaints == []


@pytest.mark.parametrize("rules", ["x", "{a: b}", "7"])
async def test_a_form_of_no_list(plane: Plane, page: Page, rules: str) -> None:
    """It waits for the first entry, which takes the place of what is there."""
    add(plane.folder, "limits.yaml", f"type: {KIND}\nname: limits\nrules: {rules}\n")
    await plane.sign_in(page)
    await page.open(f"{plane.origin}{EDIT}&name=limits")
    await page.wait(READY)
    await verdict(page, "error")
    assert "expected a list" in await page.text("#f-rules-error")
    await page.click("#f-rules > .stack > div:last-child button")
    await verdict(page, "error")
    await page.fill("#f-rules-0-id", "everyone")
    await verdict(page, "Valid")
    await page.wait("document.querySelector('#yaml textarea').value.includes('everyone')")
    assert page.complaints == []


async def test_what_is_typed_into_a_part_of_another_kind_is_kept(plane: Plane, page: Page) -> None:
    """A list has no fields: it makes way for what has them."""
    add(plane.folder, "limits.yaml", LIMITS.replace("when: {}", "when: []"))
    await plane.sign_in(page)
    await page.open(f"{plane.origin}{EDIT}&name=limits")
    await page.wait(READY)
    await verdict(page, "error")
    await page.run("document.querySelectorAll('#form details').forEach((one) => { one.open = true; })")
    await page.fill("#f-rules-0-when-models", "lab/*")
    await verdict(page, "Valid")
    assert "lab/*" in await page.run("document.querySelector('#yaml textarea').value")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("{type: always}", "Recorded"),
        ("{type: never}", "Not recorded"),
        ("{type: header_controlled, log_body_by_default: false}", "Recorded where callers ask for it"),
        ("{type: header_controlled, log_body_by_default: true}", "Recorded unless callers say no"),
    ],
)
async def test_whether_prompts_are_recorded(plane: Plane, page: Page, settings: str, expected: str) -> None:
    """It says what happens to a call that says nothing of it."""
    add(plane.folder, "settings.yaml", f"type: gateway-global-settings\nlogging_settings: {settings}\n")
    await plane.sign_in(page)
    await page.open(plane.origin + "/controls/logging")
    await page.wait("document.querySelector('table.data') !== null")
    assert await page.text("tbody td") == expected


async def test_hostile_texts_are_texts(plane: Plane, page: Page) -> None:
    """In names, patterns and problems, on every page that shows them."""
    hostile = LIMITS.replace("everyone", json.dumps(HOSTILE)).replace(
        "when: {}", f"when: {{subjects: [{json.dumps(HOSTILE)}]}}"
    )
    add(plane.folder, "limits.yaml", hostile.replace("name: limits", f"name: {json.dumps(HOSTILE)}"))
    plane.accept()
    await plane.sign_in(page)
    quoted = await page.run(f"encodeURIComponent({json.dumps(HOSTILE)})")
    for path in (
        "/controls/rate-limits",
        f"{EDIT}&name={quoted}",
        "/configuration/manifests",
        "/configuration/history",
        "/audit",
    ):
        await page.open(plane.origin + path)
        await page.wait("document.querySelector('main [aria-busy]') === null")
        await page.wait("!document.querySelector('main .skeleton')")
        assert await page.run("document.querySelector('img[src=x]') === null")
        assert await page.run("document.title !== 'hacked'")
    assert page.complaints == []


async def test_how_long_ago_goes_on(plane: Plane, page: Page) -> None:
    """A page that is left open does not say *now* of what was an hour ago."""
    add(plane.folder, "limits.yaml", LIMITS)
    plane.accept()
    await plane.sign_in(page)
    await page.open(f"{plane.origin}/audit")
    times = "[...document.querySelectorAll('#rows time')]"
    await page.wait(f"{times}.length > 0")
    title = await page.run(f"{times}[0].title")
    await page.run("(now => { Date.now = () => now() + 3600e3 })(Date.now)")
    await page.wait(f"{times}.every((one) => one.textContent === '1 hour ago')")
    assert await page.run(f"{times}[0].title") == title
    assert page.complaints == []


async def test_what_a_command_has_done(plane: Plane, page: Page) -> None:
    """The user of the host is told, and that it was a command."""
    plane.rooms.audit.commanded("admin_token.created", "operator", "ci")
    await plane.sign_in(page)
    await page.open(plane.origin + "/audit?action=admin_token.created")
    await page.wait("document.querySelectorAll('#rows tr').length === 1")
    assert "(command)" in await page.text("#rows")
    assert "undefined" not in await page.text("#rows")
    assert page.complaints == []


async def test_who_changed_several_files_is_told_once(plane: Plane, page: Page) -> None:
    """A checkout of git is one name, not as many as it has files."""
    first = plane.accept()
    add(plane.folder, "limits.yaml", LIMITS)
    add(plane.folder, "spare.yaml", SPARE)
    plane.accept(first)
    await plane.sign_in(page)
    await page.open(plane.origin + "/configuration/history")
    await page.wait("document.querySelectorAll('#rows tr').length === 2")
    assert await page.text("#rows tr:first-child td:nth-child(3)") == plane.folder.owner()


async def test_going_back(plane: Plane, page: Page) -> None:
    """What differs, and one click."""
    file = add(plane.folder, "limits.yaml", LIMITS)
    first = plane.accept()
    file.write_text(LIMITS.replace("limit_to: 10", "limit_to: 20"))
    plane.accept(first)
    await plane.sign_in(page)
    await page.look(width=1440, height=900)
    await page.open(plane.origin + "/configuration/history")
    await page.wait("document.querySelectorAll('#rows tr').length === 2")
    await page.click("#rows tr:nth-child(2) a")
    await page.wait("document.querySelectorAll('.diff-line').length > 0")
    assert "+  limit_to: 10" in await page.text(".diff pre")
    await shoot(page, "history")
    await page.click("#restore")
    await page.wait("document.querySelector('dialog[open] button.main') !== null")
    await page.click("dialog[open] button.main")
    await page.wait("document.getElementById('toasts').innerText.includes('Restored')")
    assert file.read_text() == LIMITS
    await page.open(plane.origin + "/audit?action=config.restored")
    await page.wait("document.querySelectorAll('#rows tr').length === 1")
    assert "the admin" in await page.text("#rows")
    assert page.complaints == []


async def test_gateways_that_share_a_redis(plane: Plane, page: Page) -> None:
    """What each has in force, and which one refuses the last change; words of others are text."""
    plane.rooms.replicas.word = lambda: "ok"
    # One that has said nothing for seconds is gone, which all below may take.
    plane.rooms.replicas.now_s = lambda: 0.0
    refusing = replace(
        THIS, instance="cd34", host="<b>gateway-2</b>", config="older", rejected_ns=1, rejected="no KEY"
    )
    plane.rooms.replicas.hear(encode(refusing))
    await plane.sign_in(page)
    for width in (1440, 390):
        await page.look(width=width, height=900)
        await page.open(plane.origin + "/configuration/history")
        await page.wait("document.querySelectorAll('#replica-rows tr').length === 2")
        text = await page.text("#replicas")
        assert "<b>gateway-2</b>" in text
        assert "refuses the last change" in text
        assert "this one" in text
        await shoot(page, f"gateways-{width}")
        assert await find_faults(page) == []
        assert await page.run("document.documentElement.scrollWidth") <= width
    assert page.complaints == []


async def test_deleting(plane: Plane, page: Page) -> None:
    """After a question, back to the list."""
    file = add(plane.folder, "limits.yaml", LIMITS)
    await plane.sign_in(page)
    await page.open(f"{plane.origin}{EDIT}&name=limits")
    await page.wait(READY)
    await page.click("#delete")
    await page.wait("document.querySelector('dialog[open] button.main') !== null")
    await page.click("dialog[open] button.main")
    await page.wait(
        "location.pathname === '/controls/rate-limits' && document.querySelector('.empty') !== null"
    )
    assert not file.exists()


async def test_a_viewer_looks(plane: Plane, page: Page) -> None:
    """And cannot change a thing."""
    file = add(plane.folder, "limits.yaml", LIMITS)
    await plane.sign_in(page, Role.VIEWER)
    await page.open(f"{plane.origin}{EDIT}&name=limits")
    await page.wait("document.getElementById('f-rules-0-limit_to') !== null")
    # What is there now, also for who only looks.
    file.write_text(LIMITS.replace("limit_to: 10", "limit_to: 12"))
    await page.wait("document.querySelector('#yaml textarea').value.includes('limit_to: 12')")
    assert await page.run("document.getElementById('f-rules-0-limit_to').disabled")
    assert await page.run("document.querySelector('#yaml textarea').readOnly")
    assert await page.run("document.getElementById('save').hidden")
    await shoot(page, "viewer")
    assert page.complaints == []


@pytest.mark.long
@pytest.mark.parametrize(
    "path",
    [
        f"{EDIT}&name=limits",
        "/models/edit?type=provider-account/virtual-model&name=vm",
        "/models/edit?type=provider-account/aws-bedrock",
        "/models/virtual",
        "/models/targets",
        "/models/new",
        "/controls/rate-limits/edit?type=nothing",
        "/controls/rate-limits",
    ],
)
async def test_pages_below_have_no_faults(plane: Plane, page: Page, path: str) -> None:
    """Light and dark, large and small."""
    add(plane.folder, "limits.yaml", documents(LIMITS, ROUTES))
    await plane.sign_in(page)
    for width, scheme in ((1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")):
        await page.look(width=width, height=900, scheme=scheme)
        await page.open(plane.origin + path)
        await page.wait("document.querySelector('main .skeleton, main [aria-busy=true]') === null")
        name = path.strip("/").replace("/", "-").replace("?", "-").replace("&", "-")
        await shoot(page, f"{name}-{width}-{scheme}")
        assert await find_faults(page) == []
        assert await page.run("document.documentElement.scrollWidth") <= width
    assert all("404" in one for one in page.complaints) if "nothing" in path else page.complaints == []


async def test_a_target_by_its_resource_name(plane: Plane, page: Page) -> None:
    """It is the model that it names, where targets are listed and where they are changed."""
    whole = "acme:self-hosted-model:lab:model:qwen"
    add(plane.folder, "vm.yaml", ROUTES.replace("target: lab/qwen", f'target: "{whole}"'))
    await plane.sign_in(page)
    edit = "/models/edit?type=provider-account/virtual-model&name=vm"
    for path in ("/models/virtual", edit):
        await page.open(plane.origin + path)
        await page.wait(f"document.querySelector(\"[data-target='{whole}']\")?.innerText")
        assert await page.text(f"[data-target='{whole}']") == "Not asked lately"


async def test_a_long_name(plane: Plane, page: Page) -> None:
    """A name is as long as its writer likes, and is read on a phone: nothing goes beyond the screen."""
    name = "a" * 120
    add(plane.folder, "long.yaml", CALLER.replace("name: app", f"name: {name}").replace("0" * 64, "3" * 64))
    await plane.sign_in(page)
    await page.look(width=360, height=740)
    await page.open(f"{plane.origin}/access/callers/edit?type=virtual-account&name={name}")
    await page.wait("document.querySelector('main [aria-busy=true]') === null")
    assert await page.text("h1") == name
    assert await page.run("document.documentElement.scrollWidth") <= 360
    await page.click("#delete")
    await page.wait("document.querySelector('dialog[open]') !== null")
    box = "document.querySelector('dialog[open]')"
    assert await page.run(f"{box}.scrollWidth <= {box}.clientWidth")
    assert page.complaints == []


async def test_a_name_that_is_taken(plane: Plane, page: Page) -> None:
    """Whoever adds one is told so, and led to the other; nothing is offered to be saved over."""
    await plane.sign_in(page)
    await page.open(f"{plane.origin}/access/callers/edit?type=virtual-account")
    await page.wait("document.querySelector('main [aria-busy=true]') === null")
    await page.fill("#f-name", "app")
    await page.wait("document.querySelector('#yaml textarea').value.includes('name: app')")
    await page.click("#save")
    await page.wait("document.querySelector('#notes a') !== null")
    assert "There is one called app already" in await page.text("#notes")
    assert await page.run("document.querySelector('#notes button')") is None
    assert await page.run("document.querySelector('#notes a').search") == "?type=virtual-account&name=app"
    assert await page.run("document.getElementById('f-name').value") == "app"


_READ_ONLY = """
const ask = window.fetch;
window.fetch = async (path, options) => {
  const reply = await ask(path, options);
  if (!path.startsWith('/api/manifests') || (options?.method ?? 'GET') !== 'GET') return reply;
  const { headers } = reply;
  return Response.json({ ...await reply.json(), why_not: 'it is read-only here' }, { headers });
};
"""


@pytest.mark.parametrize("name", ["", "&name=app"], ids=["a new one", "one that is there"])
async def test_where_nothing_can_be_saved(plane: Plane, page: Page, name: str) -> None:
    """It is said before anything is typed, as of a ConfigMap, and Save stays off whatever is."""
    await plane.sign_in(page)
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=_READ_ONLY)
    await page.open(f"{plane.origin}/access/callers/edit?type=virtual-account{name}")
    await page.wait("document.getElementById('notes').innerText.includes('it is read-only here')")
    await page.fill("#f-name", "another")
    await page.wait("document.querySelector('#yaml textarea').value.includes('name: another')")
    assert await page.run("document.getElementById('save').disabled")
