"""`python -m perf.store_writer`: what a call costs the local store's writer, in this process.

Batches of 1,000 calls, two a second, as of a gateway with 2,000 calls a second: of one set of labels and of
thousands, with none, two and four members of metadata (one of the four another for each call), with all
traces kept, and with one in a hundred, which is about what adding up costs alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from gateway.process import Clock, Pauses
from gateway.tracestore.store import TraceStore
from gateway.wire.frames import CallSpans, RowsFrame, StoreRow, ToldCall
from gateway.wire.otlp import resource_attributes
from perf.process import stop_as_on_interrupt
from perf.store_queries import make_spans

NS: Final = 1_000_000_000
A_SECOND: Final = 2_000
A_BATCH: Final = 1_000
A_FRAME: Final = 100
LABEL_SETS: Final = (1, 1_000, 5_000)
MEMBERS: Final = (0, 2, 4)


def make_calls(label_sets: int, members: int, now_s: float, random: Random) -> Iterator[CallSpans]:
    """A batch."""
    for index in range(A_BATCH):
        one = random.randrange(label_sets)
        end_ns = int((now_s + index / A_SECOND) * NS)
        took_ns = int(random.lognormvariate(20.5, 1.0))
        metadata = {
            "environment": random.choice(("production", "staging")),
            "feature": f"feature-{random.randrange(40)}",
            "customer": f"customer-{int(random.paretovariate(0.6)) % 5_000}",
            "request": f"{random.getrandbits(64):016x}",
        }
        row = StoreRow(
            random.randbytes(16),
            random.randbytes(8),
            "POST /v1/chat/completions",
            end_ns - took_ns,
            end_ns,
            200,
            False,
            "",
            f"vm/model-{one % 20}",
            f"account-{one % 4}/model-{one * 7 % 12}",
            f"app-{one // 20}",
            1,
            True,
            took_ns / 3e6,
            random.randrange(20, 4_000),
            random.randrange(5, 800),
            "provider",
            random.lognormvariate(-7, 1.5),
            "virtualaccount",
            (f"team-{one % 12}",),
            None,
            dict(list(metadata.items())[:members]),
        )
        yield CallSpans(1, row, make_spans(row))


def measure(path: Path, label_sets: int, members: int, batches: int, keep_ratio: float) -> float:
    """Microseconds of CPU for a call."""
    random = Random(3)
    now = [time.time() // 3600 * 3600]
    resource = resource_attributes({"service.name": "tfy-llm-gateway"})
    # Nothing else runs here that the writer would have to pause for.
    pauses = Pauses(Clock(sleep=lambda _s: None))
    spent_s = 0.0
    sequence = 0
    with closing(TraceStore(path, now_s=lambda: now[0], pauses=pauses)) as store:
        for _ in range(batches):
            calls: list[CallSpans | ToldCall] = list(make_calls(label_sets, members, now[0], random))
            now[0] += A_BATCH / A_SECOND
            frames = []
            for start in range(0, A_BATCH, A_FRAME):
                sequence += 1
                frame = RowsFrame("w1", 1, sequence, "v1", resource, calls[start : start + A_FRAME])
                frames.append((sequence, frame))
            began_s = time.thread_time()
            store.insert(frames, keep_ratio=keep_ratio)
            store.trim()
            spent_s += time.thread_time() - began_s
        # What waits is added up now.
        began_s = time.thread_time()
    spent_s += time.thread_time() - began_s
    return spent_s / (batches * A_BATCH) * 1e6


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m perf.store_writer", description=__doc__)
    parser.add_argument("--batches", type=int, default=60)
    arguments = parser.parse_args()
    if arguments.batches < 1:
        parser.error("a batch or more")
    stop_as_on_interrupt()  # no store is left behind
    print("sets of labels\tmembers\tkept, us a call\tleft out, us a call")
    for label_sets in LABEL_SETS:
        for members in MEMBERS:
            found = []
            for keep_ratio in (1.0, 0.01):
                with TemporaryDirectory() as folder:
                    path = Path(folder) / "traces.db"
                    found.append(measure(path, label_sets, members, arguments.batches, keep_ratio))
            print(f"{label_sets}\t{members}\t{found[0]:.1f}\t{found[1]:.1f}", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
