"""README's configuration is one that runs."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from gateway.config import SecretSource, check

README: Final = Path(__file__).resolve().parents[2] / "README.md"
MAKEFILE: Final = README.with_name("Makefile")
QUICKSTART: Final = README.parent / "deploy" / "examples" / "quickstart" / "run.py"
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


def test_every_page_is_in_the_list() -> None:
    """A page without a way in is found by nobody."""
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", README.read_text(encoding="utf-8")))
    assert {f"docs/{page.name}" for page in (README.parent / "docs").glob("*.md")} == linked


def test_every_target_of_make_is_told() -> None:
    """In the table of what developers run, and no other there."""
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    table = README.read_text(encoding="utf-8").partition("| command | does |")[2].partition("\n\n")[0]
    told = [row.split("|")[1] for row in table.splitlines()[2:]]
    named = {name for cell in told for name in re.findall(r"`(?:make )?([a-z0-9-]+)(?: A B)?`", cell)}
    # Others need these, or keep this page.
    apart = {"help", "install", "install-test", "perf-compare", "perf-readme"}
    assert named == set(phony[1].replace("\\\n", "").split()) - apart


def test_the_first_call_is_the_one_that_is_printed() -> None:
    """`make run` says to try what the README shows, whose Python asks the same model with the same key."""
    spec = importlib.util.spec_from_file_location("quickstart", QUICKSTART)
    assert spec
    assert spec.loader
    quickstart = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(quickstart)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATEWAY_ADMIN_TOKEN", "t")
        printed = quickstart._what_to_try("http://127.0.0.1:8787", "http://127.0.0.1:8788")
    text = README.read_text(encoding="utf-8")
    [first, *_] = re.findall(r"^  (curl .*)$", printed, re.MULTILINE)
    assert f"\n    {first}\n" in text
    [python] = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert all(word in python for word in ("demo/echo", "demo-key", "http://127.0.0.1:8787/v1"))


def test_the_tested_versions_of_python_are_those_of_the_package() -> None:
    """README and `pyproject.toml` name the same, from the oldest that the package takes."""
    project = tomllib.loads((README.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = _TESTED.search(README.read_text(encoding="utf-8"))
    assert told is not None
    tested = re.split(r", | and ", told[1])
    prefix = "Programming Language :: Python :: "
    assert [f"{prefix}{version}" for version in tested] == project["classifiers"]
    assert project["requires-python"] == f">={tested[0]}"
