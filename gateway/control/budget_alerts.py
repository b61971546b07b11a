"""Telling webhooks that budgets are nearly spent: looks every few seconds, and waits for nobody.

Each threshold is told once, for each of those whom a budget counts for, in each window of it. It is
remembered when the webhook has taken it, so a crash at that very moment may tell it twice, and nothing is
lost. What calls under way have taken counts too; as most of them give a part of it back, a threshold is
passed when two looks in turn find it so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Protocol

from gateway.config import SecretMissing
from gateway.control.limit_rows import time_of
from gateway.control.limits_in_force import LimitsInForce, View
from gateway.delivery.webhook import Sending, refusal_of
from gateway.limits.alerts import Channel, body_of, key_of, passed, text_of, watched
from gateway.limits.entities import meters_of
from gateway.limits.readings import CounterReader, Reading
from gateway.store.sent_alerts import SentAlerts
from gateway.tasks import end, spawn
from gateway.telemetry import instruments as names
from gateway.wire.frames import MetricPoint

EVERY_S: Final = 3.0
_REST: Final = 20
"""A look is followed by a pause of so many times its own length: at most 5 % of a core."""

_MOST_METERS: Final = 100_000
_MOST_WAITING: Final = 1_000
_AT_ONCE: Final = 8
_FIRST_PAUSE_S: Final = 5.0
_LONGEST_PAUSE_S: Final = 300.0
MOST_TRIES: Final = 20
"""Over an hour and a half."""

MOST_GIVEN_UP: Final = 100_000
"""The oldest are forgotten beyond, and tried again if their window has not ended."""

_log: Final = logging.getLogger(__name__)


class Sender(Protocol):
    """See `gateway.delivery.webhook.Webhooks`."""

    async def send(self, url: str, body: Mapping[str, Any]) -> Sending:
        """Hand over a message."""

    async def close(self) -> None:
        """Close the connections."""


@dataclass(slots=True)
class _Alert:
    """What is to be told to one channel.

    Attributes:
        keys: Of the thresholds.
        budget: Its name, for the log.
        end_s: When the window ends, None for never.
    """

    channel: Channel
    keys: tuple[str, ...]
    budget: str
    text: str
    end_s: float | None
    tries: int = 0
    due_s: float = 0.0
    is_under_way: bool = False


class BudgetAlerts:
    """Looks at the budgets of which somebody is told."""

    def __init__(
        self,
        in_force: LimitsInForce,
        reader: CounterReader,
        sent: SentAlerts,
        make_sender: Callable[[], Sender],
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; *make_sender* is called within the event loop, *clock_s* only goes forward."""
        self._in_force = in_force
        self._reader = reader
        self._sent = sent
        self._make_sender = make_sender
        self._clock_s = clock_s
        self._counts = Counter[str]()
        self._before: dict[object, int] = {}
        self._waiting: dict[tuple[str, ...], _Alert] = {}
        self._given_up: dict[str, None] = {}
        self._failing: set[Channel] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def points(self) -> Iterator[MetricPoint]:
        """What became of alerts, since this process started."""
        for outcome in ("sent", "failed", "given_up"):
            if self._counts[outcome]:
                yield names.BUDGET_ALERTS.point(self._counts[outcome], outcome)

    async def run(self) -> None:
        """Look and tell until cancelled."""
        sender = self._make_sender()
        try:
            while True:
                began_s = self._clock_s()
                await self.look(sender)
                await asyncio.sleep(max(EVERY_S, _REST * (self._clock_s() - began_s)))
        finally:
            await end(self._tasks)
            await sender.close()

    async def look(self, sender: Sender) -> None:
        """Find out what is to be told, and begin to tell what is due."""
        view = await asyncio.to_thread(self._in_force.view)
        if not view.watches:
            self._before.clear()
            self._waiting.clear()
            return
        meters = await asyncio.to_thread(self._meters, view)
        read = await self._reader.read(meters)
        waiting = frozenset(key for keys in self._waiting for key in keys)
        try:
            found = await asyncio.to_thread(lambda: list(self._find_new(view, read.each, waiting)))
        except OSError as error:
            _log.error("what alerts were sent cannot be read: %s; none is sent", error.strerror or error)
            return
        self._take(view, found)
        now_s = self._clock_s()
        allowed = view.config.global_settings.budget_settings.alerts_over_http
        due = [alert for alert in self._waiting.values() if alert.due_s <= now_s and not alert.is_under_way]
        under_way = sum(alert.is_under_way for alert in self._waiting.values())
        for alert in due[: max(0, _AT_ONCE - under_way)]:
            alert.is_under_way = True
            telling = self._tell(sender, alert, may_be_plain=allowed)
            spawn(telling, name="budget-alert", owner=self._tasks)

    def _meters(self, view: View) -> list[Any]:
        rules = watched(view.rules.every(), view.watches)
        return list(islice(meters_of(rules, self._in_force.known()), _MOST_METERS))

    def _find_new(self, view: View, readings: Sequence[Reading], waiting: frozenset[str]) -> Iterator[_Alert]:
        """The alerts that are neither sent nor *waiting*."""
        before, self._before = self._before, {}
        for reading in readings:
            if not reading.used:
                continue
            meter = reading.meter
            rule = (meter.rule.source, meter.rule.id)
            counter = (*rule, meter.limit.name, meter.entity, reading.begin_s)
            self._before[counter] = reading.used
            settled = replace(reading, used=min(reading.used, before.get(counter, 0)))
            watch = view.watches[rule]
            thresholds = passed(settled, watch)
            for channel in watch.channels if thresholds else ():
                keys = {threshold: key_of(settled, threshold, channel) for threshold in thresholds}
                new = {
                    threshold: key
                    for threshold, key in keys.items()
                    if not (key in waiting or key in self._given_up or self._sent.has(key))
                }
                if new:
                    text = text_of(settled, tuple(new), time_of(settled.begin_s), time_of(settled.end_s))
                    yield _Alert(channel, tuple(new.values()), meter.rule.id, text, settled.end_s)

    def _take(self, view: View, found: Sequence[_Alert]) -> None:
        """Let alerts wait, those to channels alone that are there still."""
        known = {channel for watch in view.watches.values() for channel in watch.channels}
        self._waiting = {keys: one for keys, one in self._waiting.items() if one.channel in known}
        for alert in found[: _MOST_WAITING - len(self._waiting)]:
            self._waiting[alert.keys] = alert

    async def _tell(self, sender: Sender, alert: _Alert, *, may_be_plain: bool) -> None:
        channel = alert.channel
        try:
            url = await asyncio.to_thread(self._in_force.secrets.resolve, channel.url, channel.folder)
            refused = refusal_of(url, may_be_plain=may_be_plain)
            sending = (
                Sending(refused) if refused else await sender.send(url, body_of(channel.kind, alert.text))
            )
        except SecretMissing as error:
            sending = Sending(str(error).rstrip("."))
        alert.is_under_way = False
        if sending.is_taken:
            await self._note_sent(alert)
        else:
            self._note_failed(alert, sending.what)

    async def _note_sent(self, alert: _Alert) -> None:
        self._waiting.pop(alert.keys, None)
        self._failing.discard(alert.channel)
        try:
            await asyncio.to_thread(self._sent.add, dict.fromkeys(alert.keys, alert.end_s))
        except OSError as error:
            _log.error("an alert was sent and is not noted: %s; a restart may send it again", error)
        self._counts["sent"] += 1

    def _note_failed(self, alert: _Alert, what: str) -> None:
        self._counts["failed"] += 1
        alert.tries += 1
        alert.due_s = self._clock_s() + min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (alert.tries - 1))
        if alert.channel not in self._failing:
            self._failing.add(alert.channel)
            _log.warning(
                'an alert of the budget "%s" is not taken by the webhook %s: %s; it is tried again',
                *(alert.budget, alert.channel.url.shown, what),
            )
        if alert.tries >= MOST_TRIES:
            self._counts["given_up"] += 1
            self._waiting.pop(alert.keys, None)
            self._given_up |= dict.fromkeys(alert.keys)
            while len(self._given_up) > MOST_GIVEN_UP:
                del self._given_up[next(iter(self._given_up))]
            _log.error('an alert of the budget "%s" is given up after %d tries', alert.budget, alert.tries)
