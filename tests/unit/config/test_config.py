"""What a configuration is named by, and in which order its parts come."""

from __future__ import annotations

from pathlib import Path

from gateway.config.config import in_order, version_of
from gateway.config.document import Document
from tests.unit.config.writing import ACCOUNT, CALLER, accepted_config, check_text


def document(kind: str, name: str, body: dict[str, object], file: str = "m.yaml") -> Document:
    return Document(kind, name, body, Path(file), 1)


def test_the_version_is_that_of_the_content() -> None:
    """Neither files nor order nor the order of fields count; any value does."""
    a, b = document("t", "a", {"x": 1, "y": [2]}), document("t", "b", {})
    version = version_of([a, b])
    assert len(version) == 12
    assert version == version_of([b, document("t", "a", {"y": [2], "x": 1}, "other.yaml")])
    assert version != version_of([document("t", "a", {"x": 1, "y": [3]}), b])
    assert version != version_of([a])


def test_order() -> None:
    """By type and name."""
    documents = [document("u", "a", {}), document("t", "b", {}), document("t", "a", {})]
    assert [(d.type, d.name) for d in in_order(documents)] == [("t", "a"), ("t", "b"), ("u", "a")]


def test_referenced_files(tmp_path: Path) -> None:
    """Secret files of what is in force, each once, existing or not."""
    caller = 'type: virtual-account\nname: app\ntokens: ["file:b", "file:a", "file:b"]\nmodels: ["lab/*"]\n'
    config = accepted_config(
        check_text(tmp_path, ACCOUNT, CALLER.replace("name: app", "name: other"), caller)
    )
    assert config.referenced_files() == (tmp_path / "a", tmp_path / "b")


def test_virtual_names(tmp_path: Path) -> None:
    """Any name of a virtual model finds all of them, the full one first."""
    group = """\
type: provider-account/virtual-model
name: vm
integrations:
  - name: chat
    slug: talk
    alias: [best/one]
    routing_config: {type: weight-based-routing, load_balance_targets: [{target: lab/qwen, weight: 100}]}
"""
    names = accepted_config(check_text(tmp_path, ACCOUNT, CALLER, group)).virtual_names()
    assert names == dict.fromkeys(("vm/chat", "talk", "best/one"), ("vm/chat", "talk", "best/one"))
