"""Which gateways there are, by what each says of itself."""

from __future__ import annotations

import json

from msgspec.structs import replace

from gateway.control.replica_list import GONE_S, STOPPED, Replica, ReplicaList, encode
from tests.unit.control.rooms import THIS, Rooms

OTHER = Replica(
    "cd34",
    "host-0",
    "0.0.9",
    "older",
    1_600_000_000_000_000_000,
    "ready",
    1,
    None,
    1_600_000_000_000_000_001,
    "no",
)


class Clock:
    """Seconds, as far as they were turned."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def listed(clock: Clock) -> ReplicaList:
    return ReplicaList(lambda: THIS, lambda: "ok", now_s=clock)


def test_alone() -> None:
    """Without Redis there is this one."""
    body = Rooms().client().get("/api/replicas").json()
    assert body["shared"] == "off"
    (one,) = body["replicas"]
    assert one == {
        "instance_id": "ab12",
        "is_this": True,
        "host": "host-1",
        "gateway_version": "0.1.0",
        "state": "ready",
        "workers": 2,
        "config_version": "0123456789ab",
        "config_set": 7,
        "in_force_since": "2023-11-14T22:13:20.000000Z",
        "last_rejected": None,
        "heard_ms_ago": 0,
    }


def test_others_by_what_they_say() -> None:
    """By host; this one is as it is now, whatever was heard of it."""
    clock = Clock()
    replicas = listed(clock)
    replicas.hear(encode(OTHER))
    replicas.hear(encode(replace(THIS, config="what it was")))
    clock.now_s += 1.5
    first, second = replicas.report()["replicas"]
    assert (first["host"], first["is_this"], first["heard_ms_ago"]) == ("host-0", False, 1500)
    assert first["last_rejected"] == {"at": "2020-09-13T12:26:40.000000Z", "message": "no"}
    assert (second["host"], second["is_this"], second["config_version"]) == ("host-1", True, "0123456789ab")


def test_who_is_silent_is_gone() -> None:
    """After a while, or at once where it said so."""
    clock = Clock()
    replicas = listed(clock)
    replicas.hear(encode(OTHER))
    clock.now_s += GONE_S
    assert len(replicas.all()) == 1
    replicas.hear(encode(OTHER))
    assert len(replicas.all()) == 2
    replicas.hear(encode(replace(OTHER, state=STOPPED)))
    assert len(replicas.all()) == 1


def test_what_a_newer_one_says() -> None:
    """Fields that are not known are left out; what is no replica is none."""
    replicas = listed(Clock())
    replicas.hear(json.dumps({**json.loads(encode(OTHER)), "zone": "eu"}))
    for text in ("", "{}", "[]", '{"instance": 1}'):
        replicas.hear(text)
    assert [one.host for one, _, _ in replicas.all()] == ["host-0", "host-1"]


def test_encoded() -> None:
    """In ASCII, and a long error is cut."""
    text = encode(replace(OTHER, host="höst-😀", rejected="x" * 5000))
    assert text.isascii()
    assert len(text) < 1000
    replicas = listed(Clock())
    replicas.hear(text)
    assert replicas.all()[0][0].host == "host-1"
    assert replicas.all()[1][0].host == "höst-😀"


def test_points() -> None:
    """How many have which configuration in force."""
    replicas = listed(Clock())
    replicas.hear(encode(OTHER))
    replicas.hear(encode(replace(OTHER, instance="ef56", config=THIS.config)))
    points = {point.labels: point.values for point in replicas.points()}
    assert points == {("0123456789ab", "ready"): [2], ("older", "ready"): [1]}


def test_a_crowd_has_a_bound() -> None:
    """Whoever writes there cannot fill our memory."""
    replicas = listed(Clock())
    for number in range(2_100):
        replicas.hear(encode(replace(OTHER, instance=f"{number:x}")))
    assert len(replicas.all()) == 2_001
