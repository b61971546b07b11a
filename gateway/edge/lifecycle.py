"""What a worker says of itself to balancers."""

from __future__ import annotations

from typing import Literal

Status = Literal["starting", "ready", "draining"]


class Lifecycle:
    """The worker's state: ready for work, or on its way out while still answering.

    Attributes:
        status: As `/readyz` shows it.
        farewells: How many answers have ended their connection, since this drains.
    """

    def __init__(self) -> None:
        self.status: Status = "starting"
        self.farewells = 0

    def ready(self) -> None:
        """Take work."""
        if self.status == "starting":
            self.status = "ready"

    def drain(self) -> None:
        """Tell balancers to go elsewhere; what still comes is served, each connection's last time."""
        self.status = "draining"

    @property
    def is_ready(self) -> bool:
        """Whether balancers should send work here."""
        return self.status == "ready"

    @property
    def is_draining(self) -> bool:
        """Whether each response should end its connection."""
        return self.status == "draining"
