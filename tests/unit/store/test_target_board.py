"""One board of many processes: nothing torn, nothing lost with a process, nothing counted twice."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
from pathlib import Path
from typing import Final

import pytest

from gateway.store.target_board import (
    CLOSED,
    SAMPLES,
    SLOTS,
    Circuit,
    Sample,
    TargetBoard,
    board_in_memory,
    open_board,
)
from tests.rig.until import until
from tests.unit.store.others import end, run

OPEN: Final = Circuit(True, 1.5, 2.5, 1.0, 3.5, 4.5, 5.5, 6.5, 7.5, 8, 9, 10, 11)
SETUP: Final = """
import sys
from pathlib import Path
from gateway.store.target_board import Circuit, Sample, open_board
board = open_board(Path(sys.argv[1]), places=8)
place = board.place_of("a/b")
"""
COUNTER: Final = (
    SETUP
    + """
for number in range(20_000):
    board.count_good(place, 100)
    if number % 10 == 0:
        board.count_sick(place, 100)
print("done", flush=True)
sys.stdin.read()
"""
)
CHURN: Final = (
    SETUP
    + """
print("begun", flush=True)
while True:
    for number in (1, 2):
        with board.turn(place):
            board.put(place, Circuit(True, *[number] * 12))
        board.add_sample(place, Sample(number, float(number), float(number)))
"""
)
HOLDER: Final = (
    SETUP
    + """
with board.turn(place):
    print("held", flush=True)
    sys.stdin.read()
"""
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "targets"


def board_at(path: Path) -> TargetBoard:
    return open_board(path, places=8)


def totals(board: TargetBoard, name: str, slot: int) -> tuple[int, int]:
    parts = board.counts(board.place_of(name), slot)
    return sum(part[1] for part in parts), sum(part[2] for part in parts)


def test_circuit_is_kept(path: Path) -> None:
    """To the bit, for each target its own, and by the file after all processes have ended."""
    board = board_at(path)
    place = board.place_of("a/b")
    assert board.circuit(place) == CLOSED
    assert board.is_quiet(place)
    with board.turn(place):
        board.put(place, OPEN)
    assert not board.is_quiet(place)
    assert board.is_quiet(board.place_of("a/c"))
    board.close()
    again = board_at(path)
    assert again.circuit(again.place_of("a/b")) == OPEN
    assert again.circuit(again.place_of("a/c")) == CLOSED
    again.close()


def test_a_pause_alone_is_to_be_looked_at() -> None:
    """Closed, and not to be asked: planning has to read on."""
    board = board_in_memory(places=1)
    place = board.place_of("a/b")
    board.put(place, Circuit(paused_at_s=1.0, paused_until_s=2.0))
    assert not board.is_quiet(place)
    board.put(place, CLOSED)
    assert board.is_quiet(place)


def test_several_at_once() -> None:
    """One that is not quiet is enough, and so is that places may be others' by now."""
    board = board_in_memory(places=2)
    places = [board.place_of("a/b"), board.place_of("a/c")]
    assert board.are_quiet(places, board.generation)
    board.drain(places[1])
    assert not board.are_quiet(places, board.generation)
    board.undrain(places[1])
    generation = board.generation
    board.place_of("a/d")
    assert not board.are_quiet(places, generation)


def test_drained_whatever_becomes_of_the_circuit(path: Path) -> None:
    """It is a byte of its own, which no half-written circuit takes along."""
    board = board_at(path)
    place = board.place_of("a/b")
    board.drain(place)
    board.put(place, OPEN)
    board.put(place, CLOSED)
    assert board.is_drained(place)
    assert not board.is_quiet(place)
    board.undrain(place)
    assert board.is_quiet(place)


def test_counts_of_a_window() -> None:
    """Slots that have left it do not count, and their room is used again."""
    board = board_in_memory(places=1)
    place = board.place_of("a/b")
    for slot in range(100, 100 + SLOTS):
        board.count_good(place, slot)
        board.count_sick(place, slot)
    assert totals(board, "a/b", 100 + SLOTS - 1) == (SLOTS, SLOTS)
    assert totals(board, "a/b", 100 + SLOTS) == (SLOTS - 1, SLOTS - 1)
    board.count_good(place, 100 + SLOTS)
    assert totals(board, "a/b", 100 + SLOTS) == (SLOTS, SLOTS - 1)
    assert totals(board, "a/b", 100 + 3 * SLOTS) == (0, 0)
    assert totals(board, "a/b", 50) == (0, 0)


def test_samples_are_the_last() -> None:
    """A hundred of them; what was not measured comes back as nothing."""
    board = board_in_memory(places=1)
    place = board.place_of("a/b")
    board.add_sample(place, Sample(5, 1.5, None))
    board.add_sample(place, Sample(6, None, 2.5))
    assert board.samples(place) == [Sample(5, 1.5, None), Sample(6, None, 2.5)]
    for number in range(SAMPLES):
        board.add_sample(place, Sample(number, float(number), 0.0))
    assert sorted(sample.at_s for sample in board.samples(place)) == list(range(SAMPLES))
    assert board.written(place) == SAMPLES + 2


