"""The spool: nothing written is lost or changed, whatever crashed, and what must be given up is counted."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.delivery.journal import Entry
from gateway.delivery.segment import HEAD_BYTES, SUFFIX, Progress, make_record, segment_path
from gateway.delivery.spool import Reader, ReaderCounts, Spool
from gateway.wire.frame_index import Origin
from gateway.wire.frames import FrameError
from tests.rig.examples import examples
from tests.rig.frame_maker import INSTANCE, STARTED_NS, make_call, make_payload

ALL = 1 << 30
RETIRED = Entry(0, {"exported": 3}, is_retired=True)


def read_all(reader: Reader) -> list[bytes]:
    found = []
    while frames := reader.read(ALL, ALL):
        found += [payload for _position, payload in frames]
        reader.advance(frames[-1][0])
    return found


def adds_up(counts: ReaderCounts) -> bool:
    return counts.created == counts.passed + counts.taken + counts.unread + sum(counts.lost.values())


def segment_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob(f"*{SUFFIX}"))


def test_frames_come_back_in_order_byte_for_byte(tmp_path: Path) -> None:
    """What a worker sent is what every reader gets."""
    spool = Spool(tmp_path)
    readers = [spool.reader("one"), spool.reader_at("two", None)]
    payloads = [make_payload(n) for n in range(1, 6)]
    for payload in payloads:
        spool.append(payload)
    assert [read_all(reader) for reader in readers] == [payloads, payloads]
    spool.close()


@settings(max_examples=examples(60), deadline=None)
@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=40),
    segment_bytes=st.integers(200, 2000),
    max_bytes=st.integers(1, 3000),
    max_frames=st.integers(1, 7),
    restart_after=st.integers(0, 40),
    tail_bytes=st.sampled_from([0, 500, ALL]),
)
def test_any_sizes_segments_and_restarts_give_the_same_frames(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    segment_bytes: int,
    max_bytes: int,
    max_frames: int,
    restart_after: int,
    tail_bytes: int,
) -> None:
    """How frames fall into files and reads, and when the process ends, changes nothing."""
    folder = tmp_path_factory.mktemp("spool")
    payloads = [make_payload(n, make_call("x", size_bytes=size)) for n, size in enumerate(sizes, 1)]
    spool = Spool(folder, segment_bytes=segment_bytes, tail_bytes=tail_bytes)
    reader = spool.reader("destination")
    found: list[bytes] = []
    for count, payload in enumerate(payloads):
        if count == restart_after:
            spool.close()
            spool = Spool(folder, segment_bytes=segment_bytes, tail_bytes=tail_bytes)
            reader = spool.reader("destination")
        spool.append(payload)
        if count % 3 == 0:
            continue
        frames = reader.read(max_bytes, max_frames)
        assert len(frames) <= max_frames
        assert len(frames) == 1 or sum(len(make_record(payload)) for _, payload in frames) <= max_bytes
        found += [payload for _position, payload in frames]
        reader.advance(frames[-1][0])
        assert adds_up(reader.counts())
    found += read_all(reader)
    assert found == payloads
    assert reader.counts().unread == reader.counts().taken == 0
    left = read_all(spool.reader_at("late", 0))  # what was passed before the restart may be gone
    assert left == payloads[len(payloads) - len(left) :]
    spool.close()


def test_who_keeps_up_needs_no_file(tmp_path: Path) -> None:
    """The newest frames are in memory, up to a bound; older ones come from where they are written."""
    payloads = [make_payload(n) for n in range(1, 5)]
    spool = Spool(tmp_path, tail_bytes=2 * len(payloads[0]))
    late = spool.reader_at("late", 0)
    ends = [spool.append(payload) for payload in payloads]
    early = spool.reader_at("early", ends[1])
    (tmp_path / segment_files(tmp_path)[0]).unlink()
    assert read_all(early) == payloads[2:]
    assert read_all(late) == []
    assert late.counts().lost == {"spool_damaged": 4}
    spool.close()


def test_a_tail_torn_at_any_byte_is_cut_and_the_rest_kept(tmp_path: Path) -> None:
    """A crash in the middle of a write costs that frame only, and the next one follows cleanly."""
    first, second, third = (make_payload(n) for n in (1, 2, 3))
    spool = Spool(tmp_path / "whole")
    spool.append(first)
    spool.append(second)
    spool.close()
    name = segment_files(tmp_path / "whole")[0]
    whole = (tmp_path / "whole" / name).read_bytes()
    for cut in range(1, len(make_record(second)) + 1):
        folder = tmp_path / f"cut-{cut}"
        folder.mkdir()
        (folder / name).write_bytes(whole[:-cut])
        spool = Spool(folder)
        assert spool.last_sequence(Origin(INSTANCE, STARTED_NS)) == 1
        spool.append(third)
        assert read_all(spool.reader_at("reader", None)) == [first, third]
        spool.close()


@pytest.mark.parametrize("tail", [b"\0" * 64, b"\xff" * 64, b"\0\0\0\1"], ids=["zeros", "ones", "short"])
def test_a_tail_of_garbage_is_cut(tmp_path: Path, tail: bytes) -> None:
    """What a file system leaves behind after a power cut is no frame."""
    spool = Spool(tmp_path)
    spool.append(make_payload(1))
    spool.close()
    path = tmp_path / segment_files(tmp_path)[0]
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + tail)
    spool = Spool(tmp_path)
    assert path.stat().st_size == size
    assert read_all(spool.reader_at("reader", None)) == [make_payload(1)]
    spool.close()


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    """No close: what `append` returned for is there, and the cursor is at most a little behind."""
    spool = Spool(tmp_path)
    reader = spool.reader("destination")
    spool.append(make_payload(1))
    reader.advance(reader.read(ALL, ALL)[-1][0])
    spool.keep_cursors()
    spool.append(make_payload(2))
    reader.advance(reader.read(ALL, ALL)[-1][0])  # not kept any more
    again = Spool(tmp_path)
    assert again.last_sequence(Origin(INSTANCE, STARTED_NS)) == 2
    assert read_all(again.reader("destination")) == [make_payload(2)]
    again.close()
    spool.close()


WRITER = """
import sys
from pathlib import Path
from gateway.delivery.spool import Spool
from tests.rig.frame_maker import make_payload
spool = Spool(Path(sys.argv[1]), segment_bytes=5000)
spool.reader("destination")
sequence = 0
while True:
    sequence += 1
    spool.append(make_payload(sequence))
    print(sequence, flush=True)
