"""`python -m gateway.app control|worker SETTINGS READY_FD PARENT_PID`: how the supervisor starts a child."""

from __future__ import annotations

import signal
import sys

from gateway import log
from gateway.process import (
    DRAINING_SIGNAL,
    collect_nothing_yet,
    die_with_parent,
    reuse_large_memory,
    work_in_batches,
)
from gateway.settings import Settings


def main(arguments: list[str]) -> int:
    """Run one child process to its end.

    Args:
        arguments: What to be, the settings as JSON, the descriptor to say ready on, the supervisor's pid.
    """
    role, settings_json, ready_fd, parent_pid = arguments
    die_with_parent(int(parent_pid))
    work_in_batches()
    collect_nothing_yet()
    # The supervisor decides when a child ends; a Ctrl-C meant for it is not the child's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Until control listens for it: unheard it would end the process.
    signal.signal(DRAINING_SIGNAL, signal.SIG_IGN)
    settings = Settings.from_json(settings_json)
    log.configure(log_format=settings.log_format, level=settings.log_level, process=role)
    if role == "control":
        reuse_large_memory()
        from gateway.app.control import run_control  # noqa: PLC0415 - a worker does without SQLite and its API

        return run_control(settings, int(ready_fd))
    from gateway.app.worker import run_worker  # noqa: PLC0415 - control does without the data plane

    return run_worker(settings, int(ready_fd))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
