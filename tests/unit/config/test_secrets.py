"""References are read strictly, resolved late, and never show what they stand for."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import pytest

from gateway.config import SecretKind, SecretMissing, SecretReference, SecretSource

CANARY = "canary-secret-0001"


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("env:OPENAI_API_KEY", SecretKind.ENV, "env:OPENAI_API_KEY"),
        ("file:tokens/app1", SecretKind.FILE, "file:tokens/app1"),
        ("file:/run/secrets/a b", SecretKind.FILE, "file:/run/secrets/a b"),
        ("tfy-secret://acme:llm:open-ai.key", SecretKind.TFY, "tfy-secret://acme:llm:open-ai.key"),
        ("sha256:" + "aB" * 32, SecretKind.SHA256, "***"),
        (CANARY, SecretKind.LITERAL, "***"),
        ("$OPENAI_API_KEY", SecretKind.LITERAL, "***"),
    ],
)
def test_kinds(text: str, kind: SecretKind, shown: str) -> None:
    """The scheme decides; without one it is the secret itself. Only what points elsewhere is shown."""
    reference = SecretReference(text)
    assert reference.kind is kind
    assert reference.shown == shown
    assert reference.is_literal == (kind is SecretKind.LITERAL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("env:", "'env:' is not followed by the name of an environment variable"),
        ("env:9A", "'env:' is not followed"),
        ("env:A=B", "'env:' is not followed"),
        ("env:A B", "'env:' is not followed"),
        ("file:", "'file:' is not followed by a path"),
        ("file: \n", "'file:' is not followed"),
        ("file:a\0b", "'file:' is not followed"),
        ("sha256:abc", "'sha256:' is not followed by 64 hexadecimal digits"),
        ("sha256:" + "g" * 64, "'sha256:' is not followed"),
        ("tfy-secret://a:b", "'tfy-secret://' is not followed by OWNER:GROUP:KEY"),
        ("tfy-secret://a:b:c:d", "'tfy-secret://' is not followed"),
        ("tfy-secret://a:..:c", "'tfy-secret://' is not followed"),
        ("tfy-secret://a:b:../c", "'tfy-secret://' is not followed"),
        ("tfy-secret://a::c", "'tfy-secret://' is not followed"),
    ],
)
def test_malformed(text: str, message: str) -> None:
    """What starts like a reference must be one; a slip is never taken for a literal secret."""
    with pytest.raises(ValueError, match=message):
        SecretReference(text)


def test_the_text_is_never_shown() -> None:
    """Whatever prints, formats, joins or dumps a reference gives a mask or fails."""
    reference = SecretReference(CANARY)
    shown = [
        repr(reference),
        str(reference),
        f"{reference}",
        f"{reference!r:>40}",
        repr({"key": reference}),
        repr([reference]),
    ]
    assert not any(CANARY in text for text in shown)
    with pytest.raises(TypeError):
        json.dumps(reference)
    with pytest.raises(TypeError):
        "x" + reference  # type: ignore[operator]  # that it fails is the point


def test_equality() -> None:
    """By what is written; copies are equal."""
    assert SecretReference("env:A") == copy.deepcopy(SecretReference("env:A"))
    assert SecretReference("env:A") != SecretReference("file:A")
    assert SecretReference("env:A") != "env:A"
    assert SecretReference.in_header("Bearer env:A") != SecretReference("env:A")
    assert len({SecretReference("env:A"), SecretReference("env:A"), SecretReference("a")}) == 2


def test_a_reference_after_a_word_in_a_header(tmp_path: Path) -> None:
    """`ApiKey env:NAME`: the word stays, the reference is resolved."""
    source = SecretSource({"KEY": "k"})
    assert source.resolve(SecretReference.in_header("ApiKey env:KEY"), tmp_path) == "ApiKey k"
    assert source.resolve(SecretReference.in_header("env:KEY"), tmp_path) == "k"
    assert source.resolve(SecretReference.in_header("ApiKey KEY"), tmp_path) == "ApiKey KEY"
    with pytest.raises(ValueError, match="'env:' is not followed"):
        SecretReference.in_header("ApiKey env:")


def test_resolving(tmp_path: Path) -> None:
    """Each kind from its place; relative files from the manifest's folder, their last line break cut."""
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens/unix").write_text("from-file\n")
    (tmp_path / "tokens/windows").write_bytes(b"from-file\r\n")
    (tmp_path / "store/acme/llm").mkdir(parents=True)
    (tmp_path / "store/acme/llm/key").write_text("from-store")
    source = SecretSource(
        {
            "NAME": "from-env",
            "TFY_SECRET__ACME__LLM__KEY": "from-env-store",
            "TFY_SECRET__A_B__C_D__E": "fallback",
        },
        tmp_path / "store",
    )
    expected = {
        "env:NAME": "from-env",
        "file:tokens/unix": "from-file",
        "file:tokens/windows": "from-file",
        f"file:{tmp_path}/tokens/unix": "from-file",
        "tfy-secret://acme:llm:key": "from-store",
        "tfy-secret://a-b:c.d:e": "fallback",
        CANARY: CANARY,
    }
    assert {text: source.resolve(SecretReference(text), tmp_path) for text in expected} == expected
    without_folder = SecretSource(source.environ)
    assert without_folder.resolve(SecretReference("tfy-secret://acme:llm:key"), tmp_path) == "from-env-store"


