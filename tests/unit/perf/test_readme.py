"""perf/readme.py, and the README itself."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from perf.compare import NoSuchRunError
from perf.readme import README, RESULTS, block, newest, shown_run, with_block

_README = "# gateway\n\n<!-- perf  -->\nold\n<!-- end of perf -->\n\nmore\n"


def _keep(folder: Path, stem: str, date: str) -> Path:
    target = {
        "figure": "worker CPU",
        "must": "<= 0.75",
        "reach": "<= 0.55",
        "measured": "0.60",
        "verdict": "met",
    }
    document = {
        "machine": {"date": date, "commit": "abc", "cpu": "Some CPU", "python": "3.11.7"},
        "targets": [target],
        "scenarios": {"saturation": {"title": "Saturation"}},
    }
    path = folder / f"{stem}.json"
    path.write_bytes(orjson.dumps(document))
    (folder / f"{stem}-saturation.svg").write_text("<svg/>")
    return path


def test_the_newest_run_worth_showing_is_taken(tmp_path: Path) -> None:
    """By its date, whatever its name; a quick one measures too little."""
    with pytest.raises(NoSuchRunError, match="make perf"):
        newest(tmp_path)
    _keep(tmp_path, "2026-11-23-zzz-standard", "2026-11-23T10:00:00Z")
    newer = _keep(tmp_path, "2026-11-23-abc-full", "2026-11-23T12:00:00Z")
    _keep(tmp_path, "2026-11-24-abc-quick", "2026-11-24T12:00:00Z")
    assert newest(tmp_path) == newer


def test_only_what_stands_between_the_marks_changes(tmp_path: Path) -> None:
    """And it can be changed again."""
    path = _keep(tmp_path, "2026-11-23-abc-standard", "2026-11-23T12:00:00Z")
    text = with_block(_README, block(path))
    assert text.startswith("# gateway\n\n<!-- perf 2026-11-23-abc-standard -->\n")
    assert text.endswith("<!-- end of perf -->\n\nmore\n")
    assert "![Saturation](perf/results/2026-11-23-abc-standard-saturation.svg)" in text
    assert "open-loop" not in text
    assert with_block(text, block(path)) == text
    assert (shown_run(_README), shown_run(text)) == ("", "2026-11-23-abc-standard")


def test_a_readme_without_marks_is_an_error() -> None:
    """Appending somewhere would surprise."""
    with pytest.raises(LookupError, match="marks"):
        with_block("# gateway\n", "")


def test_the_readme_shows_a_kept_run_as_it_is() -> None:
    """Nobody edits figures by hand; until a run is kept it shows none."""
    text = README.read_text()
    shown = shown_run(text)
    assert not shown or block(RESULTS / f"{shown}.json") in text
