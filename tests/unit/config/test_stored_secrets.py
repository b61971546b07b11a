"""A mask that comes back is the secret that was there, or an error: never another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config.document import Document
from gateway.config.masking import UnknownMask
from gateway.config.stored_secrets import UnclearMask, masked_body, unmasked_body, without_literals

KEY = "sk-canary-one"
OTHER = "sk-canary-two"


def document(body: dict[str, Any]) -> Document:
    return Document(str(body["type"]), str(body["name"]), body, Path("m.yaml"), 1)


def account(*tokens: str, **more: Any) -> Document:
    return document({"type": "virtual-account", "name": "app", "tokens": list(tokens), **more})


def openai(key: str, **more: Any) -> Document:
    auth = {"type": "api-key", "api_key": key}
    return document(
        {"type": "provider-account/openai", "name": "main", "auth_data": auth, "integrations": [], **more}
    )


@pytest.mark.parametrize("stored", [openai(KEY), account(KEY, OTHER), account(KEY, "env:A", OTHER)])
def test_there_and_back(stored: Document) -> None:
    """What is shown holds no secret, and sent back it is what was stored."""
    shown = masked_body(stored)
    assert KEY not in str(shown)
    assert unmasked_body(shown, stored) == stored.body


def test_items_know_their_names() -> None:
    """Where a list is put in another order."""
    headers = [{"name": name, "headers": {"authorization": key}} for name, key in (("a", KEY), ("b", OTHER))]
    stored = document({"type": "unbuilt", "name": "x", "servers": headers})
    shown = masked_body(stored)
    shown["servers"].reverse()
    assert unmasked_body(shown, stored)["servers"] == headers[::-1]
    del shown["servers"][0]
    assert unmasked_body(shown, stored)["servers"] == headers[:1]


def test_a_secret_that_is_taken_out_of_a_list() -> None:
    """Of two masks one may be either: the wrong one would be revoked."""
    with pytest.raises(UnclearMask):
        unmasked_body(account("***").body, account(KEY, OTHER))
    with pytest.raises(UnclearMask):
        unmasked_body(account("***", "env:NEW").body, account(KEY, OTHER))
    assert unmasked_body(account("env:NEW", "***").body, account(KEY)) == account("env:NEW", KEY).body
    assert unmasked_body(account("env:NEW").body, account(KEY, OTHER)) == account("env:NEW").body


@pytest.mark.parametrize("text", ["***", "Bearer ***", "https://***@x.io/", "https://x.io/?***"])
def test_a_mask_of_nothing(text: str) -> None:
    """It would be stored as if it were the secret."""
    with pytest.raises(UnknownMask):
        unmasked_body(openai(text).body, None)
    with pytest.raises(UnknownMask):
        unmasked_body(openai("env:A", description=text).body, openai("env:A"))


def test_stars_in_a_text() -> None:
    """Are no mask."""
    body = openai("env:A", description="a***b, **bold**").body
    assert unmasked_body(body, None) == body


def test_what_is_typed_goes_to_a_file() -> None:
    """A new one each time; what stood there stays."""
    new = openai(KEY)
    body, (literal,) = without_literals(new, None)
    assert body["auth_data"]["api_key"] == f"file:{literal.file}"
    assert (literal.value, KEY in repr(literal)) == (KEY, False)
    assert without_literals(new, openai(OTHER))[1][0].file != literal.file
    assert without_literals(new, new) == (new.body, [])


def test_a_hostile_name_stays_in_the_folder() -> None:
    """Of a manifest."""
    _, (literal,) = without_literals(account(KEY, name="../../x/" + "a" * 100), None)
    folder, _, name = literal.file.partition("/")
    assert (folder, "/" in name, ".." in name, len(name) < 120) == ("secrets", False, False, True)
