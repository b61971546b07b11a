"""Bodies that are passed on: what is held, what each target gets, and how often."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BodyTooLarge, InvalidBody, InvalidJson, Overloaded
from gateway.model import BodySource
from gateway.passed_body import MAX_HEAD_BYTES, Form, HeldBody, HeldCall, HeldJson, StreamedBody, data_in
from tests.rig.examples import examples
from tests.unit.doubles import FakeClient

LIMIT = 3 * MAX_HEAD_BYTES
END = b"--b--\r\n"


def part(name: str, content: bytes) -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + content + b"\r\n"


def form_of(*parts: bytes) -> bytes:
    return b"".join(parts) + END


class Naming:
    """A call that takes one model, at any time unless it is *not_late*."""

    def __init__(
        self, *, is_settled: bool = True, may_change_late: bool = True, said_beside: str = ""
    ) -> None:
        self._said_beside = said_beside
        self.is_settled = is_settled
        self.may_change_late = may_change_late
        self.taken: list[str] = []
        self.late: list[str] = []

    @property
    def missing_model(self) -> str:
        return "" if self.taken or self.late else self._said_beside

    def take(self, model: str) -> None:
        if self.taken or self.late:
            raise InvalidBody("two")
        self.taken.append(model)

    def take_late(self, model: str) -> None:
        self.late.append(model)


def rename(model: str) -> str:
    return f"the-{model}"


async def sent(body: bytes | BodySource) -> bytes:
    if isinstance(body, bytes):
        return body
    pieces = []
    while data := await body.read_piece():
        pieces.append(data)
    assert await body.read_piece() == b""
    return b"".join(pieces)


async def begun(naming: Naming, *pieces: bytes, is_declared: bool = False) -> Form:
    """A form that comes in these pieces, as far as it is held before it goes out."""
    size = sum(map(len, pieces)) if is_declared else None
    held: list[int] = []
    form = Form(FakeClient(pieces=pieces, declared_bytes=size), b"b", naming, LIMIT, held.append)
    await form.begin()
    assert form.held is None or len(form.held) == sum(held)
    return form


async def test_held_bodies() -> None:
    """They go out as often as wanted; only in JSON is there a model to rename."""
    other = HeldBody(b'{"model":"m"}')
    assert (other.held, other.length, other.can_repeat) == (b'{"model":"m"}', 13, True)
    assert other.written_for(rename) == b'{"model":"m"}'
    naming = Naming()
    json = HeldJson(b'{"model":"m", "n":1.0}', naming)
    assert (naming.taken, json.held, json.can_repeat) == (["m"], b'{"model":"m", "n":1.0}', True)
    assert json.written_for(rename) == b'{"model":"the-m","n":1.0}'
    assert json.written_for(lambda _: "m") is json.held
    nothing = HeldJson(b"{", naming)
    assert nothing.written_for(rename) == b"{"


@pytest.mark.parametrize(
    ("body", "sent_on"),
    [
        (b'{"n":1.0}', b'{"n":1.0,"model":"the-m"}'),
        (b'{"model":null,"n":1}', b'{"model":"the-m","n":1}'),
        (b'{"model":"x"}', b'{"model":"the-x"}'),
    ],
)
async def test_json_without_a_model(body: bytes, sent_on: bytes) -> None:
    """It gets the one that was said beside it, or the provider would take one that nobody looked at."""
    assert HeldCall(body, Naming(said_beside="m")).written_for(rename) == sent_on


NAMELESS = part("language", b"de") + part("file", b"x" * 100)


@pytest.mark.parametrize("is_declared", [True, False])
@pytest.mark.parametrize("more", [b"", part("file", b"x" * MAX_HEAD_BYTES)])
async def test_form_without_a_model(more: bytes, *, is_declared: bool) -> None:
    """Likewise, at its end; one that names a model gets no second one."""
    whole = NAMELESS + more + END
    form = await begun(Naming(said_beside="m"), whole[:50], whole[50:], is_declared=is_declared)
    body = form.written_for(rename)
    assert isinstance(body, bytes) or body.length is None
    assert await sent(body) == NAMELESS + more + part("model", b"the-m") + END
    form = await begun(Naming(said_beside="m"), SHORT[:50], SHORT[50:], is_declared=is_declared)
    assert (await sent(form.written_for(rename))).count(b'name="model"') == 1
    form = await begun(Naming(), whole, is_declared=is_declared)
    assert await sent(form.written_for(rename)) == whole


@pytest.mark.parametrize(
    ("piece", "found"),
    [
        (b"iVBORw0KGgo+/=" * 1000, 14_000),
        (b'{"data":"' + b"A" * 16_384 + b'"}', 3 * 4096),
        (b"words of a text " * 1000, 0),
        (b"a\\n" * 5000, 0),
        (("\u4f60\u597d" * 3000).encode(), 0),
        (b"A" * 1000, 0),
        (b"", 0),
    ],
    ids=["picture", "picture in JSON", "text", "escapes", "other scripts", "short", "nothing"],
)
def test_data(piece: bytes, found: int) -> None:
    """Of long runs without anything that a text has; those at the ends of one count as text."""
    assert data_in(piece) == found


async def test_streamed_body() -> None:
    """It goes out once, as it comes, up to its limit."""
    body = StreamedBody(FakeClient(pieces=[b"a", b"b"]), 2)
    assert (body.held, body.can_repeat, body.length) == (None, False, None)
    assert await sent(body.written_for(rename)) == b"ab"
    with pytest.raises(BodyTooLarge):
        await sent(StreamedBody(FakeClient(pieces=[b"a", b"b"]), 1).written_for(rename))
    assert StreamedBody(FakeClient(body=b"abc"), 9).length == 3


SHORT = form_of(part("language", b"de"), part("model", b"m"), part("file", b"sound"))


@pytest.mark.parametrize("is_declared", [True, False])
async def test_short_form(*, is_declared: bool) -> None:
    """One that has come whole can be written for each target."""
    naming = Naming(is_settled=False)
    form = await begun(naming, SHORT, is_declared=is_declared)
    assert naming.taken == ["m"]
    for _ in range(2):
        assert await sent(form.written_for(rename)) == SHORT.replace(b"\r\nm\r\n", b"\r\nthe-m\r\n")
        if not is_declared:
            # Of unknown length it is not read beyond its model.
            assert (form.held, form.can_repeat) == (None, False)
            break
        assert (form.held, form.length, form.can_repeat) == (SHORT, len(SHORT), True)


LONG = form_of(part("model", b"m"), part("file", b"x" * MAX_HEAD_BYTES))


@pytest.mark.parametrize("is_declared", [True, False])
async def test_long_form(*, is_declared: bool) -> None:
    """It is written anew for each target until a piece of it is read; its length is as it was declared."""
    form = await begun(Naming(), LONG[:100], LONG[100:], is_declared=is_declared)
    first = form.written_for(lambda _: "quite-another")
    assert (form.held, form.can_repeat) == (None, True)
    second = form.written_for(rename)
    assert not isinstance(first, bytes)
    assert not isinstance(second, bytes)
    assert second.length == (len(LONG) + len("the-") if is_declared else None)
    assert form.can_repeat
    assert await sent(second) == LONG.replace(b"\r\nm\r\n", b"\r\nthe-m\r\n")
    assert not form.can_repeat


LATE = form_of(part("file", b"x" * MAX_HEAD_BYTES), part("model", b"m"))


@pytest.mark.parametrize("may_change_late", [True, False])
async def test_model_behind_what_is_held(*, may_change_late: bool) -> None:
    """It is taken as it passes, where the call is settled without; no length is promised that may change."""
    naming = Naming(may_change_late=may_change_late)
    form = await begun(naming, LATE[:MAX_HEAD_BYTES], LATE[MAX_HEAD_BYTES:], is_declared=True)
    body = form.written_for(rename)
    assert not isinstance(body, bytes)
    assert (naming.taken, naming.late) == ([], [])
    assert body.length == (None if may_change_late else len(LATE))
    assert await sent(body) == LATE.replace(b"\r\nm\r\n", b"\r\nthe-m\r\n")
    assert (naming.taken, naming.late) == ([], ["m"])


async def test_no_model_where_one_is_needed() -> None:
    """A call that is not settled has to name it within what is held."""
    with pytest.raises(InvalidBody, match="x-tfy-model-name"):
        await begun(Naming(is_settled=False), LATE[:MAX_HEAD_BYTES], LATE[MAX_HEAD_BYTES:])


@pytest.mark.parametrize("at", [0, MAX_HEAD_BYTES + 1])
async def test_second_model(at: int) -> None:
    """Wherever it stands it is refused: a provider might read the other one."""
    body = form_of(part("model", b"m"), part("file", b"x" * at), part("model", b"n"))
    naming = Naming()
    with pytest.raises(InvalidBody, match="two"):
        await sent((await begun(naming, body[:100], body[100:])).written_for(rename))
    assert naming.taken == ["m"]


async def test_form_without_an_end() -> None:
    """It is none, whether it is held or on its way."""
    for body in (SHORT, LONG):
        cut = body[: -len(END)]
        with pytest.raises(InvalidBody):
            await sent((await begun(Naming(), cut[:50], cut[50:])).written_for(rename))


async def test_form_over_its_limit() -> None:
    """It ends where it is longer than it may be."""
    held: list[int] = []
    form = Form(FakeClient(pieces=[LONG[:100], LONG[100:]]), b"b", Naming(), 200, held.append)
    await form.begin()
    with pytest.raises(BodyTooLarge):
        await sent(form.written_for(rename))
    assert sum(held) == 100


async def test_form_without_room() -> None:
    """It ends where nothing more can be held."""

    def refuse(_: int) -> None:
        raise Overloaded("no room")

    form = Form(FakeClient(pieces=[SHORT]), b"b", Naming(), LIMIT, refuse)
    with pytest.raises(Overloaded):
        await form.begin()
    assert form.length is None


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(1, len(SHORT) - 1), max_size=6), is_declared=st.booleans())
async def test_any_pieces(cuts: list[int], *, is_declared: bool) -> None:
    """However a form is cut, a target gets the same, after another was to get it as well."""
    places = sorted({0, *cuts, len(SHORT)})
    pieces = [SHORT[start:end] for start, end in itertools.pairwise(places)]
    form = await begun(Naming(), *pieces, is_declared=is_declared)
    form.written_for(lambda _: "")
    assert await sent(form.written_for(rename)) == SHORT.replace(b"\r\nm\r\n", b"\r\nthe-m\r\n")


@pytest.mark.parametrize(
    ("body", "taken", "expected"),
    [
        (b'{"image": 1, "model": "m"}', ["m"], b'{"image":1,"model":"the-m"}'),
        (b'{"model": "other", "image": 1, "model": "m"}', ["m"], b'{"model":"the-m","image":1}'),
        (b'{"model": null, "image": 1}', [], b'{"model":null,"image":1}'),
        (b'{"image": 1}', [], b'{"image":1}'),
    ],
)
def test_json_that_calls_a_model(body: bytes, taken: list[str], expected: bytes) -> None:
    """It is written anew, so that it names no other model to whoever reads it in another way."""
    naming = Naming()
    held = HeldCall(body, naming)
    assert (naming.taken, held.held, held.written_for(rename)) == (taken, body, expected)


@pytest.mark.parametrize(
    "body",
    [b"", b"[1]", b"\xef\xbb\xbf{}", b'{"model": 5}', b'{"model": "m"', b'{"model": "m", "Model": "x"}'],
)
def test_what_is_no_json_calls_no_model(body: bytes) -> None:
    """Somebody else might read it."""
    with pytest.raises((InvalidJson, InvalidBody)):
        HeldCall(body, Naming())
