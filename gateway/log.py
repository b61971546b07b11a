"""Logging of every process: one line a record on stderr, as text or as JSON.

What is logged is chosen at the call: messages never carry a secret, a prompt or a reply.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Final

# What a LogRecord has by itself; anything else came in through `extra=` and belongs on the line.
_OWN_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(*, log_format: str, level: str, process: str) -> None:
    """Send the records of this process to stderr, replacing whatever was set up before.

    Args:
        log_format: `text` or `json`.
        level: A level's name in any case: `info`.
        process: Who speaks: `supervisor`, `control`, `worker`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(process) if log_format == "json" else TextFormatter(process))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(capture=True)


class TextFormatter(logging.Formatter):
    """`2026-01-31T10:00:00.123Z info supervisor[412] worker ended (pid=413 exit=-9)`."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Make the line; a traceback follows on lines of its own."""
        extra = " ".join(f"{name}={value}" for name, value in _extra(record).items())
        who = f"{self._process}[{record.process}]"
        line = f"{_time(record)} {record.levelname.lower()} {who} {record.getMessage()}"
        if extra:
            line += f" ({extra})"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the fields of `extra=` beside the message."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Make the line."""
        fields: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "process": self._process,
            "pid": record.process,
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str, ensure_ascii=False)


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _OWN_FIELDS}


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"
