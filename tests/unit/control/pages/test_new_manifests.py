"""What a new manifest begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config import Problem, SecretSource, Severity
from gateway.config.manifest_files import ManifestFiles
from gateway.config.manifests.known import IN_FORCE
from gateway.control.pages.configuration import kinds
from gateway.control.pages.new_manifests import NEW
from tests.unit.config.writing import ACCOUNT, CALLER, documents
from tests.unit.control.rooms import Rooms

# Right, and of no use until something else is there too.
WAITS = {("virtual-account", "tokens"), ("gateway-metadata-config", "rules.0.when.subjects.0")}


def is_blank(body: Any, path: str) -> bool:
    """Whether what is at *path*, or in it, is left to the operator."""
    for step in path.split("."):
        body = body[int(step)] if isinstance(body, list) else body[step]
    return body in ("", [""])


def is_expected(kind: str, problem: Problem) -> bool:
    if problem.severity is Severity.WARNING:
        return "is not set" in problem.message or (kind, problem.path) in WAITS
    return is_blank(NEW[kind], problem.path)


@pytest.mark.parametrize("kind", sorted(IN_FORCE))
def test_each_type_has_a_beginning(tmp_path: Path, kind: str) -> None:
    """Nothing is wrong: what a check finds is a blank that only the operator can fill, or a key."""
    (tmp_path / "m.yaml").write_text(documents(ACCOUNT, CALLER))
    files = ManifestFiles(tmp_path, strict=False, secrets=SecretSource({}, None))
    judged = files.judge(kind, None, NEW[kind])
    assert [str(problem) for problem in judged.own if not is_expected(kind, problem)] == []
    assert judged.others == ()
    assert NEW[kind]["type"] == kind


def test_there_are_no_others() -> None:
    """A type that is no more goes here too."""
    assert NEW.keys() == IN_FORCE.keys()


def test_each_type_can_be_chosen_and_has_a_page() -> None:
    """Whether there is one of its type already or not."""
    client = Rooms().client()
    page = client.get("/configuration/manifests/new")
    assert page.status_code == 200
    chosen = [kind["type"] for group in kinds() for kind in group["kinds"]]
    assert sorted(chosen) == sorted(IN_FORCE)
    for kind in chosen:
        address = f"/configuration/manifests/edit?type={kind}"
        assert f'href="{address}"' in page.text
        assert client.get(address).status_code == 200
    assert 'href="/configuration/manifests/new"' in client.get("/configuration/manifests").text
