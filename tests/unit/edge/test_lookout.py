"""Waits that last are watched: a body that stops coming, a caller that goes."""

from __future__ import annotations

import asyncio

import pytest

from gateway.edge import lookout as module
from gateway.edge.lookout import DisconnectWatch, Lookout
from gateway.errors import BodyTimeout, ClientDisconnected
from tests.rig.until import until_async

GONE = {"type": "http.disconnect"}
BODY_END = {"type": "http.request", "body": b"", "more_body": False}


class Now(Lookout):
    """A lookout that begins to watch at once."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop())

    def add(self, watch: module.Watch) -> None:
        watch.begin()


class Watching:
    """A watch over a future, as Granian's `receive` gives one."""

    def __init__(self) -> None:
        self.gone: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.entered = asyncio.Event()

    def watch(self) -> DisconnectWatch:
        return DisconnectWatch(lambda: self.gone, Now())  # type: ignore[arg-type,return-value]  # a future, as Granian's

    def leave(self) -> None:
        self.gone.set_result(GONE)


def cancelling() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


async def test_caller_that_goes_ends_the_block() -> None:
    """What waits inside is cancelled, the block ends with the one error, the task goes on."""
    watching = Watching()
    asyncio.get_running_loop().call_soon(watching.leave)
    with pytest.raises(ClientDisconnected), watching.watch():
        await asyncio.Event().wait()
    assert cancelling() == 0
    await asyncio.sleep(0)


async def test_caller_that_went_before() -> None:
    """Who went before the block ends it at its first wait."""
    watching = Watching()
    watching.leave()
    with pytest.raises(ClientDisconnected), watching.watch():
        await asyncio.Event().wait()


async def test_caller_that_stays() -> None:
    """A block that ends by itself leaves nothing behind: no wait on the caller, no cancellation."""
    watching = Watching()
    with watching.watch():
        await asyncio.sleep(0)
    assert watching.gone.cancelled()
    assert cancelling() == 0


async def test_reply_that_ends_in_the_moment_the_caller_goes() -> None:
    """Who goes when the block needs no more waiting was served, and nothing is cancelled later."""
    watching = Watching()
    with watching.watch():
        await asyncio.sleep(0)
        watching.leave()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert cancelling() == 0


async def test_error_and_departure_together() -> None:
    """An error from inside is not hidden by the caller's going, and no cancellation is left over."""
    watching = Watching()
    asyncio.get_running_loop().call_soon(watching.leave)

    async def fail_to_clean_up() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("cleanup failed") from None

    with pytest.raises(ValueError, match="cleanup"), watching.watch():
        await fail_to_clean_up()
    assert cancelling() == 0


async def test_error_before_the_caller_goes() -> None:
    """An error from inside passes as it is."""
    watching = Watching()
    with pytest.raises(ValueError, match="bug"), watching.watch():
        raise ValueError("bug")
    assert watching.gone.cancelled()


async def test_cancellation_from_elsewhere_is_not_mistaken() -> None:
    """A worker that cuts its calls is not a caller that left."""
    watching = Watching()

    async def block() -> None:
        with watching.watch():
            watching.entered.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(block())
    await watching.entered.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_cancellation_and_departure_together() -> None:
    """When both happen, the cancellation stays one: whoever asked for it waits for it."""
    watching = Watching()

    async def block() -> None:
        with watching.watch():
            watching.entered.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(block())
    await watching.entered.wait()
    watching.gone.add_done_callback(lambda _: task.cancel())
    watching.leave()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_time_limit_inside_a_watched_block() -> None:
    """A time limit inside is a time limit, whether or not the caller stays."""
    watching = Watching()
    with pytest.raises(TimeoutError), watching.watch():
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
    assert cancelling() == 0


async def test_end_of_the_body_is_no_departure() -> None:
    """A body whose length told its end is ended once more by the server; who waits goes on waiting."""
    loop = asyncio.get_running_loop()
    messages = [loop.create_future(), loop.create_future()]
    messages[0].set_result(BODY_END)
    coming = iter(messages)
    loop.call_later(0, lambda: loop.call_soon(messages[1].set_result, GONE))
    with pytest.raises(ClientDisconnected), DisconnectWatch(lambda: next(coming), Now()):
        await asyncio.Event().wait()
    assert next(coming, None) is None


# -- what lasts


class Recorder:
    """A watch that tells when it is begun."""

    def __init__(self) -> None:
        self.is_open = True
        self.begun = asyncio.Event()

    def begin(self) -> None:
        assert not self.begun.is_set(), "begun twice"
        self.begun.set()


