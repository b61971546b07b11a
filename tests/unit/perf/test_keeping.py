"""perf/keeping.py."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from perf.keeping import check_folder, keep, save
from tests.unit.perf.test_report import RUN


def test_saved_under_date_commit_and_suite_in_all_forms(tmp_path: Path) -> None:
    """The JSON holds what programs compare, the charts lie beside the page that shows them."""
    path = save(RUN, tmp_path / "results")
    assert path.name == "2026-11-23-abc123-quick.md"
    assert (path.parent / "2026-11-23-abc123-quick-cost.svg").read_text() == "<svg/>"
    document = orjson.loads(path.with_suffix(".json").read_bytes())
    assert (document["schema_version"], document["suite"]) == (2, "quick")
    assert document["machine"]["commit"] == "abc123"
    assert document["targets"][0]["verdict"] == "NOT MET"
    scenario = document["scenarios"]["saturation"]
    assert scenario["doubts"] == ["others used 20%"]
    assert scenario["figures"][0]["median"] == 2.0
    assert sorted(one.suffix for one in path.parent.iterdir()) == [".json", ".md", ".svg"]


def test_a_report_that_cannot_be_saved_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twelve minutes of measuring must not end in a traceback, nor in half of a file."""
    folder = tmp_path / "results"
    (folder / "2026-11-23-abc123-quick.json").mkdir(parents=True)  # so no file can have that name
    assert not keep(RUN, folder)
    said = capsys.readouterr()
    assert "| a table |" in said.out
    assert "it is not kept" in said.err
    assert not list(folder.glob(".*"))


def test_a_folder_is_looked_at_before_a_long_run(tmp_path: Path) -> None:
    """It is made where it is missing; where nothing can be written, that is known at once."""
    check_folder(tmp_path / "new" / "results")
    assert not list((tmp_path / "new" / "results").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        check_folder(tmp_path / "file")
