"""What the gateway itself says of the spans that it made: giving them up would be a cheap way to be fast."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from perf.contenders import TOKEN, Contender
from perf.process import ProgramError
from perf.tools import get_json

_PATIENCE_S: Final = 5.0
_POLL_S: Final = 0.2


def ledger_doubts(contender: Contender) -> tuple[str, ...]:
    """Why the figures of *contender* may be too good; nothing to say of one that is no gateway of ours."""
    if not contender.control_port:
        return ()
    try:
        destinations = _settled(contender)
    except ProgramError as error:
        # It may be the one that failed; what the others did is no worse for that.
        return (f"{contender.name}: nobody knows whether spans were lost: {error}",)
    return tuple(f"{contender.name}: {doubt}" for one in destinations for doubt in lost_spans(one))


def _settled(contender: Contender) -> list[dict[str, Any]]:
    deadline_s = time.monotonic() + _PATIENCE_S
    destinations = _read(contender)
    # The last batch waits for company up to a second.
    while any(map(_waiting, destinations)) and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
        destinations = _read(contender)
    return destinations


def _read(contender: Contender) -> list[dict[str, Any]]:
    destinations: list[dict[str, Any]] = get_json(contender.control_port, "/api/telemetry", token=TOKEN)[
        "destinations"
    ]
    return destinations


def _waiting(destination: Mapping[str, Any]) -> int:
    ledger = destination["ledger"]
    return int(ledger["queued"] + ledger["in_flight"] + ledger["spooled"])


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
        "have not arrived yet": _waiting(destination),
    }
    return tuple(
        f"{count / created:.1%} of the spans for {destination['name']} {what}"
        for what, count in lost.items()
        if count
    )
