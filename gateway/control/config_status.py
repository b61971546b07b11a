"""Words on the configuration that is in force: immutable, so that any thread may read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rejected:
    """A change that was refused whole; what was in force before still is.

    Attributes:
        at_ns: Unix time.
        errors: As `check-config --format json` shows them.
    """

    at_ns: int
    errors: tuple[Mapping[str, object], ...]


@dataclass(frozen=True, slots=True)
class ConfigStatus:
    """What `GET /api/config` says of the whole gateway.

    Attributes:
        version: In force; `+N` at its end counts how often only its secrets changed.
        loaded_at_ns: Unix time at which this version came into force.
        not_in_force: Manifests that are accepted and do nothing yet.
        last_rejected: Set while what is on disk is not what is in force.
        refusals: How many changes were refused since this process started.
    """

    version: str
    loaded_at_ns: int
    not_in_force: tuple[str, ...] = ()
    last_rejected: Rejected | None = None
    refusals: int = 0
