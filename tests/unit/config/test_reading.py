"""One document becomes its manifest, or all that is wrong with it."""

from __future__ import annotations

from pathlib import Path

from gateway.config.document import Document
from gateway.config.manifests.provider_account import OpenAIAccount
from gateway.config.problem import Problem
from gateway.config.reading import read_document
from tests.unit.config.writing import check_text, found

FILE = Path("c/m.yaml")


def document(**fields: object) -> Document:
    body = {"type": "provider-account/openai", "name": "main", "integrations": [], **fields}
    return Document("provider-account/openai", "main", body, FILE, 7)


def test_a_manifest_knows_its_source() -> None:
    """Whole and in force alike; references start at its folder."""
    problems: list[Problem] = []
    reading = read_document(document(), OpenAIAccount, problems)
    assert reading is not None
    assert problems == []
    for manifest in (reading.written, reading.in_force):
        assert (manifest.source.file, manifest.source.line) == (FILE, 7)
        assert manifest.source.folder == Path("c")


def test_all_errors_and_warnings_at_once(tmp_path: Path) -> None:
    """Three slips in one manifest are three findings."""
    text = """\
        type: provider-account/openai
        nmae: main
        base_url: ftp://x
        integrations:
          - name: a
            model_id: 4
        """
    assert [line for line in found(check_text(tmp_path, text)) if "(configuration)" not in line] == [
        "error 1 name: the field is missing. Rename 'nmae' to 'name'",
        "warning 2 nmae: unknown field, it has no effect. Did you mean 'name'?",
        "error 3 base_url: not a URL that can be called. Write it as https://host[:port]/path",
        "error 6 integrations.0.model_id: expected text, found a number. Put it in quotes",
    ]


def test_unknown_fields_without_a_near_name_list_what_is_known(tmp_path: Path) -> None:
    """So that nobody has to look them up."""
    text = """\
        type: provider-account/openai
        name: main
        integrations: []
        zzz: 1
        auth_data: {type: api-key, api_key: "env:X", qqq: 2}
        """
    lines = [line for line in found(check_text(tmp_path, text)) if "unknown" in line]
    known = "type, name, collaborators, ownedBy, discount_percent, integrations, propagate_trace, tls"
    known += ", auth_data, base_url"
    assert lines == [
        f"warning 4 zzz: unknown field, it has no effect. Remove it; known are: {known}",
        "warning 5 auth_data.qqq: unknown field, it has no effect. Remove it; known are: type, api_key",
    ]


def test_the_schema_mark_of_editors_is_known(tmp_path: Path) -> None:
    """`$schema` in a JSON manifest is for the editor."""
    text = 'type: provider-account/openai\n"$schema": x.json\nname: m\nintegrations: []\n'
    assert not [line for line in found(check_text(tmp_path, text)) if "$schema" in line]
