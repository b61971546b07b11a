"""A supervisor for tests: `stand_in_supervisor.py LOG DRAIN_DELAY_S DRAIN_TIMEOUT_S BEHAVIOUR...`.

A `Family` of one control process and one worker for each further behaviour, all stand-ins. Prints `ready`
when they are.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.supervisor.child import Child, CommandFactory, Role
from gateway.supervisor.family import DrainBounds, Family

CHILD = Path(__file__).with_name("stand_in.py")


def main() -> None:
    """Run the family."""
    log, delay_s, timeout_s, *behaviours = sys.argv[1:]
    logging.basicConfig(stream=sys.stderr, level="INFO", format="%(levelname)s %(message)s")

    def command(behaviour: str) -> CommandFactory:
        def make(role: Role, ready_fd: int) -> Sequence[str]:
            return [sys.executable, str(CHILD), role, str(ready_fd), str(os.getpid()), log, behaviour]

        return make

    roles = [Role.CONTROL] + [Role.WORKER] * (len(behaviours) - 1)
    Family(
        [Child(role, command(behaviour)) for role, behaviour in zip(roles, behaviours, strict=True)],
        bounds=DrainBounds(delay_s=float(delay_s), timeout_s=float(timeout_s)),
        on_ready=lambda: print("ready", flush=True),
    ).run()


if __name__ == "__main__":
    main()
