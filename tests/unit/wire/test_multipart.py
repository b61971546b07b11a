"""A form passes byte for byte but for its model, however it is cut; what is ambiguous does not."""

from __future__ import annotations

from random import Random

import pytest

from gateway.errors import InvalidBody
from gateway.wire.multipart import MAX_MODEL_BYTES, MAX_PART_HEAD_BYTES, ModelField, find_boundary

BOUNDARY = b"some-boundary"


def part(name: str, content: bytes, more: str = "") -> bytes:
    head = f'--some-boundary\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = b"--some-boundary--\r\n"
FORM = (
    part("language", b"de")
    + part("model", b"main/small")
    + part("file", b"\r\n--some\x00" * 50, '; filename="a \\"b\\".wav"\r\nContent-Type: audio/wav')
    + part("empty", b"")
    + END
)


def run(data: bytes, cuts: list[int] | None = None, seen: list[str] | None = None) -> bytes:
    def replace(model: str) -> str:
        if seen is not None:
            seen.append(model)
        return "small"

    field = ModelField(BOUNDARY, replace)
    out = b""
    at = 0
    for cut in [*(cuts or []), len(data)]:
        out += field.feed(data[at:cut])
        at = cut
    return out + field.finish()


def test_only_the_model_changes() -> None:
    """All else is what came."""
    seen: list[str] = []
    assert run(FORM, seen=seen) == FORM.replace(b"main/small", b"small")
    assert seen == ["main/small"]


def test_any_cut() -> None:
    """However it is cut into pieces, the same goes out."""
    expected = FORM.replace(b"main/small", b"small")
    assert all(run(FORM, [cut]) == expected for cut in range(len(FORM)))
    random = Random(5)
    for _ in range(200):
        assert run(FORM, sorted(random.sample(range(len(FORM)), 12))) == expected
    assert run(FORM, list(range(len(FORM)))) == expected


def test_long_content_does_not_wait() -> None:
    """What cannot be the beginning of a boundary goes on at once."""
    field = ModelField(BOUNDARY, str)
    field.feed(part("file", b"")[:-2])
    assert len(field.feed(b"x" * 100_000)) > 99_900


def test_nothing_after_the_end_is_lost() -> None:
    """An epilogue passes."""
    assert run(FORM + b"epilogue").endswith(END + b"epilogue")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(FORM[:-10], id="no end"),
        pytest.param(b"preamble\r\n" + FORM, id="something before it"),
        pytest.param(FORM + FORM, id="a second form behind it"),
        pytest.param(part("file", b"x\n--some-boundary\n") + END, id="bare line feeds"),
        pytest.param(part("file", b"x--some-boundaryx") + END, id="a boundary within a line"),
        pytest.param(part("file", b"x\r\n--some-boundary-longer\r\n") + END, id="a longer boundary"),
        pytest.param(part("mod\\el", b"x") + END, id="escaped name"),
        pytest.param(part("a", b"x", '; name="model"') + END, id="two names"),
        pytest.param(part("a", b"x", "; name*=utf-8''model") + END, id="extended name"),
        pytest.param(part("mo", b"x", "; name*0=del") + END, id="name in pieces"),
        pytest.param(part("mo", b"x", "; name*0*=utf-8''del") + END, id="name in extended pieces"),
        pytest.param(part("Model", b"x") + END, id="name in another case"),
        pytest.param(
            part("a", b"x", '; filename="\\"; name=model; x=\\""') + END, id="name in a quoted text"
        ),
        pytest.param(part("a", b"x", '\r\nContent-Disposition: form-data; name="model"') + END, id="two"),
        pytest.param(part("a", b"x", '\r\n ; name="model"') + END, id="folded"),
        pytest.param(part("a", b"x", "\nX: y") + END, id="bare line feed in a head"),
        pytest.param(b"--some-boundary\r\n\r\nx\r\n" + END, id="no head"),
        pytest.param(part("model", b"\xff") + END, id="model is no UTF-8"),
        pytest.param(part("model", b"x" * (MAX_MODEL_BYTES + 1)) + END, id="long model"),
        pytest.param(part("a", b"x", "\r\nX: " + "y" * MAX_PART_HEAD_BYTES) + END, id="long head"),
    ],
)
def test_what_could_be_read_in_two_ways(data: bytes) -> None:
    """It is refused, whole and byte by byte."""
    for cuts in ([], list(range(len(data)))):
        with pytest.raises(InvalidBody):
            run(data, cuts)


@pytest.mark.parametrize("endless", [part("model", b"")[:-2], b"--some-boundary\r\nX: "])
def test_what_is_held_is_bounded(endless: bytes) -> None:
    """A model or a head without an end is refused before it fills the memory."""
    field = ModelField(BOUNDARY, str)
    field.feed(endless)
    with pytest.raises(InvalidBody):
        field.feed(b"x" * (MAX_PART_HEAD_BYTES + 1))


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data;boundary="a b"', b"a b"),
        ("multipart/form-data; charset=utf-8; boundary=abc", b"abc"),
        ("multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk", b"----WebKitFormBoundary7MA4YWxk"),
    ],
)
def test_boundary(content_type: str, boundary: bytes) -> None:
    """As clients write it."""
    assert find_boundary(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=a; boundary=b",
        'multipart/form-data; x="boundary=a"; boundary=b',
        'multipart/form-data; boundary="a\\"b"',
        "multipart/form-data; boundary=" + "x" * 71,
        "multipart/mixed; boundary=abc",
        "multipart/form-data; boundary=\xe9",
    ],
)
def test_no_boundary(content_type: str) -> None:
    """One that two parsers could read differently is none."""
    with pytest.raises(InvalidBody):
        find_boundary(content_type)
