"""README's configuration is one that runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

from gateway.config import SecretSource, check

README: Final = Path(__file__).resolve().parents[2] / "README.md"
_YAML: Final = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_VARIABLE: Final = re.compile(r"env:([A-Z0-9_]+)")
_TESTED: Final = re.compile(r"\(tested with ([^)]+)\)")


def test_the_manifests_can_be_run_as_printed(tmp_path: Path) -> None:
    """With its variables set it passes the strict check without a single remark."""
    (manifests,) = _YAML.findall(README.read_text(encoding="utf-8"))
    file = tmp_path / "manifests.yaml"
    file.write_text(manifests, encoding="utf-8")
    # Of the form of an Elastic API key, which is checked too.
    secrets = SecretSource(dict.fromkeys(_VARIABLE.findall(manifests), "aWQ6a2V5"), None)
    checked = check.check(file, strict=True, secrets=secrets)
    assert checked.problems == ()
    assert checked.config is not None


def test_the_tested_versions_of_python_are_those_of_the_package() -> None:
    """README and `pyproject.toml` name the same, from the oldest that the package takes."""
    project = tomllib.loads((README.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = _TESTED.search(README.read_text(encoding="utf-8"))
    assert told is not None
    tested = re.split(r", | and ", told[1])
    prefix = "Programming Language :: Python :: "
    assert [f"{prefix}{version}" for version in tested] == project["classifiers"]
    assert project["requires-python"] == f">={tested[0]}"
