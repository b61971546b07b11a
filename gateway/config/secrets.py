"""Secrets: how a manifest names them, and where their values come from.

A reference is one of `env:NAME`, `file:PATH` (relative to the manifest), `tfy-secret://OWNER:GROUP:KEY`,
or, for the tokens of a virtual account only, `sha256:HEX`; anything else is the secret itself. In a header
the reference may follow a scheme word: `ApiKey env:NAME`. Where a whole document is the secret (a key file
that is JSON), a mapping in the manifest is that document too, and line breaks are taken.

A value is read when it is asked for, never kept here, and never shown: not by `repr`, `str`, formatting or
an error.
"""

from __future__ import annotations

import enum
import hashlib
import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_SCHEME: Final = re.compile(r"(env:|file:|tfy-secret://|sha256:)(.*)", re.DOTALL)
_AFTER_WORD: Final = re.compile(r"([!-~]+ )((?:env:|file:|tfy-secret://).*)", re.DOTALL)
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TFY_PARTS: Final = re.compile(r"([A-Za-z0-9._-]+):([A-Za-z0-9._-]+):([A-Za-z0-9._-]+)")
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
# Control characters would end a header; a lone surrogate (a byte of the environment that is not UTF-8) has
# no bytes.
_UNUSABLE: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_UNUSABLE_IN_LINES: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
# What a script writes whose variable is not set.
_OF_NOTHING: Final = hashlib.sha256(b"").digest()
_MAX_SECRET_BYTES: Final = 64 * 1024
_MASK: Final = "***"


class SecretKind(enum.StrEnum):
    """Where a secret's value is."""

    ENV = "env"
    FILE = "file"
    TFY = "tfy"
    LITERAL = "literal"
    SHA256 = "sha256"


_KINDS: Final = {kind.value: kind for kind in SecretKind}


class SecretMissing(Exception):
    """A reference has no value now. Both texts are safe to show.

    Attributes:
        what: What is missing.
        fix: What to do about it, a sentence without its full stop.
    """

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}. {fix}")
        self.what = what
        self.fix = fix


