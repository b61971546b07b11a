"""A run as files: Markdown, JSON and charts beside each other in a folder."""

from __future__ import annotations

import tempfile
from pathlib import Path

from perf.bench import say
from perf.report import Run, chart_name, to_json, to_markdown


def check_folder(folder: Path) -> None:
    """Make *folder*, unless it is there: whether results can be kept is better known before a long run.

    Raises:
        OSError: Nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def keep(run: Run, folder: Path) -> bool:
    """Save *run* and print it; whether it could be saved, as a disk that is full must not hide the report."""
    try:
        path = save(run, folder)
    except OSError as error:
        print(to_markdown(run))
        say(f"perf: it is not kept, this is all there is of it: {error}")
        return False
    print(to_markdown(run))
    say(f"kept as {path} and .json, with charts beside it")
    return True


def save(run: Run, folder: Path) -> Path:
    """Write all forms to *folder*, over those of an earlier run of the suite on the same day and commit.

    Returns:
        The path of the Markdown.

    Raises:
        OSError: They cannot be written; no file is there in part.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run.stem}.md"
    for section in run.sections:
        for name, chart in section.charts.items():
            _write(folder / chart_name(run, name), chart.encode())
    _write(path, to_markdown(run).encode())
    # Last: who looks for runs looks for these.
    _write(path.with_suffix(".json"), to_json(run))
    return path


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_bytes(content)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
