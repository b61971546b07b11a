"""Delivery in a process that is killed -9 again and again: nothing is lost, the ledger adds up at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.rig.managed_otlp import AUTHORIZATION, ManagedOtlp
from tests.rig.otlp_sink import Answer

ROOT = Path(__file__).parents[2]
SPANS = 400
KILLS = 6

# Appends what is missing up to a number of frames, sends, and writes its ledger when all have their fate.
PROGRAM = """
import json, sys, time
from pathlib import Path
from gateway.delivery.batch import BatchLimits
from gateway.delivery.destination import Destination
from gateway.wire.frame_index import Origin
from gateway.delivery.service import Delivery, DeliverySettings
from tests.rig.frame_maker import INSTANCE, STARTED_NS, make_payload
state, url, authorization, frames = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
settings = DeliverySettings(limits=BatchLimits(max_spans=7, max_delay_s=0.01))
delivery = Delivery(state, on_config=lambda *_: None, settings=settings)
delivery._spool.reader("sink")
delivery.configure([Destination("sink", url, {"Authorization": authorization}, {}, 0)])
first = (delivery._spool.last_sequence(Origin(INSTANCE, STARTED_NS)) or 0) + 1
for sequence in range(first, frames + 1):
    delivery._spool.append(make_payload(sequence))
delivery.start()
while True:
    entry = delivery.telemetry()["destinations"][0]
    counts = entry["ledger"]
    parts = sum(counts[name] for name in counts if name not in ("created", "dropped"))
    assert counts["created"] == parts + counts["dropped"]["total"], counts
    if not (counts["queued"] or counts["in_flight"] or counts["spooled"]):
        break
    time.sleep(0.005)
delivery.stop(5.0)
print(json.dumps(entry), flush=True)
"""


def start(state: Path, endpoint: ManagedOtlp) -> subprocess.Popen[bytes]:
    arguments = [str(state), endpoint.traces_url, AUTHORIZATION, str(SPANS)]
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, cwd=ROOT)


def test_killed_again_and_again_in_the_middle_of_batches(tmp_path: Path) -> None:
    """Every span arrives; what arrived twice is in resent_total; each is exported once in the ledger."""
    with ManagedOtlp() as endpoint:
        for kill in range(1, KILLS + 1):
            endpoint.answer(*[Answer(delay_s=0.01)] * 1000)
            seen = len(endpoint.requests())
            with start(tmp_path, endpoint) as process:
                endpoint.wait_for_requests(seen + kill)
                process.kill()
        endpoint._answers.clear()
        with start(tmp_path, endpoint) as process:
            out, _ = process.communicate(timeout=60)
        entry: dict[str, Any] = json.loads(out)
        arrived = Counter(span.name for span in endpoint.spans())
    counts = entry["ledger"]
    assert (counts["created"], counts["exported"], counts["dropped"]["total"]) == (SPANS, SPANS, 0)
    assert set(arrived) == {f"span-{n}" for n in range(1, SPANS + 1)}
    repeated = arrived.total() - SPANS
    assert 0 < repeated <= KILLS * 7
    assert repeated <= entry["resent_total"] <= KILLS * 7
