"""Names of OpenAI's paths, without ids."""

from __future__ import annotations

import re
from pathlib import Path

import openai
import pytest

from gateway.endpoints.openai_paths import FORM_CALLS, TEMPLATES, find_openai_path, needs_no_account

_WRITTEN = re.compile(
    r"_(?:post|get|delete|put|patch|get_api_list)\(\s*(?:path_template\(\s*)?f?\"(/[^\"?]*)"
)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/files", "/files"),
        ("/files/file-1", "/files/{file_id}"),
        ("/files/file-1/content", "/files/{file_id}/content"),
        ("/files/file-1/content/more", "/files/{path}"),
        ("/files/", "/files/{path}"),
        ("/threads/runs", "/threads/runs"),
        ("/threads/t_1/runs", "/threads/{thread_id}/runs"),
        ("/videos/characters/c", "/videos/characters/{character_id}"),
        ("/organization/users/u-1", "/organization/{path}"),
        ("/responses/resp_1", "/responses/{response_id}"),
    ],
)
def test_names(path: str, template: str) -> None:
    """Words of the table stay, ids do not, and what is not in it is named after its first word."""
    endpoint = find_openai_path(path)
    assert endpoint is not None
    assert (endpoint.path, endpoint.route) == (template, "/v1" + template)


@pytest.mark.parametrize("path", ["/rerank", "/", "", "/filesx", "/v1/files", "/{path}"])
def test_what_openai_does_not_have(path: str) -> None:
    """Such a path is nobody's until somebody names an account."""
    assert find_openai_path(path) is None


def test_the_sdk_has_no_other_path() -> None:
    """Each path that the installed SDK can call has a name of its own, but for the administration's."""
    root = Path(openai.__file__).parent / "resources"
    paths = {path for file in root.rglob("*.py") for path in _WRITTEN.findall(file.read_text())}
    assert len(paths) > 200
    filled = {path: re.sub(r"\{[^}]*\}", "id-1", path) for path in paths}
    found = {path: find_openai_path(written) for path, written in filled.items()}
    nameless = [path for path, endpoint in found.items() if endpoint is None or "{path}" in endpoint.path]
    assert [path for path in nameless if not path.startswith(("/organization/", "/projects/"))] == []


def test_operations() -> None:
    """What the conventions have a word for has it; the rest is named after the area."""
    words = {path: endpoint.operation for path in TEMPLATES if (endpoint := find_openai_path(path))}
    assert words["/responses/{response_id}"] == "fetch_response"
    assert words["/audio/transcriptions"] == "transcription"
    assert words["/files/{file_id}/content"] == "files"
    assert len(set(words.values())) < 50


def test_tables_name_paths_that_exist() -> None:
    """A path that is treated differently is in the table."""
    assert set(TEMPLATES) >= FORM_CALLS


def test_right_to_a_model_is_enough_for_its_responses() -> None:
    """To read, cancel and delete one, and for nothing else, however near its path is."""
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
    paths = [*TEMPLATES, "/responses/a/b", "/responses/a;b/c", "/responses/"]
    found = [(path, endpoint) for path in paths if (endpoint := find_openai_path(path)) is not None]
    assert len(found) == len(paths)
    enough = {
        (method, path) for path, endpoint in found for method in methods if needs_no_account(endpoint, method)
    }
    assert enough == {
        ("GET", "/responses/{response_id}"),
        ("DELETE", "/responses/{response_id}"),
        ("POST", "/responses/{response_id}/cancel"),
        ("GET", "/responses/{response_id}/input_items"),
    }
