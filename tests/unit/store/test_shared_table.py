"""One table of many processes: newest kept, nothing torn, nothing lost with a writer."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import time
from pathlib import Path
from typing import Final

import pytest

from gateway.store import mapped_file
from gateway.store.shared_table import PLACES, SharedTable, open_table, table_in_memory
from tests.rig.until import until
from tests.unit.store.others import end, run

DAY_S: Final = 86_400
# What a process does that is not this one; its arguments are the file and what follows.
WRITER: Final = """
import hashlib, sys
from pathlib import Path
from gateway.store.shared_table import open_table
table = open_table(Path(sys.argv[1]), buckets=64)
for number in range(int(sys.argv[3])):
    name = f"{sys.argv[2]}-{number}".encode()
    key = hashlib.blake2b(name, digest_size=16).digest()
    table.put(key, key + key[:8], keep_s=86_400)
print("done", flush=True)
sys.stdin.read()
"""
CHURN: Final = """
import sys
from pathlib import Path
from gateway.store.shared_table import open_table
table = open_table(Path(sys.argv[1]), buckets=1)
key = bytes(range(16))
print("begun", flush=True)
while True:
    for letter in (b"a", b"b"):
        table.put(key, letter * 24, keep_s=86_400)
"""
HOLDER: Final = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR)
fcntl.lockf(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def key_of(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "objects"


def count(table: SharedTable, prefix: str, number: int) -> int:
    return sum(table.find(key_of(f"{prefix}-{each}")) is not None for each in range(number))


def test_put_and_find(path: Path) -> None:
    """What was put last under a key is found, also after the file was opened anew."""
    table = open_table(path, buckets=4)
    assert table.find(key_of("a")) is None
    table.put(key_of("a"), b"1", keep_s=DAY_S)
    table.put(key_of("b"), b"2" * 24, keep_s=DAY_S)
    table.put(key_of("a"), b"3", keep_s=DAY_S)
    for each in (table, open_table(path, buckets=4)):
        assert each.find(key_of("a")) == b"3".ljust(24, b"\0")
        assert each.find(key_of("b")) == b"2" * 24
    table.close()


def test_expiry() -> None:
    """After its time an entry is not found, and its place is the next to be taken."""
    now = [1_000_000_000]
    table = table_in_memory(buckets=1, now_ns=lambda: now[0])
    table.put(key_of("a"), b"1", keep_s=1)
    assert table.find(key_of("a")) is not None
    now[0] += 1_000_000_000
    assert table.find(key_of("a")) is None


def test_full_bucket_loses_what_expires_first() -> None:
    """The newest always has room; of things kept for different times the longest kept stay longest."""
    table = table_in_memory(buckets=1)
    table.put(key_of("long"), b"x", keep_s=9 * DAY_S)
    for number in range(PLACES + 2):
        table.put(key_of(f"short-{number}"), b"x", keep_s=DAY_S)
        assert table.find(key_of(f"short-{number}")) is not None
    assert table.find(key_of("long")) is not None
    assert [number for number in range(PLACES + 2) if table.find(key_of(f"short-{number}"))] == list(
        range(3, PLACES + 2)
    )


def test_processes_at_once(path: Path) -> None:
    """Three of them and this one: each entry is there for all, as often as there is room for it."""
    processes = [run(WRITER, path, name, 30) for name in ("x", "y", "z")]
    table = open_table(path, buckets=64)
    assert [count(table, name, 30) for name in ("x", "y", "z")] == [30, 30, 30]
    for process in processes:
        end(process)
    assert [count(open_table(path, buckets=64), name, 30) for name in ("x", "y", "z")] == [30, 30, 30]


def test_no_torn_value(path: Path) -> None:
    """While another process overwrites an entry without pause, it is found whole, one way or the other."""
    table = open_table(path, buckets=1)
    table.put(bytes(range(16)), b"a" * 24, keep_s=DAY_S)
    process = run(CHURN, path)
    found: set[bytes | None] = set()

    def look() -> bool:
        found.update(table.find(bytes(range(16))) for _ in range(20_000))
        return {b"a" * 24, b"b" * 24} <= found

    try:
        until(look, "both to be seen")
    finally:
        end(process)
    assert found <= {b"a" * 24, b"b" * 24, None}


def test_writers_killed_in_the_middle(path: Path) -> None:
    """Kill -9, again and again: the lock is free, and what is half written is nothing."""
    table = open_table(path, buckets=1)
    for _ in range(5):
        process = run(CHURN, path)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        table.put(key_of("mine"), b"m" * 24, keep_s=DAY_S)
        assert table.find(key_of("mine")) == b"m" * 24
        assert table.find(bytes(range(16))) in {b"a" * 24, b"b" * 24, None}


def test_a_damaged_entry_is_none(path: Path) -> None:
    """A place that was half written is free for the next."""
    table = open_table(path, buckets=1)
    table.put(key_of("a"), b"1" * 24, keep_s=DAY_S)
    data = path.read_bytes()
    at = data.index(key_of("a"))
    with path.open("r+b") as file:
        file.seek(at + 20)
        file.write(b"2")
    assert table.find(key_of("a")) is None
    table.put(key_of("a"), b"3" * 24, keep_s=DAY_S)
    assert table.find(key_of("a")) == b"3" * 24


def test_who_holds_the_lock_is_not_waited_for(path: Path) -> None:
    """A process that stopped while it had its turn: the entry is made without; freed by its death."""
    table = open_table(path, buckets=4)
    process = run(HOLDER, path)
    try:
        table.put(key_of("a"), b"1" * 24, keep_s=DAY_S)
        assert table.find(key_of("a")) == b"1" * 24
        with path.open("r+b") as file, pytest.raises(OSError, match="temporarily"):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        end(process)


@pytest.mark.parametrize("before", [b"", b"x" * 100, b"another version".ljust(3000, b"\0")])
def test_another_file_is_begun_anew(path: Path, before: bytes) -> None:
    """One of another size or version is replaced, and who has it mapped keeps it."""
    path.write_bytes(before)
    table = open_table(path, buckets=4)
    table.put(key_of("a"), b"1", keep_s=DAY_S)
    other = open_table(path, buckets=8)
    assert other.find(key_of("a")) is None
    assert table.find(key_of("a")) is not None
    assert not path.with_name("objects.new").exists()


def test_file_that_cannot_be_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error at once, or after a while where another process never comes to its end."""
    with pytest.raises(OSError, match="No such file"):
        open_table(path / "nowhere" / "x", buckets=1)
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        open_table(path, buckets=1)
    path.rmdir()
    monkeypatch.setattr(mapped_file, "_OPEN_WAIT_S", 0.0)
    with path.with_name("objects.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            open_table(path, buckets=1)


def test_memory_is_one_process_alone() -> None:
    """Without a file there is nothing to lock and nothing to find elsewhere."""
    table = table_in_memory(buckets=1, now_ns=time.time_ns)
    table.put(key_of("a"), b"1", keep_s=DAY_S)
    assert table.find(key_of("a")) is not None
    assert table_in_memory(buckets=1).find(key_of("a")) is None
    table.close()
