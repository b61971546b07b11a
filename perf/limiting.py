"""`python -m perf.limiting`: what limits do for a call, in this process, without a server around it.

A line for each case: its name, a tab, microseconds for a call. The best of many batches counts: what disturbs
one makes it longer, and nothing makes it shorter. All is real: the rules are compiled from manifests, the
counters are a mapped file with its locks, the call is read from its bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.config import SecretSource, check
from gateway.edge.client import AsgiHeaders
from gateway.endpoints.catalogue import CHAT
from gateway.endpoints.openai_call import parse_call
from gateway.limits.estimate import Estimate
from gateway.limits.limiter import Limiter
from gateway.limits.matching import Asking
from gateway.limits.permit import CallPermit
from gateway.model import CallFacts, Spent
from gateway.snapshot import Snapshot, compile_snapshot
from gateway.store.counter_table import open_counters
from perf.contenders import BUDGET, LIMITS, PRICE, TOKEN, Setup, gateway_manifests
from perf.payloads import chat_request

ONE: Final = "a budget"
TEN: Final = "10 rules"
BOTH: Final = "10 rules and a budget"
WATCHED: Final = "a budget with alerts"
CASES: Final = (ONE, TEN, BOTH, WATCHED)

_MANIFESTS: Final = {
    ONE: (BUDGET,),
    TEN: LIMITS,
    BOTH: (*LIMITS, BUDGET),
    WATCHED: (BUDGET + "alerts: {}\n",),
}
_MODEL: Final = "perf/chat"
_BATCH: Final = 250
_NOWHERE: Final = "http://127.0.0.1:9"


class Limited:
    """A worker's limits, and a call that they hold for."""

    def __init__(self, manifests: tuple[str, ...], folder: Path) -> None:
        """Compile *manifests*; files go to *folder*."""
        self.snapshot = _compiled(manifests, folder)
        self.counters = open_counters(folder / "counters", is_alone=True)
        self.limiter = Limiter(self.counters)
        headers = AsgiHeaders([(b"authorization", b"Bearer " + TOKEN.encode())])
        self.caller = self.snapshot.identity.identify(headers)
        self.call = parse_call(CHAT, chat_request(_MODEL), model=None, account=None)
        facts = CallFacts(self.caller, CHAT, headers, {}, self.call)
        self.plan = self.snapshot.routing.plan(self.call.model, facts)
        self.spent = [Spent(_MODEL, 300, 20, 0.000_9)]

    async def once(self) -> None:
        """All that limits do for one call."""
        policy, targets = self.snapshot.limits, self.plan.targets
        assert policy is not None, "there are rules"  # noqa: S101 - says it to the type checker
        need = Estimate(self.call, targets, self.limiter.sizes)
        asking = Asking(self.caller, _MODEL, {}, need)
        permit = CallPermit(self.limiter, policy, asking)
        await permit.admit(self.plan)
        assert permit.refusal is None, "nobody reaches these limits"  # noqa: S101 - or nothing is measured
        permit.headers()
        permit.settle(self.spent)

    async def batch(self) -> float:
        """Seconds for a call, of so many."""
        began_s = time.perf_counter()
        for _ in range(_BATCH):
            await self.once()
        return (time.perf_counter() - began_s) / _BATCH


def _compiled(manifests: tuple[str, ...], folder: Path) -> Snapshot:
    setup = Setup("limiting", manifests, price=PRICE)
    (folder / "gateway.yaml").write_text(gateway_manifests(setup, origin=_NOWHERE, sink=_NOWHERE))
    secrets = SecretSource({**os.environ, "PERF_TOKEN": TOKEN})
    checked = check.check(folder, strict=True, secrets=secrets)
    assert checked.config is not None, checked.problems  # noqa: S101 - a slip in this file
    return compile_snapshot(checked.config, secrets, version="perf", is_loopback=True)


def measure(batches: int) -> Iterator[tuple[str, float]]:
    """Name of each case, and microseconds for one call."""
    for name, manifests in _MANIFESTS.items():
        with tempfile.TemporaryDirectory() as folder:
            yield name, asyncio.run(_best(Limited(manifests, Path(folder)), batches)) * 1e6


async def _best(limited: Limited, batches: int) -> float:
    return min([await limited.batch() for _ in range(batches)])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m perf.limiting", description=__doc__)
    parser.add_argument("--batches", type=int, default=100, help=f"of {_BATCH} calls; the best one counts")
    arguments = parser.parse_args()
    for name, limit_us in measure(max(1, arguments.batches)):
        print(f"{name}\t{limit_us:.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
