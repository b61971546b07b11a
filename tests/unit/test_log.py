"""The two forms of a log line."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.log import JsonFormatter, TextFormatter

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def record() -> logging.LogRecord:
    record = logging.LogRecord("gateway.x", logging.WARNING, __file__, 1, "worker %s ended", ("7",), None)
    record.created, record.msecs, record.process = 1_769_853_600.123, 123.0, 412
    record.config_version = "abc"
    return record


def test_text_is_one_line(record: logging.LogRecord) -> None:
    """Time in UTC, level, who, what, and the extra fields."""
    line = TextFormatter("supervisor").format(record)
    assert line == "2026-01-31T10:00:00.123Z warning supervisor[412] worker 7 ended (config_version=abc)"


def test_json_is_one_object(record: logging.LogRecord) -> None:
    """The same as fields, extra ones beside the rest."""
    assert json.loads(JsonFormatter("worker").format(record)) == {
        "time": "2026-01-31T10:00:00.123Z",
        "level": "warning",
        "process": "worker",
        "pid": 412,
        "logger": "gateway.x",
        "message": "worker 7 ended",
        "config_version": "abc",
    }


@pytest.mark.parametrize("formatter", [TextFormatter("w"), JsonFormatter("w")], ids=["text", "json"])
def test_exception_is_shown(record: logging.LogRecord, formatter: logging.Formatter) -> None:
    """A traceback is part of the record in both forms; in JSON the line stays one line."""
    try:
        raise ValueError("broken")  # noqa: TRY301, the record needs a real traceback
    except ValueError:
        record.exc_info = sys.exc_info()
    line = formatter.format(record)
    assert "ValueError: broken" in line
    assert isinstance(formatter, TextFormatter) or "\n" not in line


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_configure_sends_everything_to_stderr(log_format: str) -> None:
    """Records from the level on go to stderr, warnings of Python too; stdout is for answers."""
    code = (
        "import logging, warnings; from gateway import log;"
        f"log.configure(log_format={log_format!r}, level='info', process='worker');"
        "logging.getLogger('a').info('seen'); logging.getLogger('a').debug('hid' 'den'); warnings.warn('odd')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == ""
    assert "seen" in done.stderr
    assert "odd" in done.stderr
    assert "hidden" not in done.stderr
