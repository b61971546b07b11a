"""The targets room: what is shown of targets, and what an operator can say to one."""

from __future__ import annotations

import logging
from random import Random

import pytest

from gateway.control.targets import TargetsSource
from gateway.model import Outcome
from gateway.routing.health import Health
from gateway.store.target_board import board_in_memory
from gateway.telemetry.prometheus import to_text
from tests.unit.control.rooms import Rooms
from tests.unit.makers import make_target

NAMES = ["acct/other", "acct/small"]
NOW_S = 1_700_000_000.0


def make_rooms(names: list[str] | None = None) -> tuple[Rooms, Health]:
    """A control plane with a target that has been asked, and its health."""
    health = Health(board_in_memory(), now_s=lambda: NOW_S, random=Random(1))
    target = make_target("acct/small")
    for _ in range(3):
        health.ended(target, Outcome("good", 200, 0.0, 900.0, 200.0, 12.5))
    health.ended(target, Outcome("sick", 503))
    return Rooms(targets=TargetsSource(lambda: names or NAMES, health)), health


def test_every_configured_target_is_shown() -> None:
    """One that nobody has asked too, without numbers; one that is not configured any more is not."""
    rooms, _ = make_rooms()
    other, small = rooms.client().get("/api/targets").json()["targets"]
    assert other == {
        "target": "acct/other",
        "circuit": "closed",
        "is_drained": False,
        "skip_reason": None,
        "wait_ms": 0,
        "opened_at": None,
        "openings": 0,
        "attempts": {"window_ms": 30000, "good": 0, "sick": 0, "error_ratio": None},
        "times": {"samples": 0, "first_token_ms": None, "per_output_token_ms": None},
        "missing_secret": None,
    }
    assert small["attempts"] == {"window_ms": 30000, "good": 3, "sick": 1, "error_ratio": 0.25}
    assert small["times"] == {"samples": 3, "first_token_ms": 200.0, "per_output_token_ms": 12.5}
    gone, _ = make_rooms(["acct/other"])
    assert [one["target"] for one in gone.client().get("/api/targets").json()["targets"]] == ["acct/other"]


def test_an_open_circuit() -> None:
    """Since when, and for how long still."""
    rooms, health = make_rooms()
    for _ in range(5):
        health.ended(make_target("acct/small"), Outcome("sick", 503))
    small = rooms.client().get("/api/targets").json()["targets"][1]
    assert (small["circuit"], small["skip_reason"], small["openings"]) == ("open", "circuit", 1)
    assert small["opened_at"] == "2023-11-14T22:13:20.000000Z"
    assert small["wait_ms"] == round(health.wait_s("acct/small") * 1000) > 0


def test_drain_and_undrain(caplog: pytest.LogCaptureFixture) -> None:
    """The answer is the target as it is then; the log says once what was changed, and who asked."""
    rooms, health = make_rooms()
    client = rooms.client()
    body = {"target": "acct/small"}
    with caplog.at_level(logging.WARNING, "gateway.control.targets"):
        for _ in range(2):
            reply = client.post("/api/targets/drain", json=body)
            assert reply.status_code == 200
            assert (reply.json()["is_drained"], reply.json()["skip_reason"]) == (True, "drained")
        assert health.skip_reason("acct/small") == "drained"
        for _ in range(2):
            assert client.post("/api/targets/undrain", json=body).json()["is_drained"] is False
        assert health.skip_reason("acct/small") is None
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "target acct/small is drained: no route asks it until it is undrained (asked by testclient)",
        "target acct/small is drained no more (asked by testclient)",
    ]


@pytest.mark.parametrize("path", ["/api/targets/drain", "/api/targets/undrain"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({}, (400, "invalid_parameter"), id="no target"),
        pytest.param({"target": 1}, (400, "invalid_parameter"), id="no name"),
        pytest.param({"target": "acct/gone"}, (404, "target_not_found"), id="not configured"),
    ],
)
def test_what_is_no_target(path: str, body: dict[str, object], expected: tuple[int, str]) -> None:
    """Nothing is changed, and nothing is noted of a name that nobody configured."""
    rooms, health = make_rooms()
    reply = rooms.client().post(path, json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == expected
    assert health.report("acct/gone") is None


def test_a_foreign_page_drains_nothing() -> None:
    """A page of another site in the operator's browser."""
    rooms, health = make_rooms()
    headers = {"origin": "http://evil.test"}
    reply = rooms.client().post("/api/targets/drain", json={"target": "acct/small"}, headers=headers)
    assert reply.status_code == 403
    assert health.skip_reason("acct/small") is None


def test_a_target_without_its_key_says_why() -> None:
    """Nobody has asked it, so nothing else would tell it from a healthy one."""
    rooms = Rooms(
        targets=TargetsSource(lambda: NAMES, None, lambda: {"acct/small": "variable KEY is not set"})
    )
    shown = rooms.client().get("/api/targets").json()["targets"]
    assert [one["missing_secret"] for one in shown] == [None, "variable KEY is not set"]


def test_without_the_file() -> None:
    """Targets are shown without numbers, and nobody is told that one is drained that is not."""
    rooms = Rooms(targets=TargetsSource(lambda: NAMES, None))
    assert [one["circuit"] for one in rooms.client().get("/api/targets").json()["targets"]] == ["closed"] * 2
    reply = rooms.client().post("/api/targets/drain", json={"target": "acct/small"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "store_unavailable")
    assert list(TargetsSource(lambda: NAMES, None).points()) == []


def test_metrics() -> None:
    """Of targets that have been asked, with labels that the configuration bounds."""
    rooms, _ = make_rooms()
    text = to_text(rooms.targets.points()).decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    label = 'gateway_target="acct/small"'
    assert sorted(lines) == [
        f'gateway_target_attempts{{{label},outcome="good"}} 3',
        f'gateway_target_attempts{{{label},outcome="sick"}} 1',
        f"gateway_target_error_ratio{{{label}}} 0.25",
        f"gateway_target_openings_total{{{label}}} 0",
        f"gateway_target_samples{{{label}}} 3",
        f'gateway_target_state{{{label},state="closed"}} 1',
        f"gateway_target_time_per_output_token_seconds{{{label}}} 0.0125",
        f"gateway_target_time_to_first_token_seconds{{{label}}} 0.2",
        "gateway_targets_missed_turns_total 0",
    ]


def test_metrics_of_a_target_without_any() -> None:
    """No ratio of nothing, no median of nothing; the state is what keeps it from being asked."""
    health = Health(board_in_memory())
    health.drain("acct/small")
    lines = to_text(TargetsSource(lambda: NAMES, health).points()).decode()
    assert 'gateway_target_state{gateway_target="acct/small",state="drained"} 1' in lines
    assert "error_ratio{" not in lines
    assert "seconds{" not in lines


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        pytest.param([Outcome("good", 200)], "closed", id="closed"),
        pytest.param([Outcome("sick", 500)] * 5, "open", id="open"),
        pytest.param([Outcome("none", 429, 9.0)], "cool_down", id="cool down"),
        pytest.param([Outcome("sick", 503, 9.0)] * 5, "open", id="both"),
    ],
)
def test_state_in_a_word(outcomes: list[Outcome], expected: str) -> None:
    """What keeps a target from being asked comes before the state of its circuit."""
    health = Health(board_in_memory(), now_s=lambda: NOW_S)
    for outcome in outcomes:
        health.ended(make_target("acct/small"), outcome)
    lines = to_text(TargetsSource(lambda: NAMES, health).points()).decode()
    assert f'gateway_target_state{{gateway_target="acct/small",state="{expected}"}} 1' in lines
