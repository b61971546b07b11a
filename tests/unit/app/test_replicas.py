"""Sharing goes on whatever Redis does, and says what it does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import pytest

from gateway.app.replicas import AWAY, FRESH_S, OK, Sharing, word_of
from gateway.routing.circuit import CircuitRules
from gateway.routing.shared_circuits import SharedCircuits
from gateway.store.replica_records import Heard, Record, ReplicasAwayError
from gateway.store.target_board import board_in_memory
from gateway.tasks import end, spawn

NOW_S: Final = 1_764_000_000.0
RECORD: Final = Record("a:circuit", 1, "open 1 1")


class FakeReplicas:
    """A meeting place that is away when it is told to be."""

    place = "redis://redis.test:6379/0"

    def __init__(self) -> None:
        self.is_away = False
        self.exchanges = 0
        self.asked_all = 0
        self.is_closed = False
        self.exchanged = asyncio.Event()

    async def exchange(self, _records: Sequence[Record]) -> Heard:
        self.exchanges += 1
        self.exchanged.set()
        if self.is_away:
            raise ReplicasAwayError("Connection refused")
        return Heard(0.0, 0.001, False, (RECORD,))

    def hear_all(self) -> None:
        self.asked_all += 1

    async def close(self) -> None:
        self.is_closed = True


class Stage:
    """A host that shares with `FakeReplicas`."""

    def __init__(self) -> None:
        self.board = board_in_memory(places=4, now_s=lambda: NOW_S)
        self.replicas = FakeReplicas()
        self.names: list[str] = ["acct/small"]
        circuits = SharedCircuits(self.board, CircuitRules, now_s=lambda: NOW_S)
        self.sharing = Sharing(
            circuits, self.replicas, names=lambda: self.names, on_shared=self.board.note_shared
        )


async def test_what_readiness_says(caplog: pytest.LogCaptureFixture) -> None:
    """Away before the first exchange, and whenever the last one failed; the log says each change once."""
    stage = Stage()
    assert stage.sharing.word == AWAY
    with caplog.at_level(logging.INFO):
        for is_away in (False, False, True, True, False):
            stage.replicas.is_away = is_away
            await stage.sharing.share_once()
            assert stage.sharing.word == (AWAY if is_away else OK)
    shared = "what replicas know of targets is shared by redis://redis.test:6379/0"
    away = (
        "redis://redis.test:6379/0 cannot be used: Connection refused; until it can, this host goes by what "
        "it knows of targets itself"
    )
    assert caplog.messages == [shared, away, shared]


async def test_away_from_the_start(caplog: pytest.LogCaptureFixture) -> None:
    """That is said as well, and once."""
    stage = Stage()
    stage.replicas.is_away = True
    for _ in range(3):
        await stage.sharing.share_once()
    assert len(caplog.messages) == 1


async def test_workers_see_the_board() -> None:
    """It says when something was shared last; what is long ago, or was never, is away."""
    stage = Stage()
    assert word_of(stage.board, now_s=lambda: NOW_S) == AWAY
    stage.replicas.is_away = True
    await stage.sharing.share_once()
    assert word_of(stage.board, now_s=lambda: NOW_S) == AWAY
    stage.replicas.is_away = False
    await stage.sharing.share_once()
    assert word_of(stage.board, now_s=lambda: NOW_S + FRESH_S) == OK
    assert word_of(stage.board, now_s=lambda: NOW_S + FRESH_S + 0.1) == AWAY


async def test_another_configuration() -> None:
    """What others have told of targets that are new here is heard with the next exchange."""
    stage = Stage()
    for _ in range(2):
        await stage.sharing.share_once()
    assert stage.replicas.asked_all == 1
    stage.names = ["acct/small", "acct/new"]
    await stage.sharing.share_once()
    assert stage.replicas.asked_all == 2


async def test_goes_on_until_it_is_ended() -> None:
    """Exchange after exchange, and then the connection is let go."""
    stage = Stage()
    owner: set[asyncio.Task[None]] = set()
    spawn(stage.sharing.run(), name="share", owner=owner)
    for _ in range(2):
        await asyncio.wait_for(stage.replicas.exchanged.wait(), 60)
        stage.replicas.exchanged.clear()
    await end(owner)
    assert stage.replicas.is_closed
