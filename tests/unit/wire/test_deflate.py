"""Compression that zlib reads."""

from __future__ import annotations

import gzip
import zlib

import pytest

from gateway.wire.deflate import Packer, gzip_packer, zlib_packer

TEXT = b"".join(b"span %d of trace %d;" % (number, number // 7) for number in range(20_000))


def packed(packer: Packer, data: bytes, piece: int) -> bytes:
    pieces = [memoryview(data)[start : start + piece] for start in range(0, len(data), piece)]
    return b"".join([packer.compress(one) for one in pieces] + [packer.flush()])


@pytest.mark.parametrize("data", [b"", b"x", TEXT], ids=["nothing", "a byte", "much"])
@pytest.mark.parametrize("piece", [1_000, 128 * 1024])
def test_what_it_writes_is_read_by_everybody(data: bytes, piece: int) -> None:
    """In however many pieces it comes, it is one stream."""
    assert zlib.decompress(packed(zlib_packer(), data, piece)) == data
    assert gzip.decompress(packed(gzip_packer(), data, piece)) == data


def test_it_is_worth_it() -> None:
    """Text that repeats itself is a fifth of what it was, or less."""
    assert len(packed(gzip_packer(), TEXT, 128 * 1024)) < len(TEXT) / 5
