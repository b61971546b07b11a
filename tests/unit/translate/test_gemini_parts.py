"""The parts of Gemini's dialect."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translate.gemini_parts import (
    INVENTED,
    call_id_of,
    data_url,
    file_part,
    inline_part,
    signature_of,
    signed,
    text_part,
    type_by_name,
)


@pytest.mark.parametrize(
    ("url", "kind", "mime_type", "expected"),
    [
        ("data:image/png;base64,AAAA", "image", "", inline_part("image/png", "AAAA")),
        ("DATA:;charset=utf-8;BASE64,AAAA", "image", "", inline_part("image/jpeg", "AAAA")),
        ("data:image/jpg;base64,AAAA", "image", "", inline_part("image/jpeg", "AAAA")),
        ("data:;base64,AAAA", "document", "text/csv", inline_part("text/csv", "AAAA")),
        (
            "https://x.test/a.PNG?b=c.d",
            "image",
            "",
            {"fileData": {"mimeType": "image/png", "fileUri": "https://x.test/a.PNG?b=c.d"}},
        ),
        ("gs://b/a", "video", "", {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/a"}}),
        (
            "https://x.test/[",
            "audio",
            "",
            {"fileData": {"mimeType": "audio/mp3", "fileUri": "https://x.test/["}},
        ),
        (
            "files/abc",
            "document",
            "application/pdf",
            {
                "fileData": {
                    "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
                    "mimeType": "application/pdf",
                }
            },
        ),
        ("file-123", "document", "", None),
        ("data:image/svg+xml,<svg/>", "image", "", None),
        ("ftp://x.test/a.png", "image", "", None),
        ("", "image", "", None),
    ],
)
def test_files(url: str, kind: str, mime_type: str, expected: dict[str, Any] | None) -> None:
    """Sent along, at an address of the web or of Google; anything else is nothing that it could read."""
    assert file_part(url, kind=kind, mime_type=mime_type) == expected


def test_a_broken_address_has_no_type() -> None:
    """Nothing is raised for what is no address."""
    assert type_by_name("https://[x") == ""


def test_files_in_answers() -> None:
    """As data URLs; what has no data is none."""
    assert data_url({"mimeType": "image/png", "data": "AAAA"}) == "data:image/png;base64,AAAA"
    assert data_url({"data": "AAAA"}) == "data:application/octet-stream;base64,AAAA"
    assert (data_url({"mimeType": "image/png"}), data_url("x"), data_url(None)) == ("", "", "")


def test_ids_of_calls() -> None:
    """Gemini's own; where it has none, one that tells the call from all others."""
    assert call_id_of({"id": "dv8szvqe"}, reply_id="r", index=0) == "dv8szvqe"
    made = {call_id_of({}, reply_id=reply_id, index=at) for reply_id in ("r", "s") for at in (0, 1)}
    assert len(made) == 4
    assert all(each.startswith(INVENTED) for each in made)


def test_signatures() -> None:
    """Kept beside the part they came with."""
    assert signature_of(signed(text_part("a"), "c2ln")) == "c2ln"
    assert signed(text_part("a"), "") == {"text": "a"}
    assert signature_of({"thoughtSignature": 7}) == ""