def test_full_board() -> None:
    """The target that was counted longest ago makes room, a drained one last of all."""
    now_s = [100.0]
    board = board_in_memory(places=3, now_s=lambda: now_s[0])
    for name in ("drained", "busy", "quiet"):
        board.put(board.place_of(name), OPEN)
        now_s[0] += 1
    board.drain(board.place_of("drained"))
    board.count_good(board.place_of("busy"), 7)
    generation = board.generation
    new = board.place_of("new")
    assert board.generation == generation + 1
    assert board.circuit(new) == CLOSED
    assert totals(board, "new", 7) == (0, 0)
    assert board.is_drained(board.place_of("drained"))
    assert board.circuit(board.place_of("busy")) == OPEN
    assert board.generation == generation + 1
    assert board.circuit(board.place_of("quiet")) == CLOSED


def test_what_is_shared_with_replicas(path: Path) -> None:
    """Every process sees when that was last, and that a target has been given a place."""
    board, other = open_board(path, places=8, now_s=lambda: 1_764_000_000.9), open_board(path, places=8)
    assert (other.shared_at_s, other.taken) == (0, 0)
    board.note_shared()
    board.place_of("a/b")
    board.place_of("a/b")
    assert (other.shared_at_s, other.taken) == (1_764_000_000, 1)
    board.close()
    other.close()


def test_a_name_is_no_part_of_another() -> None:
    """Keys are found where they begin, not in the middle of two others."""
    board = board_in_memory(places=64)
    places = {board.place_of(f"a/{number}") for number in range(64)}
    assert len(places) == 64
    assert places == {board.place_of(f"a/{number}") for number in range(64)}
    assert board.generation == 0
    assert board.find_place("a/64") is None
    assert board.find_place("a/7") == board.place_of("a/7")


def test_processes_count_exactly(path: Path) -> None:
    """Three of them at once without a lock: not one attempt is lost, and each is there for all."""
    processes = [run(COUNTER, path, wait=False) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
    board = board_at(path)
    assert totals(board, "a/b", 100) == (60_000, 6_000)
    for process in processes:
        end(process)
    assert totals(board, "a/b", 100 + SLOTS - 1) == (60_000, 6_000)
    board.close()


def test_a_lane_is_free_after_its_process(path: Path) -> None:
    """However often workers are killed, there is a lane of its own for each."""
    for _ in range(3):
        process = run(CHURN, path)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    board = board_at(path)
    others = [run(HOLDER, path) for _ in range(2)]
    (used,) = struct.unpack_from("=I", path.read_bytes(), 64)
    assert used == 3
    for other in others:
        end(other)
    board.close()


def test_nothing_torn(path: Path) -> None:
    """While another process changes a circuit without pause, it is found whole, one way or the other."""
    process = run(CHURN, path)
    board = board_at(path)
    place = board.place_of("a/b")
    whole = {Circuit(True, *[number] * 12) for number in (1, 2)}
    found: set[Circuit] = set()

    def look() -> bool:
        found.update(board.circuit(place) for _ in range(20_000))
        return whole <= found

    try:
        until(look, "both to be seen")
    finally:
        end(process)
    assert found <= {*whole, CLOSED}
    board.close()


def test_writers_killed_in_the_middle(path: Path) -> None:
    """Kill -9, again and again: the turn is free, and the circuit is whole or begun anew."""
    board = board_at(path)
    place = board.place_of("a/b")
    for _ in range(5):
        process = run(CHURN, path)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        with board.turn(place):
            board.put(place, OPEN)
        assert board.circuit(place) == OPEN
    assert board.missed_turns == 0
    board.close()


def test_who_keeps_a_turn_is_not_waited_for(path: Path) -> None:
    """A process that stopped in it: the next goes on without, soon, and says how often it did."""
    board = board_at(path)
    place, other = board.place_of("a/b"), board.place_of("a/c")
    process = run(HOLDER, path)
    try:
        with board.turn(place):
            board.put(place, OPEN)
        assert board.missed_turns == 1
        with board.turn(other):
            pass
        assert board.missed_turns == 1
    finally:
        end(process)
    with board.turn(place):
        pass
    assert board.missed_turns == 1
    assert board.circuit(place) == OPEN
    board.close()


def test_a_damaged_circuit_is_begun_anew(path: Path) -> None:
    """One that was half written is a closed one; what else is known of the target stays."""
    board = board_at(path)
    place = board.place_of("a/b")
    board.drain(place)
    board.put(place, OPEN)
    with path.open("r+b") as file:
        file.seek(place + 20)
        file.write(b"\x99")
    assert board.circuit(place) == CLOSED
    assert board.is_drained(place)
    board.close()


@pytest.mark.parametrize("before", [b"", b"x" * 100, b"another version".ljust(300_000, b"\0")])
def test_another_file_is_begun_anew(path: Path, before: bytes) -> None:
    """One of another size or version is replaced, and who has it mapped keeps it."""
    path.write_bytes(before)
    board = board_at(path)
    board.put(board.place_of("a/b"), OPEN)
    larger = open_board(path, places=16)
    assert larger.circuit(larger.place_of("a/b")) == CLOSED
    assert board.circuit(board.place_of("a/b")) == OPEN
    assert not path.with_name("targets.new").exists()
    board.close()
    larger.close()


def test_more_processes_than_lanes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those share one; nothing else is different for them."""
    monkeypatch.setattr(fcntl, "lockf", _never)
    board = board_at(path)
    place = board.place_of("a/b")
    board.count_good(place, 1)
    assert totals(board, "a/b", 1) == (1, 0)
    board.close()


def _never(*_: object) -> None:
    raise BlockingIOError(11, "another process has it")
