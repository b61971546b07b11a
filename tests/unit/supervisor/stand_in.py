"""A child for tests of the supervisor: `stand_in.py ROLE READY_FD PARENT_PID LOG BEHAVIOUR`.

It writes what happens to it as lines `ROLE PID WORD` into LOG, and `told PID draining`. BEHAVIOUR: `good`
(ready, ends on SIGTERM), `crash` (ends at once with exit code 7), `stubborn` (ready, ignores SIGTERM), `slow`
(ready, ends on the second SIGTERM only).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.process import DRAINING_SIGNAL, die_with_parent, say_ready


def main(arguments: Sequence[str]) -> int:
    """Be the child."""
    role, ready_fd, parent_pid, log, behaviour = arguments
    die_with_parent(int(parent_pid))
    heard = {signal.SIGTERM, DRAINING_SIGNAL}
    # Blocked, so that one that comes early waits for `sigwait`.
    signal.pthread_sigmask(signal.SIG_BLOCK, heard)

    def note(word: str, of: str = role) -> None:
        with Path(log).open("a") as file:
            file.write(f"{of} {os.getpid()} {word}\n")

    note("started")
    if behaviour == "crash":
        return 7
    say_ready(int(ready_fd))
    terms_wanted = {"good": 1, "slow": 2, "stubborn": 10**6}[behaviour]
    while terms_wanted:
        if signal.sigwait(heard) == DRAINING_SIGNAL:
            note("draining", of="told")
            continue
        terms_wanted -= 1
        note("term")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
