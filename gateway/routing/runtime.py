"""What routes use that lives longer than a configuration: health, sessions, chance, time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from gateway.model import SkipReason
from gateway.routing.route import HealthView, TargetTimes
from gateway.routing.sessions import Sessions
from gateway.store.shared_table import table_in_memory


class AllWell:
    """Health where nothing is known of it: every target may be asked."""

    def are_well(self, _names: tuple[str, ...]) -> bool:
        """They are."""
        return True

    def skip_reason(self, _name: str) -> SkipReason | None:
        """None."""
        return None

    def wait_s(self, _name: str) -> float:
        """At once."""
        return 0.0

    def first_tokens_ms(self, _name: str, *, window_s: float) -> Sequence[float]:  # noqa: ARG002 - as above
        """None."""
        return ()

    def times(self, _name: str, *, window_s: float) -> TargetTimes:  # noqa: ARG002 - the protocol's name
        """No samples."""
        return TargetTimes()


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a worker gives its routes; a configuration that is put in force takes over that of the one before.

    Attributes:
        health: Of every target.
        sessions: Which target a session stays with.
        random: Where chance comes from.
        now_s: Unix time.
    """

    health: HealthView = field(default_factory=AllWell)
    sessions: Sessions = field(default_factory=lambda: Sessions(table_in_memory()))
    random: Random = field(default_factory=Random)
    now_s: Callable[[], float] = time.time
