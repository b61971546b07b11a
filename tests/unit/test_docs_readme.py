"""README's configuration is one that runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gateway.config import SecretSource, check

README: Final = Path(__file__).resolve().parents[2] / "README.md"
MAKEFILE: Final = README.with_name("Makefile")
_YAML: Final = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_VARIABLE: Final = re.compile(r"env:([A-Z0-9_]+)")


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
