"""`python -m gateway.app control|worker SETTINGS READY_FD PARENT_PID`: a child as a program of its own."""

from __future__ import annotations

import sys

from gateway.app.child import run
from gateway.settings import Settings


def main(arguments: list[str]) -> int:
    """Run one child process to its end.

    Args:
        arguments: What to be, the settings as JSON, the descriptor to say ready on, the supervisor's pid.
    """
    role, settings_json, ready_fd, parent_pid = arguments
    return run(role, Settings.from_json(settings_json), int(ready_fd), int(parent_pid))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
