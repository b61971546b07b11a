"""A supervisor for tests: `stand_in_supervisor.py WAY LOG DRAIN_DELAY_S DRAIN_TIMEOUT_S BEHAVIOUR...`.

A `Family` of one control process and one worker for each further behaviour, all stand-ins, each begun as a
`copy` or as a `program`, which is WAY. Prints `ready` when they are.
"""

from __future__ import annotations

import logging
import os
import sys

from gateway.supervisor.child import Begin, Child, Role
from gateway.supervisor.family import DrainBounds, Family
from gateway.supervisor.process import Forked, Process, run_program
from tests.unit.supervisor import stand_in


def main() -> None:
    """Run the family."""
    way, log, delay_s, timeout_s, *behaviours = sys.argv[1:]
    own_pid = os.getpid()
    logging.basicConfig(stream=sys.stderr, level="INFO", format="%(levelname)s %(message)s")

    def start(behaviour: str) -> Begin:
        def begin(role: Role, ready_fd: int) -> Process:
            words = (role, str(ready_fd), str(own_pid), log, behaviour)
            if way == "copy":
                return Forked(lambda: stand_in.main(words), ready_fd)
            return run_program((sys.executable, stand_in.__file__, *words), ready_fd)

        return begin

    roles = [Role.CONTROL] + [Role.WORKER] * (len(behaviours) - 1)
    Family(
        [Child(role, start(behaviour)) for role, behaviour in zip(roles, behaviours, strict=True)],
        bounds=DrainBounds(delay_s=float(delay_s), timeout_s=float(timeout_s)),
        on_ready=lambda: print("ready", flush=True),
    ).run()


if __name__ == "__main__":
    main()
