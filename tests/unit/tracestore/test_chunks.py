"""Which calls are compressed together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.tracestore import span_blob
from gateway.tracestore.chunks import chunks_of
from gateway.tracestore.records import Record

MAX_BYTES = 10


def make_record(number: int, size_bytes: int) -> Record:
    return Record((number,), (), bytes([number % 256]) * size_bytes, 1, number, None, ())


@given(st.lists(st.tuples(st.sampled_from([b"", b"r1", b"r2"]), st.integers(0, 25))))
def test_every_record_is_in_one_chunk_of_its_resource(calls: list[tuple[bytes, int]]) -> None:
    """In the order in which they came, each message in its place, and no chunk over the bound but of one."""
    records = [(resource, make_record(number, size)) for number, (resource, size) in enumerate(calls)]
    chunks = chunks_of(records, MAX_BYTES)
    for wanted in {resource for resource, _record in records}:
        of_resource = [record for chunk in chunks if chunk.resource == wanted for record in chunk.records]
        assert of_resource == [record for resource, record in records if resource == wanted]
    for chunk in chunks:
        message = b"".join(record.message for record in chunk.records)
        assert span_blob.unpack(chunk.body) == message
        assert len(message) <= MAX_BYTES or len(chunk.records) == 1


def test_small_calls_share_a_chunk() -> None:
    """That is what makes them small."""
    records = [(b"r", make_record(number, 2)) for number in range(10)]
    assert [len(chunk.records) for chunk in chunks_of(records, MAX_BYTES)] == [5, 5]
