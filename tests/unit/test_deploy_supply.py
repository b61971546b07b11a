"""What a release is made of: locked by hash, and told in a bill of materials that a validator takes."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.rig.requires import find_cyclonedx, requires

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted([*ROOT.glob("requirements/*.lock"), *ROOT.glob("perf/requirements/*.lock")])
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)


def pins(lock: Path) -> set[tuple[str, str]]:
    """Name and version of everything in it."""
    return {(name.lower(), version) for name, version in _PIN.findall(lock.read_text())}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_everything_is_locked_by_hash(lock: Path) -> None:
    """Nothing in a lock stands there without one."""
    blocks = re.split(r"\n(?=\S)", lock.read_text())
    locked = [block for block in blocks if _PIN.match(block)]
    assert len(locked) >= len(pins(lock)) > 0
    assert [block.splitlines()[0] for block in locked if "--hash=sha256:" not in block] == []


def test_every_lock_is_audited() -> None:
    """`make audit` looks at all of them, and takes what it cannot look up for a failure."""
    recipe = _recipe("audit")
    assert "requirements/*.lock perf/requirements/*.lock" in recipe
    assert {"--strict", "--require-hashes", "--disable-pip"} <= set(shlex.split(recipe, comments=False))


def test_tools_of_the_audit_have_a_lock() -> None:
    """Both are in it, and in no other that a gateway is installed from."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    names = {name for name, _ in pins(ROOT / "requirements/audit.lock")}
    assert set(groups["audit"]) <= names
    assert not set(groups["audit"]) & {name for name, _ in pins(ROOT / "requirements/runtime.lock")}


@requires("cyclonedx-py")
def test_bill_of_materials(tmp_path: Path) -> None:
    """Valid CycloneDX with each package of the lock, its version and hashes; the same bytes again."""
    program = find_cyclonedx()
    assert program is not None
    written = []
    for name in ("one", "two"):
        target = tmp_path / f"{name}.json"
        recipe = _recipe("sbom").replace("$(AUDIT)/bin/cyclonedx-py", program)
        command = shlex.split(recipe.replace("gateway.cdx.json", str(target)))
        # It ends with an error where what it wrote is not valid.
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        written.append(target.read_bytes())
    assert written[0] == written[1]
    bill = json.loads(written[0])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "gateway"
    found = {(part["name"].lower(), part["version"]) for part in bill["components"]}
    assert found == pins(ROOT / "requirements/runtime.lock")
    assert all(
        any(reference.get("hashes") for reference in part["externalReferences"])
        for part in bill["components"]
    )


def _recipe(target: str) -> str:
    """What the Makefile does for *target*, its lines joined."""
    text = (ROOT / "Makefile").read_text()
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    assert found is not None
    return found[1].replace("\\\n", " ").replace("\t", " ").strip()
