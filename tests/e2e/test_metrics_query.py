"""What calls add up to at `GET /api/metrics/query`, over four workers and a restart of control."""

from __future__ import annotations

import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.load import counted_as_left_out
from tests.rig.manifests import NARROW_TOKEN, chat
from tests.rig.raw_http import Reply
from tests.rig.until import until

CALLS = 60


def ask(gateway: GatewayProcess, query: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = gateway.get(f"/api/metrics/query?{query}")
    return answer


def by_label(answer: dict[str, Any]) -> dict[str, int]:
    return {group["label"]: group["total"]["requests"] for group in answer["groups"]}


def make_calls(gateway: GatewayProcess, first: int) -> list[tuple[str, Reply]]:
    """Calls at once, on a connection each, so that all workers have some."""

    def call(number: int) -> tuple[str, Reply]:
        env = f"stage{number % 3}"
        model = "fake/normal" if number % 4 else "fake/none"
        headers = [("x-tfy-metadata", f'{{"env":"{env}"}}')]
        return env, chat(gateway, model, headers=headers)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(call, range(first, first + CALLS)))


def test_numbers_are_the_calls_made(start_gateway: StartGateway) -> None:
    """By status, member of metadata and caller, whichever worker had them; control may end meanwhile."""
    gateway = start_gateway(workers=4)
    made = make_calls(gateway, 0)
    until(lambda: ask(gateway)["total"]["requests"] == CALLS, "all calls are counted")
    gateway.signal(signal.SIGKILL, gateway.control_pid())
    made += make_calls(gateway, CALLS)

    def is_counted() -> bool:
        try:
            return bool(ask(gateway)["total"]["requests"] >= 2 * CALLS)
        except OSError:
            return False

    until(is_counted, "those of meanwhile too")
    answer = ask(gateway, "split_by=status")
    assert by_label(answer) == Counter(str(reply.status) for _, reply in made)
    failed = sum(reply.status >= 400 for _, reply in made)
    assert (answer["total"]["requests"], answer["total"]["errors"]) == (2 * CALLS, failed)
    assert by_label(ask(gateway, "split_by=metadata.env")) == Counter(env for env, _ in made)
    (caller,) = by_label(ask(gateway, "split_by=virtual_account"))
    assert ask(gateway, f"virtual_account={caller}&status=200")["total"]["requests"] == 2 * CALLS - failed
    listed = gateway.traces("limit=1000&metadata.env=stage1&status=ok")
    right = sum(env == "stage1" and reply.status < 400 for env, reply in made)
    # A busy machine leaves some out of the list, and says so; never out of the numbers.
    assert right - counted_as_left_out(gateway) <= len(listed) <= right
    assert sum(answer["points"]["requests"]) == 2 * CALLS


def test_another_caller_is_another_label(start_gateway: StartGateway) -> None:
    """And a filter by it leaves the others out."""
    gateway = start_gateway(workers=2)
    chat(gateway, "fake/normal")
    chat(gateway, "fake/normal", token=NARROW_TOKEN)
    until(lambda: ask(gateway)["total"]["requests"] == 2, "both are counted")
    labels = by_label(ask(gateway, "split_by=virtual_account"))
    assert sorted(labels.values()) == [1, 1]
