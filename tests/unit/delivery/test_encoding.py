"""A request as it goes over the wire, made once for all its tries."""

from __future__ import annotations

import gzip

import pytest

from gateway.delivery.batch import Batcher, BatchLimits
from gateway.delivery.destination import Compression, Protocol
from gateway.delivery.encoding import Encoder
from gateway.delivery.otlp_json import to_json
from gateway.wire.frames import FrameError
from tests.rig.frame_maker import make_frame


def body() -> bytes:
    batches = Batcher("1", BatchLimits(), {}, 0)
    batches.add(1, make_frame(1))
    return batches.take().body


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
@pytest.mark.parametrize("compression", ["gzip", "none"])
async def test_both_forms_compressed_or_not(protocol: Protocol, compression: Compression) -> None:
    """The size told is that before compression."""
    plain = to_json(body()) if protocol == "http/json" else body()
    encoded = await Encoder().encode(body(), protocol, compression)
    assert (gzip.decompress(encoded.data) if compression == "gzip" else encoded.data) == plain
    assert encoded.plain_bytes == len(plain)


async def test_the_next_try_costs_nothing() -> None:
    """The same request in the same form is encoded once."""
    encoder = Encoder()
    request = body()
    first = await encoder.encode(request, "http/json", "gzip")
    assert await encoder.encode(request, "http/json", "gzip") is first
    assert await encoder.encode(request, "http/json", "none") is not first


async def test_what_is_no_request_cannot_become_json() -> None:
    """It is told."""
    with pytest.raises(FrameError):
        await Encoder().encode(b"\x0a", "http/json", "none")


@pytest.mark.parametrize("spans", [0, 1, 400, 4000])
async def test_long_requests_are_compressed_in_pieces(spans: int) -> None:
    """However many pieces there are, it is one gzip stream of the whole."""
    long = b"".join(b"\x0a\x04" + number.to_bytes(4, "big") * 40 for number in range(spans))
    encoded = await Encoder().encode(long, "http/protobuf", "gzip")
    assert gzip.decompress(encoded.data) == long
