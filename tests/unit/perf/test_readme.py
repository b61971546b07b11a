"""perf/readme.py, and the README itself."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from perf.compare import NoSuchRunError
from perf.readme import README, RESULTS, block, newest, shown_run, with_block

_README = "# gateway\n\n<!-- perf  -->\nold\n<!-- end of perf -->\n\nmore\n"


def _keep(
    folder: Path, stem: str, date: str, *, scenario: str = "saturation", rss: tuple[str, str] | None = None
) -> Path:
    """A kept run of one *scenario*; *rss* is what it measured of memory, and whether that is enough."""
    measured = {"worker CPU": ("0.60", "met"), "RSS": rss or ("-", "not in this run")}
    document = {
        "machine": {"date": date, "commit": "abc", "cpu": "Some CPU", "python": "3.11.7"},
        "targets": [
            {"figure": name, "must": "<= 1", "reach": "<= 0.5", "measured": figure, "verdict": verdict}
            for name, (figure, verdict) in measured.items()
        ],
        "suite": stem.rpartition("-")[2],
        "scenarios": {scenario: {"title": "Saturation"}},
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
    _keep(tmp_path, "2026-11-25-abc-full", "2026-11-25T12:00:00Z", scenario="memory")
    failed = _keep(tmp_path, "2026-11-26-abc-full", "2026-11-26T12:00:00Z")
    failed.write_bytes(failed.read_bytes().replace(b'{"title"', b'{"is_measured":false,"title"'))
    (tmp_path / "2026-11-25-abc-soak.json").write_bytes(b'{"suite": "soak"}')
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


def test_what_a_run_did_not_measure_comes_from_the_newest_that_did(tmp_path: Path) -> None:
    """Its own figures stay its own, and a later run that did not measure it either hides nothing."""
    _keep(tmp_path, "2026-11-20-abc-full", "2026-11-20T12:00:00Z", scenario="memory", rss=("150", "NOT MET"))
    _keep(tmp_path, "2026-11-21-abc-full", "2026-11-21T12:00:00Z", scenario="memory", rss=("110", "met"))
    shown = _keep(tmp_path, "2026-11-22-abc-standard", "2026-11-22T12:00:00Z")
    _keep(tmp_path, "2026-11-23-abc-peers", "2026-11-23T12:00:00Z", scenario="peers")
    lines = [" ".join(line.split()) for line in block(shown).splitlines()]
    assert "| worker CPU | <= 1 | <= 0.5 | 0.60 | met |" in lines
    elsewhere = "met ([full](perf/results/2026-11-21-abc-full.md))"
    assert f"| RSS | <= 1 | <= 0.5 | 110 | {elsewhere} |" in lines


@pytest.mark.parametrize(
    ("core", "said"), [(0, "one core, Python"), (None, "load and upstream shared, Python")]
)
def test_a_core_that_was_shared_is_said_so(tmp_path: Path, core: int | None, said: str) -> None:
    """Half of what it could do went to the tools."""
    path = _keep(tmp_path, "2026-11-23-abc-standard", "2026-11-23T12:00:00Z")
    document = orjson.loads(path.read_bytes()) | {"cores": {"contender": core, "tools": core}}
    path.write_bytes(orjson.dumps(document))
    assert said in block(path)


def test_half_a_file_hides_no_run(tmp_path: Path) -> None:
    """A disk was full, or somebody is just writing."""
    kept = _keep(tmp_path, "2026-11-23-abc-standard", "2026-11-23T12:00:00Z")
    (tmp_path / "2026-11-24-abc-standard.json").write_text('{"targets": [')
    assert newest(tmp_path) == kept


def test_a_picture_of_a_scenario_that_the_run_lacks_is_left_out(tmp_path: Path) -> None:
    """It is of an earlier run of that name."""
    path = _keep(tmp_path, "2026-11-23-abc-standard", "2026-11-23T12:00:00Z")
    (tmp_path / "2026-11-23-abc-standard-streams.svg").write_text("<svg/>")
    assert "streams.svg" not in block(path)


def test_a_soak_is_not_shown(tmp_path: Path) -> None:
    """It promises other things."""
    for content in ('{"suite": "soak", "machine": {}}', '{"machine": {}, "scenarios": {}}'):
        (tmp_path / "2026-11-25-abc-soak.json").write_text(content)
        with pytest.raises(NoSuchRunError, match="soak"):
            block(tmp_path / "2026-11-25-abc-soak.json")


def test_a_readme_without_marks_is_an_error() -> None:
    """Appending somewhere would surprise."""
    with pytest.raises(LookupError, match="marks"):
        with_block("# gateway\n", "")


def test_the_readme_shows_a_kept_run_as_it_is() -> None:
    """Nobody edits figures by hand; until a run is kept it shows none."""
    text = README.read_text()
    shown = shown_run(text)
    assert not shown or block(RESULTS / f"{shown}.json") in text