def test_a_document(tmp_path: Path) -> None:
    """May have lines, wherever it is; a mapping in the manifest is its own JSON. It is shown no more."""
    content = {"type": "service_account", "private_key": f"-----BEGIN\n{CANARY}\n"}
    text = json.dumps(content, indent=1)
    (tmp_path / "key.json").write_text(text)
    source = SecretSource({"KEY": text})
    for written in ("env:KEY", "file:key.json", text, content):
        reference = SecretReference.of_document(written)
        assert json.loads(source.resolve(reference, tmp_path)) == content
        assert CANARY not in f"{reference} {reference!r} {reference.shown}"
    assert SecretReference.of_document(content).is_literal
    with pytest.raises(SecretMissing, match="line break"):
        source.resolve(SecretReference("file:key.json"), tmp_path)
    with pytest.raises(SecretMissing, match="not text"):
        SecretSource({"KEY": "a\x00b"}).resolve(SecretReference.of_document("env:KEY"), tmp_path)


def test_a_new_value_is_found(tmp_path: Path) -> None:
    """Nothing is kept: a rotated secret is the next answer."""
    file = tmp_path / "t"
    source = SecretSource({})
    for value in ("old", "new"):
        file.write_text(value)
        assert source.resolve(SecretReference("file:t"), tmp_path) == value


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("env:NOT_SET", "environment variable NOT_SET is not set", "Set it"),
        ("env:EMPTY", "env:EMPTY is empty", "Give it a value"),
        ("env:TWO_LINES", "env:TWO_LINES holds a line break", "Store one line"),
        ("env:NOT_TEXT", "env:NOT_TEXT holds a line break or a character that is not text", "Store one line"),
        ("file:nowhere", "nowhere cannot be read (no such file or directory)", "Create it"),
        ("file:folder", "folder is not an ordinary file", "Name a file"),
        ("file:large", "large is larger than 64 KiB", "Name another"),
        ("file:binary", "binary is not UTF-8 text", "Store one line"),
        ("file:two", "file:two holds a line break", "Store one line"),
        ("tfy-secret://o:g:k", "tfy-secret://o:g:k has no value", "environment variable TFY_SECRET__O__G__K"),
        ("tfy-secret://o:g:folder", "folder is not an ordinary file", "Name a file"),
        ("sha256:" + "0" * 64, "a sha256 hash does not give its token back", "Write env:NAME"),
    ],
)
def test_what_has_no_value(tmp_path: Path, text: str, what: str, fix: str) -> None:
    """Each says what is missing and what to do, without the value."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "store/o/g/folder").mkdir(parents=True)
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    (tmp_path / "binary").write_bytes(CANARY.encode() + b"\xff")
    (tmp_path / "two").write_text(f"{CANARY}\n\n")
    environ = {"EMPTY": "", "TWO_LINES": f"{CANARY}\n", "NOT_TEXT": CANARY + "\udcff"}
    source = SecretSource(environ, tmp_path / "store")
    with pytest.raises(SecretMissing) as caught:
        source.resolve(SecretReference(text), tmp_path)
    assert what in caught.value.what
    assert caught.value.fix.startswith((fix, f"Provide file {tmp_path}/store"))
    assert fix in caught.value.fix
    assert CANARY not in str(caught.value)
    assert str(caught.value) == f"{caught.value.what}. {caught.value.fix}"


def test_the_source_shows_no_value() -> None:
    """Its `repr` leaves the environment out."""
    assert CANARY not in repr(SecretSource({"A": CANARY}))


def test_hashes_of_tokens(tmp_path: Path) -> None:
    """A token and its `sha256:` form are the same to whoever compares."""
    digest = hashlib.sha256(b"token").digest()
    source = SecretSource({"T": "token"})
    for text in ("token", "env:T", f"sha256:{digest.hex()}", f"sha256:{digest.hex().upper()}"):
        assert source.token_sha256(SecretReference(text), tmp_path) == digest
    with pytest.raises(SecretMissing):
        source.token_sha256(SecretReference("env:NOT_SET"), tmp_path)
    # `sha256sum` of a variable that is not set.
    with pytest.raises(SecretMissing, match="empty"):
        source.token_sha256(SecretReference(f"sha256:{hashlib.sha256(b'').hexdigest()}"), tmp_path)


def test_files_to_watch(tmp_path: Path) -> None:
    """Where a value is, or would be, in a file."""
    source = SecretSource({}, tmp_path / "store")
    assert source.file_of(SecretReference("file:a"), tmp_path) == tmp_path / "a"
    assert source.file_of(SecretReference("tfy-secret://o:g:k"), tmp_path) == tmp_path / "store/o/g/k"
    assert SecretSource({}).file_of(SecretReference("tfy-secret://o:g:k"), tmp_path) is None
    assert source.file_of(SecretReference("env:A"), tmp_path) is None
    assert source.file_of(SecretReference("literal"), tmp_path) is None
