"""The limits room: who has used how much, for operators and for callers."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.control import limits
from gateway.control.limits_in_force import Seen
from tests.unit.control.limit_desk import Desk, budget, desk_of, rate

RULES: list[dict[str, Any]] = [
    rate("each", {"requests_per_day": 10}, applies_to={"type": "per-user"}),
    rate(
        "apps", {"requests_per_hour": 20, "tokens_per_day": 100}, applies_to={"type": "per-virtual-account"}
    ),
    rate("topics", {"requests_per_day": 4}, applies_to={"type": "metadata", "metadata": "team"}),
    budget("all", {"cost_per_month": 8.0}),
    {**budget("ml", {"cost_per_lifetime": 5.0}), "type": "team-budget-config", "team_name": "ml"},
]


def used_desk() -> Desk:
    desk = desk_of(*RULES, find_seen=lambda: Seen(["c@x.io"], {"team": ["maps"]}))
    desk.use("each", ("a@x.io",), 9)
    desk.use("each", ("c@x.io",), 1)
    desk.use("apps", ("job",), 10)
    desk.use("topics", ("search",), 3)
    desk.use("all", (), 2_000_000)
    return desk


def get(desk: Desk, path: str, **headers: str) -> Any:
    reply = desk.client().get(f"/api/limits/{path}", headers=headers)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_the_greatest_share_first() -> None:
    """All that are known: configured, named by an override, or seen in the store."""
    answer = get(used_desk(), "usage")
    rows = answer["usage"]
    shares = [row["percentage"] for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert rows[0]["entity"] == {"user": "a@x.io"}
    found = {(row["rule"], row["unit"], *(row["entity"] or {"": ""}).values()): row["used"] for row in rows}
    assert found == {
        ("each", "requests_per_day", "a@x.io"): 9,
        ("each", "requests_per_day", "b@x.io"): 0,
        ("each", "requests_per_day", "c@x.io"): 1,
        ("apps", "requests_per_hour", "app"): 0,
        ("apps", "tokens_per_day", "app"): 0,
        ("apps", "requests_per_hour", "job"): 10,
        ("apps", "tokens_per_day", "job"): 10,
        ("topics", "requests_per_day", ""): 0,
        ("topics", "requests_per_day", "maps"): 0,
        ("topics", "requests_per_day", "search"): 3,
        ("all", "cost_per_month", ""): 2.0,
        ("ml", "cost_per_lifetime", ""): 0.0,
    }
    assert (answer["counted_by"], answer["is_cut"], answer["next_cursor"]) == ("host", False, None)


def test_a_row() -> None:
    """Money in USD, times in UTC, the window of the calendar."""
    (row,) = get(used_desk(), "usage?rule=all")["usage"]
    assert row == {
        "rule": "all",
        "type": "tenant-budget-config",
        "team": None,
        "mode": "enforce",
        "entity": None,
        "unit": "cost_per_month",
        "limit": 8.0,
        "used": 2.0,
        "left": 6.0,
        "percentage": 25.0,
        "start": "2026-01-01T00:00:00.000000Z",
        "end": "2026-02-01T00:00:00.000000Z",
        "resets_at": "2026-02-01T00:00:00.000000Z",
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("rule=each&limit=1", ["a@x.io"]),
        ("rule=each&limit=1&cursor=1", ["c@x.io"]),
        ("rule=each&min_percentage=50", ["a@x.io"]),
        ("entity=job", ["job", "job"]),
        ("type=team-budget-config", [None]),
        ("team=ml", [None]),
        ("unit=requests_per_hour", ["job", "app"]),
        ("rule=each&entity=job", []),
        ("rule=&limit=1", ["a@x.io"]),
    ],
)
def test_filters_and_pages(query: str, expected: list[str | None]) -> None:
    """Each is exact; an empty one is none."""
    rows = get(used_desk(), f"usage?{query}")["usage"]
    assert [next(iter(row["entity"].values())) if row["entity"] else None for row in rows] == expected


def test_pages_end() -> None:
    """The cursor leads through all, and then there is none."""
    desk = used_desk()
    first = get(desk, "usage?limit=7")
    second = get(desk, f"usage?limit=7&cursor={first['next_cursor']}")
    assert (len(first["usage"]), len(second["usage"]), second["next_cursor"]) == (7, 5, None)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "cursor=-1", "min_percentage=x", "colour=red", "rule=a&rule=b"]
)
def test_bad_parameters(query: str) -> None:
    """A slip is told, and never passed over."""
    reply = used_desk().client().get(f"/api/limits/usage?{query}")
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_parameter")


def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a bound, and the answer says that it was reached."""
    monkeypatch.setattr(limits, "MAX_METERS", 3)
    answer = get(used_desk(), "usage")
    assert (len(answer["usage"]), answer["is_cut"]) == (3, True)


@pytest.mark.parametrize("header", ["authorization", "x-tfy-api-key"])
def test_what_counts_for_a_caller(header: str) -> None:
    """With its own token; others' figures are not among it."""
    token = "Bearer user-token" if header == "authorization" else "user-token"
    answer = get(used_desk(), "my-usage", **{header: token})
    assert answer["caller"] == {"kind": "user", "name": "a@x.io", "teams": ["ml"]}
    assert [(row["rule"], row["entity"], row["used"]) for row in answer["usage"]] == [
        ("each", {"user": "a@x.io"}, 9),
        ("all", None, 2.0),
        ("ml", None, 0.0),
        ("topics", {"metadata.team": ""}, 0),
    ]


def test_tags_of_a_caller() -> None:
    """Of metadata it sees what its own calls are counted under."""
    rows = get(used_desk(), "my-usage?rule=topics", authorization="Bearer app-token")["usage"]
    assert [(row["entity"], row["used"]) for row in rows] == [({"metadata.team": "search"}, 3)]


@pytest.mark.parametrize(("token", "seen"), [("app-token", {"search"}), ("job-token", {""})])
def test_metadata_of_others(token: str, seen: set[str]) -> None:
    """What is counted for a value of others stays theirs, though an override or a condition names it."""
    apart = {"type": "metadata", "metadata": "team"}
    override = {"metadata_values": ["maps"], "limits": {"requests_per_day": 9}}
    desk = desk_of(
        rate("named", {"requests_per_day": 2}, applies_to={**apart, "overrides": [override]}),
        rate("maps", {"requests_per_day": 2}, when={"metadata": {"team": {"in": ["maps"]}}}),
        rate("both", {"requests_per_day": 2}, when={"metadata": {"team": {"in": ["maps", "search"]}}}),
    )
    desk.use("named", ("maps",), 1)
    rows = get(desk, "my-usage", authorization=f"Bearer {token}")["usage"]
    assert {row["entity"]["metadata.team"] for row in rows if row["rule"] == "named"} == seen
    # Whoever is given no value may send one.
    may_count = {"both"} if seen == {"search"} else {"both", "maps"}
    assert {row["rule"] for row in rows} == {"named", *may_count}


@pytest.mark.parametrize("token", ["Bearer nobody", "Basic app-token", ""])
def test_whoever_has_no_token(token: str) -> None:
    """401, as at the data plane."""
    reply = used_desk().client().get("/api/limits/my-usage", headers={"authorization": token})
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")