class SecretReference:
    """One secret as a manifest names it.

    Not a `str`: a subclass would give its text to `json`, `+` and `join`.

    Attributes:
        kind: Where the value is.
        prefix: In a header, the word before the reference with its space (`Bearer `), else "".
        target: What follows the scheme. Of a literal this is the secret: for `SecretSource` only.
        is_document: The value may have several lines.
    """

    __slots__ = ("is_document", "kind", "prefix", "target")

    def __init__(self, text: str) -> None:
        """Read a reference.

        Raises:
            ValueError: It starts like a reference and is not one; the message is safe to show.
        """
        match = _SCHEME.fullmatch(text)
        self.prefix = ""
        self.is_document = False
        if match is None:
            self.kind, self.target = SecretKind.LITERAL, text
            return
        scheme, self.target = match.groups()
        self.kind = _KINDS["tfy" if scheme.startswith("tfy") else scheme[:-1]]
        wrong = _malformed(self.kind, self.target)
        if wrong:
            raise ValueError(wrong)

    @classmethod
    def in_header(cls, text: str) -> SecretReference:
        """Read a header's value, where a reference may follow a scheme word (`Bearer env:NAME`).

        Raises:
            ValueError: As for a plain reference.
        """
        match = _AFTER_WORD.fullmatch(text)
        if match is None:
            return cls(text)
        reference = cls(match[2])
        reference.prefix = match[1]
        return reference

    @classmethod
    def of_document(cls, written: str | Mapping[str, Any]) -> SecretReference:
        """Read what names a document, or is one: its text, or what JSON makes of it.

        Raises:
            ValueError: As for a plain reference.
        """
        reference = cls(written if isinstance(written, str) else json.dumps(written))
        reference.is_document = True
        return reference

    @property
    def is_literal(self) -> bool:
        """Whether the secret itself stands in the manifest."""
        return self.kind is SecretKind.LITERAL

    @property
    def shown(self) -> str:
        """The reference when it only points somewhere, a mask when it is the secret or its hash."""
        if self.kind in (SecretKind.LITERAL, SecretKind.SHA256):
            return _MASK
        scheme = "tfy-secret://" if self.kind is SecretKind.TFY else f"{self.kind.value}:"
        return scheme + self.target

    def __repr__(self) -> str:
        return f"SecretReference({self.kind.value}:{_MASK})"

    def __str__(self) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretReference):
            return NotImplemented
        return (self.kind, self.prefix, self.target) == (other.kind, other.prefix, other.target)

    def __hash__(self) -> int:
        return hash((self.kind, self.prefix, self.target))


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Reads the values of references, anew each time, so that a rotated secret is found.

    Attributes:
        environ: The process environment (`settings.environment()`).
        secrets_dir: `--secrets-dir`, where `tfy-secret://o:g:k` is the file `o/g/k`.
    """

    environ: Mapping[str, str] = field(repr=False)
    secrets_dir: Path | None = None

    def resolve(self, reference: SecretReference, base_dir: Path) -> str:
        """The value. Relative files start at *base_dir*, the folder of the manifest.

        Raises:
            SecretMissing: There is none, or it is not usable as one line of text.
        """
        match reference.kind:
            case SecretKind.LITERAL:
                value = reference.target
            case SecretKind.ENV:
                value = self._from_environment(reference.target)
            case SecretKind.FILE:
                value = _from_file(base_dir / reference.target)
            case SecretKind.TFY:
                value = self._from_secret_store(reference)
            case SecretKind.SHA256:
                raise SecretMissing(
                    "a sha256 hash does not give its token back", "Write env:NAME or file:PATH"
                )
        if not value:
            raise SecretMissing(f"{_where(reference)} is empty", "Give it a value")
        if (_UNUSABLE_IN_LINES if reference.is_document else _UNUSABLE).search(value):
            what = f"{_where(reference)} holds a line break or a character that is not text"
            raise SecretMissing(what, "Store one line of text")
        return reference.prefix + value

    def token_sha256(self, reference: SecretReference, base_dir: Path) -> bytes:
        """The SHA-256 of a token's UTF-8 bytes, whichever way the token is given.

        Raises:
            SecretMissing: As `resolve`.
        """
        if reference.kind is SecretKind.SHA256:
            digest = bytes.fromhex(reference.target)
            if digest == _OF_NOTHING:
                raise SecretMissing("this is the hash of an empty text", "Hash the token itself")
            return digest
        return hashlib.sha256(self.resolve(reference, base_dir).encode()).digest()

    def file_of(self, reference: SecretReference, base_dir: Path) -> Path | None:
        """The file to watch for a new value, whether or not it exists; None when the value is in no file."""
        if reference.kind is SecretKind.FILE:
            return base_dir / reference.target
        if reference.kind is SecretKind.TFY:
            return self._stored_file(reference.target)
        return None

    def _from_environment(self, name: str) -> str:
        if name not in self.environ:
            raise SecretMissing(
                f"environment variable {name} is not set", "Set it and start the gateway again"
            )
        return self.environ[name]

    def _from_secret_store(self, reference: SecretReference) -> str:
        file = self._stored_file(reference.target)
        if file is not None and file.exists():
            return _from_file(file)
        name = "TFY_SECRET__" + "__".join(_env_part(part) for part in reference.target.split(":"))
        if name in self.environ:
            return self.environ[name]
        places = (
            f"environment variable {name}" if file is None else f"file {file} or environment variable {name}"
        )
        raise SecretMissing(f"{reference.shown} has no value", f"Provide {places}")

    def _stored_file(self, target: str) -> Path | None:
        return None if self.secrets_dir is None else self.secrets_dir.joinpath(*target.split(":"))


def _malformed(kind: SecretKind, target: str) -> str:
    """What is wrong with a reference's target, "" when nothing is."""
    if kind is SecretKind.ENV and not _ENV_NAME.fullmatch(target):
        return "'env:' is not followed by the name of an environment variable"
    if kind is SecretKind.FILE and (not target.strip() or "\x00" in target):
        return "'file:' is not followed by a path"
    if kind is SecretKind.SHA256 and not _SHA256.fullmatch(target):
        return "'sha256:' is not followed by 64 hexadecimal digits"
    if kind is SecretKind.TFY:
        parts = _TFY_PARTS.fullmatch(target)
        if parts is None or not {".", ".."}.isdisjoint(parts.groups()):
            return "'tfy-secret://' is not followed by OWNER:GROUP:KEY"
    return ""


def _from_file(file: Path) -> str:
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise SecretMissing(f"{file} is not an ordinary file", "Name a file")
        with file.open("rb") as stream:
            content = stream.read(_MAX_SECRET_BYTES + 1)
        if len(content) > _MAX_SECRET_BYTES:
            raise SecretMissing(
                f"file {file} is larger than {_MAX_SECRET_BYTES // 1024} KiB", "Name another file"
            )
        return content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        what = f"file {file} cannot be read ({(error.strerror or 'error').lower()})"
        raise SecretMissing(what, "Create it, or let the gateway's user read it") from error
    except UnicodeDecodeError:
        # Without `from`: the foreign error carries the bytes.
        raise SecretMissing(f"file {file} is not UTF-8 text", "Store one line of text") from None


def _env_part(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", part).upper()


def _where(reference: SecretReference) -> str:
    return "the literal secret" if reference.is_literal else reference.shown
