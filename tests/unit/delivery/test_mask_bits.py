"""A mask is read by the list it was made for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from gateway.delivery.destination import Destination
from gateway.delivery.mask_bits import MaskBits
from gateway.delivery.selection import Selection
from gateway.wire.frames import CallSpans
from tests.rig.frame_maker import make_call


def destination(name: str, bit: int) -> Destination:
    return Destination(name, "https://host/v1/traces", {}, {}, bit)


def is_wanted(bits: MaskBits, call: CallSpans, version: str, at: Destination) -> bool:
    return bool(call.destination_mask & bits.wanted(version, at))


def test_a_mask_is_read_by_its_versions_list() -> None:
    """A destination that moved in the list still gets the calls that were meant for it."""
    bits = MaskBits()
    bits.note("old", [destination("a", 0), destination("b", 1)])
    bits.note("new", [destination("b", 0)])
    call = make_call("x", mask=0b10)
    assert is_wanted(bits, call, "old", destination("b", 0))
    assert not is_wanted(bits, call, "new", destination("b", 0))


def test_a_destination_that_was_not_in_the_list_takes_nobodys_place() -> None:
    """The last calls of the version before it came: another's sampling does not hold for it."""
    bits = MaskBits()
    bits.note("old", [destination("a", 0)])
    assert is_wanted(bits, make_call("x", mask=0b10), "old", destination("b", 0))
    assert not is_wanted(bits, make_call("x", mask=0), "old", destination("b", 0))


def sampled(name: str, ratio: float | None, *, is_parent_based: bool = True) -> Destination:
    selection = Selection(has_content=False, sampling_ratio=ratio, is_parent_based=is_parent_based)
    return replace(destination(name, 0), selection=selection)


def test_a_ratio_is_that_of_its_version(tmp_path: Path) -> None:
    """What else a destination wants of a call is what it wants now."""
    file = tmp_path / "destinations"
    MaskBits(file).note("old", [sampled("a", 0.5, is_parent_based=False), sampled("b", None)])
    bits = MaskBits(file)
    now = sampled("a", 0.1)
    assert bits.selection("old", now) == Selection(
        has_content=False, sampling_ratio=0.5, is_parent_based=False
    )
    assert bits.selection("old", sampled("b", 0.1)) == Selection(has_content=False)
    assert bits.selection("unknown", now) is now.selection


def test_what_was_not_there_was_not_sampled() -> None:
    """Nor is it noted on a span that one in ten was taken."""
    bits = MaskBits()
    bits.note("old", [sampled("a", 0.5)])
    new, plain = sampled("b", 0.1), sampled("c", None)
    assert bits.selection("old", new) == Selection(has_content=False)
    assert bits.selection("old", plain) is plain.selection


def test_a_list_of_an_earlier_version_has_bits_alone(tmp_path: Path) -> None:
    """Then the present ratio counts, as it did there."""
    file = tmp_path / "destinations"
    file.write_bytes(msgspec.msgpack.encode({"old": {"a": 0, "b": 1}}))
    bits = MaskBits(file)
    now = sampled("b", 0.1)
    assert is_wanted(bits, make_call("x", mask=0b10), "old", now)
    assert bits.selection("old", now) is now.selection


def test_the_lists_outlive_the_process(tmp_path: Path) -> None:
    """The spool does, and what waits in it is of earlier versions."""
    file = tmp_path / "destinations"
    bits = MaskBits(file)
    bits.note("old", [destination("a", 0), destination("b", 1)])
    bits.note("new", [destination("b", 0)])
    again = MaskBits(file)
    assert is_wanted(again, make_call("x", mask=0b10), "old", destination("b", 0))
    again.note("new", [destination("b", 0)])
    assert [path.name for path in tmp_path.iterdir()] == ["destinations"]


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\x81\xa1v\x01", b"\x81\xa1\xff\x80"])
def test_a_file_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    """As after a power cut, or another version of the gateway: no reason not to start."""
    file = tmp_path / "destinations"
    file.write_bytes(content)
    bits = MaskBits(file)
    assert is_wanted(bits, make_call("x", mask=0b10), "old", destination("b", 1))
    bits.note("old", [destination("b", 0)])
    assert not is_wanted(MaskBits(file), make_call("x", mask=0b10), "old", destination("b", 1))


def test_a_list_that_cannot_be_written_is_known_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk holds no change of the configuration up."""
    bits = MaskBits(tmp_path / "absent" / "destinations")
    bits.note("old", [destination("b", 0)])
    assert is_wanted(bits, make_call("x", mask=0b1), "old", destination("b", 1))
    assert "cannot be kept" in caplog.text


def test_without_a_list_the_present_place_counts() -> None:
    """As for calls of a version that was forgotten."""
    assert is_wanted(MaskBits(), make_call("x", mask=0b10), "unknown", destination("b", 1))
    assert not is_wanted(MaskBits(), make_call("x", mask=0), "unknown", destination("b", 1))


def test_old_lists_are_forgotten() -> None:
    """Reloads do not add up in memory."""
    bits = MaskBits()
    for n in range(1000):
        bits.note(f"v{n}", [destination("b", n % 3)])
    assert len(bits._bits) < 300