"""


def test_a_process_killed_while_it_writes_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """SIGKILL at any moment: what `append` had returned for is there, in order, once."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(300)]
        writer.kill()
        acknowledged += [int(line) for line in writer.stdout]
    spool = Spool(tmp_path)
    found = read_all(spool.reader_at("reader", None))
    assert len(found) >= acknowledged[-1]
    assert found == [make_payload(n) for n in range(1, len(found) + 1)]
    spool.close()


def test_a_new_consumer_gets_what_comes_from_now_on(tmp_path: Path) -> None:
    """A destination that is added does not get the calls of before; one that was there does."""
    spool = Spool(tmp_path)
    spool.reader("old")
    spool.append(make_payload(1))
    new = spool.reader("new")
    spool.append(make_payload(2))
    assert read_all(new) == [make_payload(2)]
    spool.close()
    spool = Spool(tmp_path)
    assert len(read_all(spool.reader("old"))) == 2
    assert read_all(spool.reader("third")) == []
    assert spool.consumers() == {"old", "new", "third"}
    spool.close()


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b'{"cursors": 3}'], ids=["none", "empty", "torn", "other"]
)
def test_without_readable_cursors_all_that_is_left_is_sent(
    tmp_path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Rather twice than never."""
    spool = Spool(tmp_path)
    spool.append(make_payload(1))
    spool.close()
    cursors = tmp_path / "journal"
    cursors.unlink(missing_ok=True)
    if content is not None:
        cursors.write_bytes(content)
    spool = Spool(tmp_path)
    assert len(read_all(spool.reader("destination"))) == 1
    # What is lost with an unreadable one is said; without one there may never have been a destination.
    assert ["cannot be read" in message for message in caplog.messages] == [True] * bool(content)
    spool.close()


def test_segments_that_all_have_kept_are_deleted(tmp_path: Path) -> None:
    """A file goes when every cursor that survives a crash is past it, and not before."""
    spool = Spool(tmp_path, segment_bytes=1)  # one frame a file
    kept_here = spool.reader("destination")
    kept_elsewhere = spool.reader_at("local", None)
    for n in range(1, 5):
        spool.append(make_payload(n))
    assert len(segment_files(tmp_path)) == 4
    read_all(kept_here)
    assert len(segment_files(tmp_path)) == 4
    spool.keep_cursors()
    assert len(segment_files(tmp_path)) == 4
    for _ in range(3):
        kept_elsewhere.advance(kept_elsewhere.read(ALL, 1)[-1][0])
    spool.keep_cursors()
    assert len(segment_files(tmp_path)) == 1
    assert kept_elsewhere.read(ALL, ALL) == [(4, make_payload(4))]
    spool.close()


def test_a_destination_may_have_the_stores_name(tmp_path: Path) -> None:
    """Names of readers with a cursor here and elsewhere do not meet."""
    spool = Spool(tmp_path)
    store = spool.reader_at("local", None)
    destination = spool.reader("local")
    spool.append(make_payload(1))
    spool.retire("local", RETIRED)
    spool.append(make_payload(2))
    assert len(read_all(store)) == store.counts().created == 2
    assert destination.counts().created == 1
    spool.close()


def test_a_retired_consumer_holds_nothing_back(tmp_path: Path) -> None:
    """A destination that is removed does not keep its calls on the disk."""
    spool = Spool(tmp_path, segment_bytes=1)
    spool.reader("removed")
    for n in range(1, 5):
        spool.append(make_payload(n))
    spool.retire("removed", RETIRED)
    spool.keep_cursors()
    assert len(segment_files(tmp_path)) == 1
    spool.close()


def test_the_counts_of_a_retired_consumer_are_kept(tmp_path: Path) -> None:
    """Across restarts; when its name comes back it gets what comes from then on, and its counts go on."""
    spool = Spool(tmp_path)
    spool.reader("a")
    spool.append(make_payload(1))
    spool.retire("a", RETIRED)
    spool.close()
    spool = Spool(tmp_path)
    assert not spool.consumers()
    assert spool.retired() == {"a": RETIRED}
    reader = spool.reader("a")
    assert spool.consumers() == {"a"}
    assert not spool.retired()
    assert (spool.state_of("a").counts, reader.counts().created) == (RETIRED.counts, 0)
    spool.append(make_payload(2))
    assert len(read_all(reader)) == 1
    spool.close()


def test_old_retired_consumers_are_forgotten(tmp_path: Path) -> None:
    """Names that come and go do not fill the journal."""
    spool = Spool(tmp_path)
    for name in ["a", *map(str, range(70)), "a"]:
        spool.reader(name)
        spool.retire(name, RETIRED)
    assert len(spool.retired()) == 64
    assert {"69", "a"} < spool.retired().keys()
    assert "0" not in spool.retired()
    spool.close()


def test_sequences_survive_the_files_that_held_them(tmp_path: Path) -> None:
    """A frame sent again after a restart is known although its file is gone."""
    spool = Spool(tmp_path, segment_bytes=1)
    spool.append(make_payload(7, instance_id="quiet"))
    for n in range(1, 4):
        spool.append(make_payload(n))
    spool.keep_cursors()
    assert len(segment_files(tmp_path)) == 1
    spool.close()
    spool = Spool(tmp_path)
    assert spool.last_sequence(Origin("quiet", STARTED_NS)) == 7
    assert spool.last_sequence(Origin(INSTANCE, STARTED_NS)) == 3
    assert spool.last_sequence(Origin("stranger", STARTED_NS)) is None
    spool.close()


def test_over_the_bound_the_oldest_goes_and_is_counted(tmp_path: Path) -> None:
    """The disk is bounded; each reader knows how many spans it will never see."""
    size = len(make_record(make_payload(1, make_call("a", "b"))))
    spool = Spool(tmp_path, max_bytes=size * 12, segment_bytes=size * 3)
    behind = spool.reader("behind")
    ahead = spool.reader("ahead")
    for n in range(1, 51):
        spool.append(make_payload(n, make_call("a", "b")))
        read_all(ahead)
        assert spool.size_bytes <= size * 12
    assert ahead.counts() == ReaderCounts(100, 100, 0, 0, {})
    counts = behind.counts()
    assert adds_up(counts)
    assert counts.lost["spool_full"] == 100 - counts.unread > 0
    left = read_all(behind)
    assert left == [make_payload(n, make_call("a", "b")) for n in range(51 - len(left), 51)]
    spool.close()


def test_frames_in_hand_of_a_lost_file_are_not_lost(tmp_path: Path) -> None:
    """What a reader has read before the file went can still be sent, and is not counted as lost."""
    size = len(make_record(make_payload(1)))
    spool = Spool(tmp_path, max_bytes=size * 8, segment_bytes=size)
    reader = spool.reader("destination")
    spool.append(make_payload(1))
    (in_hand,) = reader.read(ALL, ALL)
    for n in range(2, 30):
        spool.append(make_payload(n))
    assert adds_up(reader.counts())
    assert reader.counts().taken == 1
    reader.advance(in_hand[0])
    counts = reader.counts()
    assert counts.passed == 1
    assert counts.lost["spool_full"] == 28 - counts.unread
    spool.close()
    spool = Spool(tmp_path)
    assert spool.reader("destination").counts().lost == {}
    spool.close()


def test_what_is_in_hand_can_be_read_again(tmp_path: Path) -> None:
    """From the first frame on that is not done with; the counts are as they were before it was read."""
    spool = Spool(tmp_path)
    reader = spool.reader("destination")
    for n in (1, 2, 3, 4):
        spool.append(make_payload(n, make_call("a", "b")))
    (first, _), second, third = reader.read(ALL, 3)
    reader.advance(first)
    assert reader.go_back() == 0
    assert reader.counts() == ReaderCounts(8, 2, 0, 6, {})
    assert reader.settled == first
    assert reader.read(ALL, 2) == [second, third]
    reader.advance(third[0])
    assert reader.counts() == ReaderCounts(8, 6, 0, 2, {})
    spool.close()


def test_what_was_given_up_cannot_be_read_again(tmp_path: Path) -> None:
    """Then its spans are lost, and counted, those that were in hand too."""
    size = len(make_record(make_payload(1)))
    spool = Spool(tmp_path, max_bytes=size * 8, segment_bytes=size)
    reader = spool.reader("destination")
    spool.append(make_payload(1))
    assert len(reader.read(ALL, ALL)) == 1
    for n in range(2, 30):
        spool.append(make_payload(n))
    unread = reader.counts().unread
    assert reader.go_back() == 29 - unread
    assert reader.counts() == ReaderCounts(29, 0, 0, unread, {"spool_full": 29 - unread})
    spool.close()


def test_what_was_given_up_is_counted_exactly_after_a_restart(tmp_path: Path) -> None:
    """By its spans, those that were in hand among them: while an endpoint is down the noted place stays."""
    size = len(make_record(make_payload(1, make_call("a", "b"))))
    spool = Spool(tmp_path, max_bytes=size * 12, segment_bytes=size * 3)
    reader = spool.reader("down")
    spool.append(make_payload(1, make_call("a", "b")))
    assert len(reader.read(ALL, ALL)) == 1
    for n in range(2, 51):
        spool.append(make_payload(n, make_call("a", "b")))
    before = reader.counts()
    assert (before.created, before.taken) == (100, 2)
    spool.keep_cursors()
    spool.close()
    spool = Spool(tmp_path, max_bytes=size * 12, segment_bytes=size * 3)
    counts = spool.reader("down").counts()
    assert counts == ReaderCounts(100, 0, 0, before.unread, {"spool_full": 100 - before.unread})
    spool.close()


def test_what_was_lost_before_a_finished_frame_is_kept_with_it(tmp_path: Path) -> None:
    """The counts that are journalled belong to the place, though frames behind it are in hand."""
    size = len(make_record(make_payload(1)))
    spool = Spool(tmp_path, max_bytes=size * 8, segment_bytes=size)
    reader = spool.reader("destination")
    spool.append(make_payload(1))
    ((first, _),) = reader.read(ALL, 1)
    for n in range(2, 30):
        spool.append(make_payload(n))
    lost = reader.counts().lost["spool_full"]
    ((second, _),) = reader.read(1, 1)
    assert len(reader.read(1, 1)) == 1
    reader.advance(first)
    assert (reader.settled, reader.settled_spans, reader.settled_lost) == (first, 1, {})
    reader.advance(second)
    assert (reader.settled, reader.settled_lost) == (second, {"spool_full": lost})
    assert reader.settled_spans == 1 + lost + 1
    spool.close()


@settings(max_examples=examples(60), deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["append", "append", "read", "settle", "go back", "restart"]), st.integers(0, 4)
        ),
        max_size=60,
    ),
    tail_bytes=st.sampled_from([0, 500]),
    is_kept_here=st.booleans(),
)
def test_every_span_that_ever_came_is_in_the_counts(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, int]],
    tail_bytes: int,
    *,
    is_kept_here: bool,
) -> None:
    """Whatever is given up, read, and finished, and whenever the process ends: what is noted adds up."""
    folder = tmp_path_factory.mktemp("spool")
    # What a consumer with its own cursor keeps: its place, the spans before that and those of them it lost.
    kept: tuple[int, int | None, dict[str, int]] = (0, 0, {})

    def begin() -> tuple[Spool, Reader]:
        spool = Spool(folder, max_bytes=1500, segment_bytes=300, tail_bytes=tail_bytes)
        if is_kept_here:
            return spool, spool.reader("destination")
        return spool, spool.reader_at("local", *kept[:2])

    spool, reader = begin()
    created = passed = lost = sequence = 0
    in_hand: list[int] = []
    for step, number in steps:
        if step == "append":
            sequence += 1
            created += number
            spool.append(make_payload(sequence, make_call(*["x"] * number)))
        elif step == "read":
            in_hand += [position for position, _payload in reader.read(ALL, number + 1)]
        elif step == "settle" and in_hand[number:]:
            taken = reader.taken(in_hand[number])
            kept = (taken.position, taken.spans_before, taken.lost)
            reader.advance(in_hand[number])
            del in_hand[: number + 1]
        elif step == "go back":
            reader.go_back()
            in_hand.clear()
        elif step == "restart":
            passed += reader.counts().passed
            lost += sum((reader.settled_lost if is_kept_here else kept[2]).values())
            kept = (*kept[:2], {})
            spool.note("destination", Entry(reader.settled, spans_before=reader.settled_spans))
            spool.close()
            spool, reader = begin()
            in_hand.clear()
        assert adds_up(reader.counts())
        assert passed + lost + reader.counts().created == created
    spool.close()


def test_a_place_noted_by_an_earlier_version_counts_frames(tmp_path: Path) -> None:
    """Nobody knows what was in them; a file begun since has its own count, which is not taken for theirs."""
    size = len(make_record(make_payload(1, make_call("a", "b"))))
    path = segment_path(tmp_path, 0)
    path.write_bytes(make_record(msgspec.msgpack.encode([[]])) + make_record(make_payload(1, make_call("a"))))
    spool = Spool(tmp_path, max_bytes=size * 12, segment_bytes=size * 3)
    reader = spool.reader("down")
    assert len(reader.read(ALL, ALL)) == 1  # and stays in hand
    assert reader.settled_spans is None
    for n in range(2, 31):
        spool.append(make_payload(n, make_call("a", "b")))
    spool.close()
    spool = Spool(tmp_path, max_bytes=size * 12, segment_bytes=size * 3)
    counts = spool.reader("down").counts()
    assert adds_up(counts)
    assert counts.lost["spool_full"] == 30 - counts.unread // 2
    spool.close()


@pytest.mark.parametrize(
    ("position", "spans_before", "spans"),
    [(5, 8, None), (12, None, None), (13, 0, 0), (15, 4, 4)],
    ids=["of an older count", "of none", "where it began", "of this one"],
)
def test_a_count_that_began_anew_says_nothing_of_a_place_before(
    tmp_path: Path, position: int, spans_before: int | None, spans: int | None
) -> None:
    """This version was here, then an earlier one, and this one again, while an endpoint was down."""
    size = len(make_record(make_payload(1, make_call("a", "b"))))
    by_earlier = make_record(msgspec.msgpack.encode([[]])) + make_record(make_payload(1, make_call("a")))
    segment_path(tmp_path, 10).write_bytes(by_earlier)  # two more frames fit
    spool = Spool(tmp_path, max_bytes=size * 12, segment_bytes=size * 3)
    for n in range(2, 41):
        spool.append(make_payload(n, make_call("a", "b")))
    spool.close()
    spool = Spool(tmp_path, max_bytes=size * 12, segment_bytes=size * 3)
    lost = spool.reader_at("local", position, spans_before).counts().lost["spool_full"]
    oldest = int(segment_files(tmp_path)[0].removesuffix(SUFFIX))
    assert lost == (oldest - position if spans is None else 2 * (oldest - 13) - spans)
    spool.close()


def test_a_cursor_before_the_oldest_file_counts_what_is_gone(tmp_path: Path) -> None:
    """A consumer that comes back late is told what it missed, at least one span a frame."""
    spool = Spool(tmp_path, segment_bytes=1)
    for n in range(1, 6):
        spool.append(make_payload(n))
    spool.keep_cursors()
    reader = spool.reader_at("local", 1)
    assert reader.counts() == ReaderCounts(4, 0, 0, 1, {"spool_full": 3})
    assert reader.settled == 4
    spool.close()


def test_a_cursor_beyond_the_end_begins_at_the_end(tmp_path: Path) -> None:
    """A store that outlived an emptied spool gets what comes, not nothing."""
    spool = Spool(tmp_path)
    reader = spool.reader_at("local", 1000)
    assert reader.settled == 0
    spool.append(make_payload(1))
    assert read_all(reader) == [make_payload(1)]
    spool.close()


def append_and_damage(folder: Path, frames: int, read: int = 0) -> int:
    """Append so many of two spans, the last two of three in the first file then damaged; the size of one."""
    size = len(make_record(make_payload(1, make_call("a", "b"))))
    spool = Spool(folder, segment_bytes=size * 4)
    reader = spool.reader("destination")
    for n in range(1, frames + 1):
        spool.append(make_payload(n, make_call("a", "b")))
    for _ in range(read):
        reader.advance(reader.read(ALL, 1)[-1][0])
    spool.close()
    path = folder / segment_files(folder)[0]
    damaged = bytearray(path.read_bytes())
    damaged[-2 * size] ^= 0xFF  # the length of its last frame but one: nobody knows where the last begins
    path.write_bytes(damaged)
    return size


def test_a_file_damaged_in_the_middle_costs_its_rest(tmp_path: Path) -> None:
    """Bad bytes on the disk are counted and passed; the following files are read."""
    append_and_damage(tmp_path, 9)
    spool = Spool(tmp_path)
    reader = spool.reader("destination")
    found = read_all(reader)
    # The head of the next file tells how many there were.
    assert reader.counts() == ReaderCounts(18, 14, 0, 0, {"spool_damaged": 4})
    assert len(found) == 7
    assert found[-1] == make_payload(9, make_call("a", "b"))
    spool.close()


def test_a_place_among_frames_that_were_cut_off_costs_those_behind_it(tmp_path: Path) -> None:
    """Those before it had been read."""
    append_and_damage(tmp_path, 9, read=2)
    spool = Spool(tmp_path)
    reader = spool.reader("destination")
    assert len(read_all(reader)) == 6
    assert reader.counts() == ReaderCounts(14, 12, 0, 0, {"spool_damaged": 2})
    spool.close()


def test_a_file_that_lost_all_its_frames_behind_one_that_was_cut_is_stepped_over(tmp_path: Path) -> None:
    """As a power cut may leave the last two: reading it was an error, and its destination stood."""
    size = append_and_damage(tmp_path, 6)
    second = tmp_path / segment_files(tmp_path)[1]
    damaged = bytearray(second.read_bytes())
    damaged[-3 * size + HEAD_BYTES] ^= 0xFF  # within the first of its frames
    second.write_bytes(damaged[: -2 * size])
    spool = Spool(tmp_path)
    reader = spool.reader("destination")
    assert len(read_all(reader)) == 1
    assert adds_up(reader.counts())
    spool.append(make_payload(8, make_call("a", "b")))
    assert read_all(reader) == [make_payload(8, make_call("a", "b"))]
    assert reader.counts() == ReaderCounts(8, 4, 0, 0, {"spool_damaged": 4})
    spool.close()


def test_what_was_cut_off_a_file_is_counted_when_the_files_around_it_are_given_up(tmp_path: Path) -> None:
    """No reader has come to it by then, and none steps over it."""
    size = append_and_damage(tmp_path, 9)
    spool = Spool(tmp_path, max_bytes=size * 12, segment_bytes=size * 3)
    reader = spool.reader("destination")
    for n in range(10, 31):
        spool.append(make_payload(n, make_call("a", "b")))
    counts = reader.counts()
    assert adds_up(counts)
    assert (counts.created, counts.lost["spool_damaged"]) == (60, 4)
    spool.close()


def append_and_flip(folder: Path, frames: int) -> bytes:
    """Append so many of two spans, four to a file, and damage the second; what its file is then."""
    size = len(make_record(make_payload(1, make_call("a", "b"))))
    spool = Spool(folder, segment_bytes=size * 5)
    spool.reader("destination")
    for n in range(1, frames + 1):
        spool.append(make_payload(n, make_call("a", "b")))
    spool.close()
    return flip_second(folder)


def flip_second(folder: Path) -> bytes:
    """Damage the second frame of the first file; what the file is then."""
    path = folder / segment_files(folder)[0]
    damaged = bytearray(path.read_bytes())
    at = damaged.index(make_payload(2, make_call("a", "b")))
    damaged[at] ^= 0xFF
    path.write_bytes(damaged)
    return bytes(damaged)


@pytest.mark.parametrize("tail", [b"", b"\0" * 40], ids=["", "zeros behind it"])
def test_a_damaged_frame_costs_itself_alone(
    tmp_path: Path, tail: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """In the last file too: what follows it is sent, and the log says that one cannot be read."""
    file = append_and_flip(tmp_path, 4)
    path = tmp_path / segment_files(tmp_path)[0]
    path.write_bytes(file + tail)
    spool = Spool(tmp_path)
    reader = spool.reader("destination")
    assert read_all(reader) == [make_payload(n, make_call("a", "b")) for n in (1, 3, 4)]
    # How many spans it had nobody knows; its worker's sequence has a gap.
    assert reader.counts() == ReaderCounts(6, 6, 0, 0, {})
    assert spool.progress(Origin(INSTANCE, STARTED_NS)) == Progress(4, 6, 1)
    assert caplog.messages == [f"spool file {path.name}: 1 frames cannot be read"]
    assert path.read_bytes() == file
    spool.close()


def test_a_damaged_frame_is_counted_where_another_file_follows(tmp_path: Path) -> None:
    """Whose head knows how many spans there had been."""
    append_and_flip(tmp_path, 9)
    spool = Spool(tmp_path)
    reader = spool.reader("destination")
    found = read_all(reader)
    assert found == [make_payload(n, make_call("a", "b")) for n in range(1, 10) if n != 2]
    assert reader.counts() == ReaderCounts(18, 16, 0, 0, {"spool_damaged": 2})
    spool.close()


def test_a_frame_that_is_damaged_while_running_costs_itself_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its spans are known, and counted."""
    spool = Spool(tmp_path, tail_bytes=0)
    reader = spool.reader("destination")
    for n in range(1, 5):
        spool.append(make_payload(n, make_call("a", "b")))
    flip_second(tmp_path)
    assert read_all(reader) == [make_payload(n, make_call("a", "b")) for n in (1, 3, 4)]
    assert reader.counts() == ReaderCounts(8, 6, 0, 0, {"spool_damaged": 2})
    assert len(caplog.messages) == 1
    spool.close()


def test_what_is_cut_off_a_file_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody knows how many spans that were, in the last file; zeros of the file system are none."""
    append_and_flip(tmp_path, 4)
    path = tmp_path / segment_files(tmp_path)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    Spool(tmp_path).close()
    assert "bytes are no whole frames, and are cut off" in caplog.messages[-1]
    path.write_bytes(whole + b"\0" * 100)
    caplog.clear()
    Spool(tmp_path).close()
    assert [message for message in caplog.messages if "cut off" in message] == []


def test_other_files_are_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A copy that somebody made, a folder: control did not start."""
    spool = Spool(tmp_path)
    spool.append(make_payload(1))
    spool.close()
    name = segment_files(tmp_path)[0]
    for other in (f"{name[:20]} (1){SUFFIX}", f"0-old{SUFFIX}"):
        (tmp_path / other).write_bytes((tmp_path / name).read_bytes())
    (tmp_path / f"{7:020d}{SUFFIX}").mkdir()
    spool = Spool(tmp_path)
    assert read_all(spool.reader_at("reader", None)) == [make_payload(1)]
    assert len(caplog.messages) == 3
    assert all("is no file of the spool" in message for message in caplog.messages)
    spool.close()


def test_a_copy_among_the_files_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of frames that were there twice some would wait for ever."""
    spool = Spool(tmp_path)
    for n in range(1, 5):
        spool.append(make_payload(n))
    spool.close()
    copied = tmp_path / segment_files(tmp_path)[0]
    segment_path(tmp_path, 2).write_bytes(copied.read_bytes())
    spool = Spool(tmp_path)
    reader = spool.reader_at("reader", None)
    assert read_all(reader) == [make_payload(n) for n in range(1, 5)]
    assert reader.counts() == ReaderCounts(4, 4, 0, 0, {})
    assert caplog.messages == [f"spool file {2:020d}{SUFFIX} overlaps the one before, and is left alone"]
    spool.close()


def test_damage_while_running_is_passed_and_counted(tmp_path: Path) -> None:
    """A file that somebody truncates under us does not stop its readers."""
    spool = Spool(tmp_path, tail_bytes=0)
    reader = spool.reader("destination")
    for n in range(1, 4):
        spool.append(make_payload(n))
    path = tmp_path / segment_files(tmp_path)[0]
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 10)
    assert reader.read(ALL, ALL) == []
    assert reader.counts().lost == {"spool_damaged": 3}
    spool.append(make_payload(4))
    assert read_all(reader) == [make_payload(4)]
    assert adds_up(reader.counts())
    spool.close()


def test_an_unreadable_file_is_removed(tmp_path: Path) -> None:
    """A file without a head holds nothing that could be sent, and does not stop the start."""
    (tmp_path / f"{0:020d}{SUFFIX}").write_bytes(b"not a spool")
    spool = Spool(tmp_path)
    spool.append(make_payload(1))
    assert read_all(spool.reader_at("reader", None)) == [make_payload(1)]
    spool.close()


def test_what_is_no_frame_is_not_taken(tmp_path: Path) -> None:
    """The spool holds frames only."""
    spool = Spool(tmp_path)
    with pytest.raises(FrameError):
        spool.append(b"\xc0")
    assert spool.end == 0
    spool.close()


def test_a_write_that_fails_leaves_the_spool_as_it_was(tmp_path: Path) -> None:
    """A full disk refuses a frame; once there is room the same frame is taken, and nothing is torn."""
    spool = Spool(tmp_path)
    spool.append(make_payload(1))
    full = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115 - handed to the spool as its file
    spool._descriptor, descriptor = full.fileno(), spool._descriptor
    with pytest.raises(OSError, match=r"No space|Invalid argument"):  # such a device cannot be truncated
        spool.append(make_payload(2))
    spool._descriptor = descriptor
    full.close()
    assert spool.last_sequence(Origin(INSTANCE, STARTED_NS)) == 1
    spool.append(make_payload(2))
    assert read_all(spool.reader_at("reader", None)) == [make_payload(1), make_payload(2)]
    spool.close()


def test_a_waiting_reader_in_another_thread_is_woken(tmp_path: Path) -> None:
    """The store's thread sleeps until a frame comes, and ends when a closed spool is read to its end."""
    spool = Spool(tmp_path)
    reader = spool.reader_at("local", None)
    found: list[bytes] = []

    def store() -> None:
        while read := reader.read(ALL, ALL, timeout_s=30.0):
            for position, payload in read:
                found.append(payload)
                reader.advance(position)

    thread = threading.Thread(target=store)
    thread.start()
    payloads = [make_payload(n) for n in range(1, 200)]
    for payload in payloads:
        spool.append(payload)
    spool.close()
    thread.join(60)
    assert not thread.is_alive()
    assert found == payloads


def test_listeners_are_called_with_the_size(tmp_path: Path) -> None:
    """The senders know how much waits without reading it."""
    spool = Spool(tmp_path)
    sizes: list[int] = []
    spool.listen(sizes.append)
    payload = make_payload(1)
    spool.append(payload)
    assert sizes == [len(payload)]
    spool.close()


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    """Frames may hold prompts."""
    spool = Spool(tmp_path / "spool")
    spool.reader("destination")
    spool.append(make_payload(1))
    spool.close()
    assert (tmp_path / "spool").stat().st_mode & 0o077 == 0
    for path in (tmp_path / "spool").iterdir():
        assert path.stat().st_mode & 0o077 == 0