async def test_wait_that_lasts_is_watched() -> None:
    """Each wait that is still open after a while is begun once."""
    lookout = Lookout(asyncio.get_running_loop())
    watches = [Recorder(), Recorder()]
    for watch in watches:
        lookout.add(watch)
    for watch in watches:
        await asyncio.wait_for(watch.begun.wait(), 60)


async def test_short_wait_is_not_watched() -> None:
    """A wait that is over costs nothing; one that began with it is begun all the same."""
    lookout = Lookout(asyncio.get_running_loop())
    short, long = Recorder(), Recorder()
    lookout.add(short)
    lookout.add(long)
    short.is_open = False
    await asyncio.wait_for(long.begun.wait(), 60)
    assert not short.begun.is_set()


async def test_lookout_rests_without_waits() -> None:
    """Nothing ticks in an idle worker."""
    lookout = Lookout(asyncio.get_running_loop())
    watch = Recorder()
    lookout.add(watch)
    await asyncio.wait_for(watch.begun.wait(), 60)
    assert lookout._timer is None


# -- bodies


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lasts for a moment is watched."""
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.001)


async def until_timed(lookout: Lookout) -> module._Silence:
    """The one wait for a body, once it has lasted so long that it is timed."""

    def timed() -> list[module._Silence]:
        return [each for each in lookout._bodies.values() if each is not None and each._timer is not None]

    await until_async(lambda: bool(timed()), "it is timed")
    return timed()[0]


async def wait_for_body(lookout: Lookout, coming: asyncio.Future[None]) -> None:
    """As who reads a body waits for a piece of it."""
    waiting = lookout.await_body()
    try:
        await coming
    finally:
        lookout.body_came(waiting)


@pytest.mark.usefixtures("quick")
async def test_body_that_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not come to its end is given up with the one error, and the task goes on."""
    monkeypatch.setattr(module, "BODY_SILENCE_S", 0.001)
    lookout = Lookout(asyncio.get_running_loop())
    with pytest.raises(BodyTimeout):
        await wait_for_body(lookout, lookout.loop.create_future())
    assert cancelling() == 0
    assert not lookout._bodies


@pytest.mark.usefixtures("quick")
async def test_body_in_time() -> None:
    """A body that is there in time leaves nothing behind, also where its wait had lasted."""
    lookout = Lookout(asyncio.get_running_loop())
    coming: asyncio.Future[None] = lookout.loop.create_future()
    begun = asyncio.ensure_future(wait_for_body(lookout, coming))
    silence = await until_timed(lookout)
    coming.set_result(None)
    await begun
    assert silence._timer is not None
    assert silence._timer.cancelled()
    assert not lookout._bodies


@pytest.mark.usefixtures("quick")
async def test_body_that_goes_on_coming() -> None:
    """However long a body takes, each piece has its own time."""
    lookout = Lookout(asyncio.get_running_loop())
    pieces: list[asyncio.Future[None]] = [lookout.loop.create_future() for _ in range(3)]

    async def read() -> None:
        for piece in pieces:
            await wait_for_body(lookout, piece)

    reading = asyncio.ensure_future(read())
    seen = set()
    for piece in pieces:
        seen.add(await until_timed(lookout))
        piece.set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await reading
    assert len(seen) == len(pieces)


@pytest.mark.usefixtures("quick")
async def test_body_whose_call_is_cut() -> None:
    """A worker that cuts a call in the very moment its body has been silent for too long has cut it."""
    lookout = Lookout(asyncio.get_running_loop())
    waiting = asyncio.ensure_future(wait_for_body(lookout, lookout.loop.create_future()))
    silence = await until_timed(lookout)
    silence._pass()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()


@pytest.mark.usefixtures("quick")
async def test_lookout_rests_while_bodies_are_timed() -> None:
    """A body that has stopped coming has its own timer; nothing else ticks for it."""
    lookout = Lookout(asyncio.get_running_loop())
    coming: asyncio.Future[None] = lookout.loop.create_future()
    waiting = asyncio.ensure_future(wait_for_body(lookout, coming))
    await until_timed(lookout)
    assert lookout._timer is None
    coming.set_result(None)
    await waiting


async def test_watch_that_ends_before_its_turn() -> None:
    """A wait that is over when its turn to be watched comes is not begun."""
    lookout = Lookout(asyncio.get_running_loop())
    first, second = Recorder(), Recorder()
    lookout.add(first)
    lookout.add(second)

    class Ends(Recorder):
        """Ends the other wait when it is begun itself."""

        def begin(self) -> None:
            super().begin()
            second.is_open = False

    ending = Ends()
    lookout._new.insert(0, ending)
    await asyncio.wait_for(ending.begun.wait(), 60)
    await asyncio.wait_for(first.begun.wait(), 60)
    assert not second.begun.is_set()
