"""What the gateway itself says of the spans that it made: giving them up would be a cheap way to be fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perf.contenders import Contender
from perf.tools import get_json


def ledger_doubts(contender: Contender) -> tuple[str, ...]:
    """Why the figures of *contender* may be too good; nothing to say of one that is no gateway of ours."""
    if not contender.control_port:
        return ()
    destinations = get_json(contender.control_port, "/api/telemetry")["destinations"]
    return tuple(f"{contender.name}: {doubt}" for one in destinations for doubt in lost_spans(one))


def lost_spans(destination: Mapping[str, Any]) -> tuple[str, ...]:
    """What one destination did not get of the spans that were made for it."""
    ledger = destination["ledger"]
    created = ledger["created"]
    if not created:
        return ()
    lost = {
        "were dropped": ledger["dropped"]["total"],
        "were refused": ledger["rejected"],
        "were sampled out": ledger["sampled_out"],
        "have not arrived yet": ledger["queued"] + ledger["in_flight"] + ledger["spooled"],
    }
    return tuple(
        f"{count / created:.1%} of the spans for {destination['name']} {what}"
        for what, count in lost.items()
        if count
    )
