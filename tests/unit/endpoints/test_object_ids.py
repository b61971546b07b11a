"""Ids of objects, in calls and in replies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.object_ids import ids_asked, ids_beside, ids_made


@pytest.mark.parametrize(
    ("reply", "made", "beside"),
    [
        ({"id": "file-1", "object": "file"}, ["file-1"], []),
        (
            {"id": "batch_1", "object": "batch", "output_file_id": "file-2", "error_file_id": "file-3"},
            ["batch_1", "file-2", "file-3"],
            ["file-2", "file-3"],
        ),
        ({"id": "batch_1", "output_file_id": None}, ["batch_1"], []),
        (
            {"id": "upload_1", "object": "upload", "file": {"id": "file-4", "object": "file"}},
            ["upload_1", "file-4"],
            ["file-4"],
        ),
        ({"id": "ftjob-1", "result_files": ["file-5", 7]}, ["ftjob-1", "file-5"], ["file-5"]),
        ({"id": "msgbatch_1", "type": "message_batch"}, ["msgbatch_1"], []),
        ({"id": "chatcmpl-1", "object": "chat.completion"}, [], []),
        ({"id": "msg_1", "type": "message"}, [], []),
        ({"id": 7, "file": "file-1"}, [], []),
        ([{"id": "file-1"}], [], []),
    ],
)
def test_replies(reply: Any, made: list[str], beside: list[str]) -> None:
    """The object itself and what came with it; a chat's reply is no object that is kept."""
    body = json.dumps(reply).encode()
    assert ids_made(body) == made
    assert ids_beside(body) == beside


def test_calls() -> None:
    """Texts at the top level and in lists there; deeper ones are the provider's."""
    body = {"input_file_id": "file-1", "file_ids": ["file-2", "file-3"], "n": 1, "deep": {"id": "file-4"}}
    assert list(ids_asked(json.dumps(body).encode())) == ["file-1", "file-2", "file-3"]
    assert len(list(ids_asked(json.dumps({"file_ids": ["f-1"] * 100}).encode()))) == 16


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["id", "object", "file", "result_files", "output_file_id"]), inner
            )
        ),
    )
)
def test_any_json(value: Any) -> None:
    """Whatever is said, ids are texts."""
    body = json.dumps(value).encode()
    found = [*ids_made(body), *ids_beside(body), *ids_asked(body)]
    assert all(isinstance(each, str) for each in found)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_no_json(body: bytes) -> None:
    """It names nothing."""
    assert (ids_made(body), ids_beside(body), list(ids_asked(body))) == ([], [], [])
