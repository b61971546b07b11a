"""Records put together into chunks, of which each becomes one compressed blob.

Pure. A chunk holds calls that came together and share a resource, and is bounded: whoever looks at one trace
decompresses the chunk of each of its calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.process import give_way
from gateway.tracestore import span_blob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.tracestore.records import Record

# Some 70 calls without content; more in one chunk no longer makes a call smaller or cheaper.
MAX_CHUNK_BYTES: Final = 128 * 1024


class Chunk(NamedTuple):
    """Calls that are stored together.

    Attributes:
        resource: Of all of them.
        records: In the order of their messages in *body*.
        body: For `chunks.body`.
    """

    resource: bytes
    records: list[Record]
    body: bytes


def chunks_of(
    records: Iterable[tuple[bytes, Record]],
    max_bytes: int = MAX_CHUNK_BYTES,
    pause: Callable[[], None] = give_way,
) -> list[Chunk]:
    """Put *records*, each with its resource, together; one over *max_bytes* has a chunk of its own.

    Args:
        records: In the order of their calls.
        max_bytes: Of a chunk, before compression.
        pause: Called after every bit of work.
    """
    chunks: list[Chunk] = []
    open_by_resource: dict[bytes, tuple[list[Record], int]] = {}
    for resource, record in records:
        gathered, size = open_by_resource.get(resource, ([], 0))
        if gathered and size + len(record.message) > max_bytes:
            chunks.append(_chunk(resource, gathered, pause))
            gathered, size = [], 0
        gathered.append(record)
        open_by_resource[resource] = (gathered, size + len(record.message))
    chunks += [_chunk(resource, gathered, pause) for resource, (gathered, _size) in open_by_resource.items()]
    return chunks


def _chunk(resource: bytes, records: list[Record], pause: Callable[[], None]) -> Chunk:
    return Chunk(resource, records, span_blob.pack([record.message for record in records], pause))
