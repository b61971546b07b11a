"""What limits and budgets would say of a call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.control.operator import Role
from tests.unit.control.limit_desk import Desk, budget, desk_of, rate
from tests.unit.control.rooms import Rooms, access_at, assert_few_wait, posted_at_once
from tests.unit.limits.limits import Replicas

MODEL_M: dict[str, Any] = {"when": {"models": {"in": ["fake/m"]}}}


def ask(desk: Desk, **asked: Any) -> dict[str, Any]:
    reply = desk.client().post("/api/limits/simulate", json=asked)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def outcomes(answer: dict[str, Any]) -> list[tuple[str, str | None, str]]:
    return [(row["rule"], row["target"], row["outcome"]) for row in answer["rules"]]


def test_who_calls_by_name() -> None:
    """With the tags and teams that the configuration gives it; of no caller a part is asked for."""
    desk = desk_of(rate("r", {"requests_per_day": 2}, applies_to={"type": "per-virtual-account"}))
    answer = ask(desk, virtual_account="app", model="fake/m", metadata={"team": "mine", "run": "7"})
    assert answer["caller"] == {"kind": "virtualaccount", "name": "app", "teams": [], "is_known": True}
    assert answer["metadata"] == {"team": "search", "run": "7"}
    (row,) = answer["rules"]
    assert (row["entity"], row["needs"], row["may_refuse"]) == ({"virtualaccount": "app"}, 1, True)
    assert (answer["allowed"], answer["answered_by"], answer["refusal"]) == (True, "fake/m", None)


@pytest.mark.parametrize(
    ("asked", "metadata"),
    [
        ({"user": "a@x.io"}, {"center": "1", "who": "users"}),
        ({"user": "a@x.io", "team": "ops"}, {"center": "2", "who": "users"}),
        ({"user": "z@x.io"}, {"who": "users"}),
        ({"team": "ops"}, {"center": "2", "who": "users"}),
        ({"virtual_account": "gone"}, {}),
    ],
)
def test_what_calls_are_given(asked: dict[str, Any], metadata: dict[str, str]) -> None:
    """Also those of whom no manifest knows, as users of an identity provider, and of teams that are named."""
    rules = [
        {"id": "ops", "when": {"subjects": ["team:ops"]}, "metadata_override": {"center": "2"}},
        {"id": "ml", "when": {"subjects": ["team:ml"]}, "metadata_override": {"center": "1"}},
        {"id": "users", "when": {"subjects": ["user:*"]}, "metadata_override": {"who": "users"}},
    ]
    desk = desk_of(
        {"type": "gateway-metadata-config", "name": "given", "rules": rules},
        rate("r", {"requests_per_day": 2}, applies_to={"type": "metadata", "metadata": "center"}),
    )
    answer = ask(desk, model="fake/m", metadata={"who": "me"}, **asked)
    assert answer["metadata"] == {"who": "me"} | metadata
    (row,) = answer["rules"]
    assert row["entity"] == {"metadata.center": metadata.get("center", "")}


@pytest.mark.parametrize(
    ("when_away", "is_away", "allowed"),
    [("local", True, True), ("refuse", True, False), ("refuse", False, True)],
)
def test_what_replicas_share_is_away(when_away: str, *, is_away: bool, allowed: bool) -> None:
    """Then it is said as calls are told it, which may all be refused; not of rules that only watch."""
    desk = desk_of(
        rate("watched", {"requests_per_day": 20}, mode="audit"),
        rate("r", {"requests_per_day": 20}),
        {
            "type": "gateway-global-settings",
            "name": "g",
            "limit_settings": {"when_redis_is_away": when_away},
        },
        remote=Replicas(is_shared=not is_away),
    )
    answer = ask(desk, virtual_account="app", model="fake/m")
    assert answer["allowed"] is allowed
    if not allowed:
        refusal = answer["refusal"]
        assert [refusal[key] for key in ("status", "code", "retry_after_s")] == [503, "limits_unavailable", 1]
        assert outcomes(answer) == [("r", None, "refused"), ("watched", None, "allowed")]


async def test_one_at_a_time() -> None:
    """Whoever may sign in may ask for it: few wait, others are told to come again."""
    client = desk_of(rate("r", {"requests_per_day": 2})).client()
    asked = {"user": "a@x.io", "model": "fake/m"}
    assert_few_wait(await posted_at_once(client, "/api/limits/simulate", asked, 60))
    assert client.post("/api/limits/simulate", json=asked).status_code == 200


@pytest.mark.parametrize(
    ("asked", "caller"),
    [
        ({"user": "a@x.io"}, ("user", "a@x.io", ["ml"], True)),
        ({"user": "a@x.io", "teams": ["ops", "ml"]}, ("user", "a@x.io", ["ml", "ops"], True)),
        ({"user": "z@x.io", "team": "ops"}, ("user", "z@x.io", ["ops"], False)),
        ({"team": "ops"}, ("user", "", ["ops"], False)),
        ({"virtual_account": "gone"}, ("virtualaccount", "gone", [], False)),
        ({"token": "job-token"}, ("virtualaccount", "job", [], True)),
    ],
)
def test_who_calls(asked: dict[str, Any], caller: tuple[str, str, list[str], bool]) -> None:
    """Also who is not there yet: such may use every model."""
    answer = ask(desk_of(), model="fake/m", **asked)
    told = answer["caller"]
    assert (told["kind"], told["name"], told["teams"], told["is_known"]) == caller
    assert answer["allowed"] is True


def test_a_spent_budget() -> None:
    """The refusal is the one that the call would meet, and asking again changes nothing."""
    desk = desk_of(budget("b", {"cost_per_month": 10.0}), rate("r", {"tokens_per_day": 50}))
    desk.use("b", (), 8_000_000)
    fits = ask(desk, virtual_account="app", model="fake/m", output_tokens=2)
    assert outcomes(fits) == [("r", None, "allowed"), ("b", None, "allowed")]
    answer = ask(desk, virtual_account="app", model="fake/m", input_tokens=5, output_tokens=3)
    assert (answer["allowed"], answer["answered_by"]) == (False, None)
    refusal = answer["refusal"]
    assert (refusal["status"], refusal["code"]) == (429, "budget_exceeded")
    assert '"b" allows 10 USD per month: 2 USD left, and this call may need 3 USD' in refusal["message"]
    assert refusal["retry_after_s"] == 31 * 86_400 - 30
    assert outcomes(answer) == [("r", None, "allowed"), ("b", None, "refused")]
    assert [row["needs"] for row in answer["rules"]] == [8, 3.0]
    assert ask(desk, virtual_account="app", model="fake/m", output_tokens=2) == fits


def test_rules_that_only_watch() -> None:
    """They are told and refuse nothing; neither does a soft budget while another has room."""
    desk = desk_of(
        budget("audited", {"cost_per_month": 1.0}, mode="audit"),
        budget("soft", {"cost_per_month": 1.0}, mode="soft_enforce"),
        budget("other", {"cost_per_month": 9.0}),
    )
    answer = ask(desk, virtual_account="app", model="fake/m", output_tokens=3)
    assert answer["allowed"] is True
    assert sorted(outcomes(answer)) == [
        ("audited", None, "exceeded"),
        ("other", None, "allowed"),
        ("soft", None, "exceeded"),
    ]


def test_the_next_target() -> None:
    """A target without room is passed over; with none left the refusal is of the one that resets first."""
    of_n = {"when": {"models": {"in": ["fake/n"]}}}
    desk = desk_of(
        rate("m", {"requests_per_day": 1}, **MODEL_M), rate("n", {"requests_per_minute": 1}, **of_n)
    )
    assert ask(desk, virtual_account="app", model="vm/chat")["answered_by"] == "fake/m"
    desk.use("m", (), 1)
    answer = ask(desk, virtual_account="app", model="vm/chat")
    assert answer["answered_by"] == "fake/n"
    assert outcomes(answer) == [("m", "fake/m", "refused"), ("n", "fake/n", "allowed")]
    desk.use("n", (), 1)
    answer = ask(desk, virtual_account="app", model="vm/chat")
    assert (answer["allowed"], answer["answered_by"]) == (False, None)
    assert '"n" allows 1 requests per minute' in answer["refusal"]["message"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"virtual_account": "job", "model": "fake/n"}, "model_not_allowed"),
        ({"virtual_account": "job", "model": "fake/zzz"}, "model_not_found"),
    ],
)
def test_calls_that_no_limit_is_asked_about(asked: dict[str, str], code: str) -> None:
    """Who may not use a model is told so."""
    answer = ask(desk_of(), **asked)
    assert (answer["allowed"], answer["refusal"]["code"], answer["rules"]) == (False, code, [])


def test_rules_that_are_proposed() -> None:
    """They hold in the place of those in force, and find what was counted for a rule of their name."""
    desk = desk_of(rate("r", {"requests_per_day": 5}), budget("b", {"cost_per_month": 0.0}))
    desk.use("r", (), 2)
    assert ask(desk, virtual_account="app", model="fake/m", output_tokens=1)["allowed"] is False
    tight = ask(desk, virtual_account="app", model="fake/m", manifests=[rate("r", {"requests_per_day": 2})])
    assert [(row["rule"], row["limit"], row["used"]) for row in tight["rules"]] == [("r", 2, 2)]
    assert tight["refusal"]["code"] == "rate_limit_exceeded"
    none = ask(desk, virtual_account="app", model="fake/m", manifests=[])
    assert (none["allowed"], none["rules"]) == (True, [])
    odd = rate("r", {"requests_per_day": 5}, when={"models": {"in": ["fake/mm"]}})
    (problem,) = ask(desk, virtual_account="app", model="fake/m", manifests=[odd])["problems"]
    assert (problem["file"], problem["severity"]) == ("manifests.0", "warning")


@pytest.mark.parametrize(
    ("manifests", "path"),
    [
        ([rate("r", {"requests_per_day": -1})], "limits.requests_per_day"),
        ([rate("r", {"requests_per_day": 1}), rate("r", {"requests_per_day": 2})], "name"),
        ([{"type": "virtual-account", "name": "x"}], "type"),
        ([{}], "type"),
    ],
)
def test_proposals_with_errors(manifests: list[dict[str, Any]], path: str) -> None:
    """All of them, as `check-config` tells them."""
    body = {"virtual_account": "app", "model": "fake/m", "manifests": manifests}
    reply = desk_of().client().post("/api/limits/simulate", json=body)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (400, "invalid_manifest")
    assert [problem["path"] for problem in error["problems"]] == [path]
    assert error["problems"][0]["file"] == f"manifests.{len(manifests) - 1}"


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"model": "fake/m"},
        {"model": "fake/m", "user": "a@x.io", "virtual_account": "app"},
        {"model": "fake/m", "virtual_account": "app", "team": "ml"},
        {"model": "fake/m", "user": "a@x.io", "output_tokens": -1},
        {"model": "fake/m", "user": "a@x.io", "tokens": 1},
        {"model": 7, "user": "a@x.io"},
        {"model": "fake/m", "token": "nobody's"},
        {"model": "fake/m", "user": "a@x.io", "metadata": {"k": "v" * 129}},
        {"model": "fake/m", "user": "a@x.io", "manifests": [{}] * 1001},
    ],
)
def test_questions_that_are_none(asked: dict[str, Any]) -> None:
    """The message says what is missing."""
    reply = desk_of().client().post("/api/limits/simulate", json=asked)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_parameter")
    assert "nobody's" not in reply.text


def test_a_viewer_may_ask(tmp_path: Path) -> None:
    """It charges nothing; but the rules that are proposed name no secret that the configuration does not."""
    access = access_at(folder=tmp_path)
    _, secret = access.entrance.accounts.make_token("reader", Role.VIEWER)
    client = Rooms(access=access, limits=desk_of().source).client(token=secret)
    asked: dict[str, Any] = {"model": "fake/m", "user": "a@x.io"}
    assert client.post("/api/limits/simulate", json=asked).status_code == 200
    rule = rate("r", {"requests_per_day": 2})
    assert client.post("/api/limits/simulate", json={**asked, "manifests": [rule]}).status_code == 200
    probe = {**rule, "notification_channel": "env:HOME"}
    reply = client.post("/api/limits/simulate", json={**asked, "manifests": [probe]})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "admin_only")
