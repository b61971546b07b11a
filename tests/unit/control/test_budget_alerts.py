"""Budgets are looked at, and webhooks told, once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.config import SecretSource
from gateway.control import budget_alerts
from gateway.control.budget_alerts import MOST_TRIES, BudgetAlerts
from gateway.delivery.webhook import Sending
from gateway.limits.rules import MICRO_USD
from gateway.store.sent_alerts import FILE_NAME, SentAlerts
from tests.unit.control.limit_desk import NOW_S, Desk, budget, desk_of
from tests.unit.doubles import Clock

HOOK: Final = {"type": "slack-webhook", "notification_channel": "env:HOOK"}
OTHER: Final = {"type": "slack-webhook", "notification_channel": "env:OTHER"}
URLS: Final[dict[str, str]] = {"HOOK": "https://hooks.test/canary", "OTHER": "https://other.test/canary"}


class Receiver:
    """Webhooks that answer as told, and take all else."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}
        self.taken: list[tuple[str, str]] = []
        self.asked = 0
        self.is_closed = False
        self.gate: asyncio.Event | None = None

    async def send(self, url: str, body: Mapping[str, Any]) -> Sending:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        answers = self.answers.get(url, [])
        what = answers.pop(0) if answers else ""
        if not what:
            self.taken.append((url, body["text"].partition(":")[0].removeprefix('The budget "b" ')))
        return Sending(what)

    async def close(self) -> None:
        self.is_closed = True


async def told() -> None:
    """Wait for what is being told."""
    tasks = [task for task in asyncio.all_tasks() if task.get_name() == "budget-alert"]
    if tasks:
        await asyncio.wait(tasks)


class Rig:
    """Alerts over a desk; `look` looks and waits for what is told."""

    def __init__(self, folder: Path, desk: Desk, receiver: Receiver | None = None, **urls: str) -> None:
        self.desk = desk
        self.clock = Clock(100.0)
        self.receiver = receiver or Receiver()
        sent = SentAlerts(folder / FILE_NAME, now_s=lambda: NOW_S)
        source = desk.source
        source.in_force.secrets = SecretSource(URLS | urls)
        self.alerts = BudgetAlerts(
            source.in_force, source.reader, sent, lambda: self.receiver, clock_s=self.clock
        )

    async def look(self, times: int = 2) -> None:
        for _ in range(times):
            await self.alerts.look(self.receiver)
            await told()

    @property
    def counts(self) -> dict[str, float]:
        return {point.labels[0]: point.values[0] for point in self.alerts.points()}


def desk(*targets: Mapping[str, str], **more: Any) -> Desk:
    alerts = {"thresholds": [50, 75, 100], "notification_target": list(targets or (HOOK,))}
    each = {"type": "per-virtual-account"}
    return desk_of(budget("b", {"cost_per_month": 10.0}, applies_to=each, alerts=alerts, **more))


def spend(rig: Rig, usd: float, who: str = "app") -> None:
    rig.desk.use("b", (who,), round(usd * MICRO_USD))


async def test_once_for_each_threshold(tmp_path: Path) -> None:
    """Also after a restart; what was passed at once is told at once."""
    rig = Rig(tmp_path, desk())
    spend(rig, 5)
    await rig.look(3)
    assert rig.receiver.taken == [(URLS["HOOK"], "of virtualaccount app has reached 50 %")]
    spend(rig, 5)
    spend(rig, 6, "job")
    again = Rig(tmp_path, rig.desk)
    await again.look(3)
    # The two are told at the same time.
    assert sorted(again.receiver.taken) == [
        (URLS["HOOK"], "of virtualaccount app has reached 75, 100 %"),
        (URLS["HOOK"], "of virtualaccount job has reached 50 %"),
    ]
    await Rig(tmp_path, rig.desk, again.receiver).look(3)
    assert len(again.receiver.taken) == 2
    assert (rig.counts, again.counts) == ({"sent": 1}, {"sent": 2})


async def test_what_calls_give_back(tmp_path: Path) -> None:
    """What a call under way has taken is passed when it is still there at the next look."""
    rig = Rig(tmp_path, desk())
    spend(rig, 4)
    await rig.look(2)
    spend(rig, 5)
    await rig.look(1)
    assert not rig.receiver.taken, "seen once"
    await rig.look(1)
    assert len(rig.receiver.taken) == 1


