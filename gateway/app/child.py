"""What a child process of the supervisor does from its first step to its exit code."""

from __future__ import annotations

import gc
import importlib
import signal

from gateway import log
from gateway.process import (
    DRAINING_SIGNAL,
    collect_nothing_yet,
    collect_rarely,
    die_with_parent,
    reuse_large_memory,
    show_as,
    work_in_batches,
)
from gateway.settings import Settings


def load() -> None:
    """Import ahead what the children need, so that copies of this process have it.

    What control alone needs it imports by itself: it would be in the memory of each worker.
    """
    collect_nothing_yet()
    importlib.import_module("gateway.app.worker")
    # Copies share memory until somebody writes there, and a search for garbage writes everywhere.
    collect_rarely(*gc.get_threshold())


def run(role: str, settings: Settings, ready_fd: int, parent_pid: int) -> int:
    """Run one child process to its end.

    Args:
        role: `control` or `worker`.
        settings: Those of `gateway serve`, with the ports that it reserved.
        ready_fd: The descriptor to say ready on.
        parent_pid: The supervisor's.

    Returns:
        The exit code.
    """
    die_with_parent(parent_pid)
    show_as("gateway.app", role)
    work_in_batches()
    collect_nothing_yet()
    # The supervisor decides when a child ends; a Ctrl-C meant for it is not the child's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Until control listens for it: unheard it would end the process.
    signal.signal(DRAINING_SIGNAL, signal.SIG_IGN)
    log.configure(log_format=settings.log_format, level=settings.log_level, process=role)
    if role == "control":
        reuse_large_memory()
        from gateway.app.control import run_control  # noqa: PLC0415 - a worker does without SQLite and its API

        return run_control(settings, ready_fd)
    from gateway.app.worker import run_worker  # noqa: PLC0415 - as a program, control does without it

    return run_worker(settings, ready_fd)
