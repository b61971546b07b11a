"""What a long body is made of, before anything is made of it."""

from __future__ import annotations

import json
from random import Random

import pytest

from gateway.endpoints import long_json
from gateway.endpoints.long_json import MAX_COMMAS, MAX_THINGS, OF_CALL, OF_PASSED, Bounds, LongJson
from gateway.endpoints.openai_call import MAX_MEMBERS
from gateway.errors import InvalidBody

MANY = 30_000


def look(body: bytes, bounds: Bounds = OF_CALL) -> LongJson:
    looking = LongJson(body, bounds=bounds)
    looking.look_to_its_end()
    return looking


def within(member: bytes, item: bytes, count: int) -> bytes:
    """An object that has *count* items in a list, or in an object where *member* begins one."""
    closing = b"}" if member.endswith(b"{") else b"]"
    return b'{"model":"m",' + member + b",".join([item] * count) + closing + b"}"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (within(b'"a":[', b"[]", MAX_THINGS - 4), None),
        (within(b'"a":[', b"[]", MAX_THINGS), "more than 250000 names, objects and lists"),
        (within(b'"a":[', b"{}", MAX_THINGS), "more than 250000 names, objects and lists"),
        (within(b'"a":{', b'"b" : 1', MAX_THINGS), "more than 250000 names, objects and lists"),
        (within(b'"a":[', b"1", MAX_COMMAS), None),
        (within(b'"a":[', b"1", MAX_COMMAS + 2), "more than 4000000 items"),
        (within(b'"a":[', b'""', MAX_COMMAS + 2), "more than 4000000 items"),
        (b"{" + b",".join(b'"%d":1' % n for n in range(MANY)) + b"}", f"more than {MAX_MEMBERS} fields"),
        (b"{" + b",".join(b'"%d":[{},1]' % n for n in range(MANY)) + b"}", f"more than {MAX_MEMBERS} fields"),
        (within(b'"a":[', b'{"role":"user","content":"x"}', MANY), None),
        (b'{"a":"' + rb"{\"b\":[[],{}]},\\" * MANY * 9 + b'"}', None),
        (b"[" + b"[]," * MAX_THINGS + b"1]", None),
        (b"\x00\xff" * MAX_THINGS, None),
        (b"", None),
    ],
    ids=[
        "lists", "too-many-lists", "objects", "names", "numbers", "too-many-numbers", "texts", "members",
        "members-of-groups", "messages", "all-within-a-text", "no-object", "no-json", "empty",
    ],
)  # fmt: skip
def test_bounds(body: bytes, message: str | None) -> None:
    """What is in texts is nothing; what is no object is judged by whoever reads it."""
    if message is None:
        assert look(body).is_over
        return
    with pytest.raises(InvalidBody, match=message):
        look(body)


def test_what_is_passed_on_is_bound_in_its_members_alone() -> None:
    """What is within them is not told apart."""
    assert look(within(b'"a":[', b"[]", MAX_COMMAS + 2), OF_PASSED).is_over
    with pytest.raises(InvalidBody, match=f"more than {MAX_MEMBERS} fields"):
        look(b"{" + b",".join(b'"%d":1' % n for n in range(MANY)) + b"}", OF_PASSED)


def test_any_pieces_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they end: within a text, an escape or a run of backslashes."""
    random = Random(7)
    value = {
        "te\\xt": 'a"b\\' + "\\" * 9 + '"{[,:]}',
        "list": [1, 2, [3, {"x": [], "": '",'}], "\\"],
        "more": {"a": {"b": None}, "c": "\u00e9\n"},
        "numbers": list(range(99)),
    }
    body = json.dumps(value, indent=1).encode()
    found = set()
    monkeypatch.setattr(long_json, "_FEW_COMMAS", 0)
    for size in [*range(2, 60), *random.sample(range(60, len(body)), 40), len(body), len(body) + 1]:
        monkeypatch.setattr(long_json, "_PIECE_BYTES", size)
        looking = look(body)
        found.add((looking._things, looking._commas, looking._members, looking._depth))
    # Names: 4, 2, 2, 1; objects: 1, 1, 2; lists: 4. Commas: 3, 3, 1, 1, 1, 98.
    assert found == {(9 + 4 + 4, 3 + 3 + 1 + 1 + 1 + 98, 3, 0)}


def test_few_things_and_many() -> None:
    """A long text is done with at once, in pieces; what is dense is left as found, for another thread."""
    text = LongJson(b'{"a":"' + b"x, y: " * 100_000 + b'"}', bounds=OF_CALL)
    pieces = 0
    while not text.is_over:
        text.look_on()
        pieces += 1
    assert (text.is_dense, pieces) == (False, 5)
    dense = LongJson(within(b'"a":[', b"[]", MAX_THINGS), bounds=OF_CALL)
    dense.look_on()
    assert (dense.is_dense, dense.is_over, dense._things) == (True, False, 0)
    with pytest.raises(InvalidBody):
        dense.look_to_its_end()