async def test_each_channel_by_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that fails is asked again later and later, the other is not told twice, the log says it once."""
    rig = Rig(tmp_path, desk(HOOK, OTHER))
    rig.receiver.answers = {URLS["OTHER"]: ["no answer within 10 s"] * 2}
    spend(rig, 5)
    with caplog.at_level(logging.WARNING):
        await rig.look()
        await rig.look()
        assert rig.receiver.asked == 2
        rig.clock.now_s += 5
        await rig.look(1)
        rig.clock.now_s += 5
        await rig.look(1)
        assert rig.receiver.asked == 3, "the second pause is longer"
        rig.clock.now_s += 5
        await rig.look(1)
    assert sorted(url for url, _ in rig.receiver.taken) == sorted(URLS.values())
    assert rig.counts == {"sent": 2, "failed": 2}
    assert [record.getMessage() for record in caplog.records] == [
        (
            'an alert of the budget "b" is not taken by the webhook env:OTHER: no answer within 10 s; '
            "it is tried again"
        )
    ]


async def test_a_webhook_that_is_gone(tmp_path: Path) -> None:
    """Is given up in the end."""
    rig = Rig(tmp_path, desk())
    rig.receiver.answers = {URLS["HOOK"]: ["no"] * 1000}
    spend(rig, 5)
    for _ in range(MOST_TRIES + 5):
        await rig.look()
        rig.clock.now_s += 301
    assert rig.counts == {"failed": MOST_TRIES, "given_up": 1}


async def test_what_is_given_up_is_not_kept_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is tried again."""
    monkeypatch.setattr(budget_alerts, "MOST_TRIES", 1)
    monkeypatch.setattr(budget_alerts, "MOST_GIVEN_UP", 1)
    rig = Rig(tmp_path, desk())
    rig.receiver.answers = {URLS["HOOK"]: ["no"] * 1000}
    spend(rig, 5)
    spend(rig, 5, "job")
    await rig.look()
    assert rig.counts == {"failed": 2, "given_up": 2}
    await rig.look(1)
    assert rig.counts == {"failed": 3, "given_up": 3}


@pytest.mark.parametrize(
    ("url", "what"),
    [("http://hooks.test/canary", "it is not https"), ("", "env:HOOK is empty"), ("canary", "it is no http")],
)
async def test_urls_that_nothing_is_sent_to(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, url: str, what: str
) -> None:
    """The log has no part of them."""
    rig = Rig(tmp_path, desk(), HOOK=url)
    spend(rig, 5)
    await rig.look()
    assert rig.receiver.asked == 0
    assert what in caplog.text
    assert "canary" not in caplog.text


async def test_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look ends while webhooks are silent, only so many of them are asked at once, and none twice."""
    monkeypatch.setattr(budget_alerts, "_AT_ONCE", 1)
    rig = Rig(tmp_path, desk())
    rig.receiver.gate = asyncio.Event()
    spend(rig, 5)
    spend(rig, 5, "job")
    for _ in range(4):
        await rig.alerts.look(rig.receiver)
    # What was begun is running once the loop has turned.
    await asyncio.sleep(0)
    rig.receiver.gate.set()
    await told()
    await rig.look(2)
    assert (rig.receiver.asked, rig.counts) == (2, {"sent": 2})


async def test_files_that_fail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be noted is known until a restart; what cannot be read stops alerts."""
    rig = Rig(tmp_path / "absent", desk())
    spend(rig, 5)
    await rig.look(4)
    assert len(rig.receiver.taken) == 1
    assert "a restart may send it again" in caplog.text
    (tmp_path / FILE_NAME).mkdir()
    unread = Rig(tmp_path, rig.desk)
    await unread.look()
    assert not unread.receiver.taken
    assert "cannot be read" in caplog.text


async def test_without_alerts_nothing_is_read(tmp_path: Path) -> None:
    """A feature that is off costs nothing."""
    rig = Rig(tmp_path, desk_of(budget("b", {"cost_per_month": 1.0})))
    rig.desk.source.reader._counters = None  # type: ignore[assignment]  # fails if it is asked
    await rig.look()


async def test_its_life(tmp_path: Path) -> None:
    """It looks at once, and closes its connections when it is ended."""
    rig = Rig(tmp_path, desk())
    task = asyncio.ensure_future(rig.alerts.run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rig.receiver.is_closed
