"""The `gateway-otel-config` manifests on disk, read for the settings page and written back to their files.

What is written is what an operator might have written: the manifest in the file it came from, or in
`gateway-otel-config.yaml`, everything else in that file untouched, secrets in files of their own that the
manifest refers to. The watcher of the configuration then puts it in force as it does every change.
"""

from __future__ import annotations

import hashlib
import os
import secrets as randomness
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from gateway.config import Checked, Document, Problem, SecretSource, Severity, loader
from gateway.config.check import check_documents
from gateway.config.document import UNNAMED
from gateway.config.document_text import NotReplaceable, append_document, replace_document
from gateway.config.masking import LiteralSecret, UnknownMask, masked, unmasked, without_literals

TYPE: Final = "gateway-otel-config"
_TRACES: Final = "otel_traces_exporter_config"
_NEW_FILE: Final = "gateway-otel-config.yaml"
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


class NoSuchManifest(LookupError):
    """No manifest of this name is on disk."""


class ChangedMeanwhile(Exception):
    """The manifest is not the one that was read."""


class NotWritable(Exception):
    """The file or its folder cannot be written; the message says why."""


class Invalid(Exception):
    """The manifest, or the configuration with it, has errors.

    Attributes:
        problems: All of them.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(
            f"the manifest has {len(problems)} errors" if len(problems) != 1 else str(problems[0].message)
        )
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Shown:
    """A manifest as it is now.

    Attributes:
        body: Its fields, secrets masked.
        tag: Of this state of it; another state has another tag.
        file: Where it stands, None when it is not written yet.
    """

    body: Mapping[str, Any]
    tag: str
    file: Path | None


@dataclass(frozen=True, slots=True)
class Saved:
    """What came of a change.

    Attributes:
        shown: The manifest as it is now.
        version: Of the configuration that will be in force with it.
        warnings: About this manifest.
    """

    shown: Shown
    version: str
    warnings: tuple[Problem, ...]


class OtelManifests:
    """The manifests of one configuration. Each method reads the disk; call them in a thread.

    Args:
        path: The configuration, a folder or one file.
        strict: As the gateway runs.
        secrets: Where references get their values.
        find_waiting: How many spans wait for the destination of a name.
    """

    def __init__(
        self,
        path: Path,
        *,
        strict: bool,
        secrets: SecretSource,
        find_waiting: Callable[[str], int] = lambda _: 0,
    ) -> None:
        self._path = path
        self._strict = strict
        self._secrets = secrets
        self._find_waiting = find_waiting
        self._lock = threading.Lock()
        # A tag is a hash of text that may hold a secret: keyed, so that the secret cannot be guessed from it.
        self._key = randomness.token_bytes(32)

    def read(self, name: str | None) -> Shown:
        """The manifest *name*; without a name the first, or an empty one when there is none.

        Raises:
            NoSuchManifest: There is none of this name.
        """
        return self._shown(name, self._find(self._documents(), name))

    def write(self, name: str | None, body: Mapping[str, Any], expected_tag: str | None) -> Saved:
        """Put *body* in the place of the manifest *name*, or of the one that it names, or as a new one.

        Args:
            name: None: the one that *body* names.
            body: A whole manifest; masks stand for what is stored.
            expected_tag: Of what *body* is a change of; None: whatever is there.

        Raises:
            NoSuchManifest: There is none of this name.
            ChangedMeanwhile: The tag is another.
            Invalid: It has errors; nothing was written.
            NotWritable: The disk does not take it.
        """
        with self._lock:
            loaded = loader.load(self._path)
            own = [document for document in loaded.documents if document.type == TYPE]
            own_name = str(body.get("name") or UNNAMED)
            stored = self._find(own, name) if name is not None else _named(own, own_name)
            if expected_tag is not None and expected_tag != self._tag(stored):
                raise ChangedMeanwhile("the manifest was changed meanwhile; load it again")
            file = stored.file if stored is not None else self._new_file()
            document = _with_body(stored, self._full(body, stored, file), file)
            others = [other for other in loaded.documents if other is not stored]
            unreadable = [problem for problem in loaded.problems if problem.severity is Severity.ERROR]
            _check_place(document, others)
            self._check([*others, document], unreadable)
            lost = tuple(self._check_waiting(stored, document))
            body, literals = without_literals(document.body, document.name)
            self._keep(file, literals, stored, body)
            checked = self._check([*others, replace(document, body=body)], unreadable)
            warnings = tuple(problem for problem in checked.problems if _is_about(problem, document))
            now = self._find(self._documents(), document.name)
            version = checked.config.version if checked.config is not None else ""
            return Saved(self._shown(document.name, now), version, warnings + lost)

    def _documents(self) -> list[Document]:
        return [document for document in loader.load(self._path).documents if document.type == TYPE]

    def _find(self, documents: Sequence[Document], name: str | None) -> Document | None:
        if name is None:
            return min(documents, key=lambda document: document.name, default=None)
        found = _named(documents, name)
        if found is None:
            raise NoSuchManifest(f"there is no {TYPE} '{name}'")
        return found

    def _shown(self, name: str | None, document: Document | None) -> Shown:
        if document is None:
            return Shown({"type": TYPE, "name": name or UNNAMED}, self._tag(None), None)
        return Shown(masked(document.body), self._tag(document), document.file)

    def _tag(self, document: Document | None) -> str:
        text = "" if document is None else repr((str(document.file), document.body))
        return hashlib.blake2b(text.encode(errors="replace"), key=self._key, digest_size=12).hexdigest()

    def _new_file(self) -> Path:
        return self._path / _NEW_FILE if self._path.is_dir() else self._path

    def _full(self, body: Mapping[str, Any], stored: Document | None, file: Path) -> dict[str, Any]:
        try:
            return unmasked(body, stored.body if stored is not None else {})
        except UnknownMask as error:
            path = str(error)
            problem = Problem(
                file, 1, path, Severity.ERROR, "the mask stands for no stored value", "Write the value"
            )
            raise Invalid([problem]) from error

    def _check(self, documents: Sequence[Document], unreadable: Sequence[Problem]) -> Checked:
        checked = check_documents(documents, strict=self._strict, secrets=self._secrets)
        problems = [*unreadable, *checked.errors]
        if problems:
            raise Invalid(problems)
        return checked

    def _check_waiting(self, stored: Document | None, document: Document) -> Iterator[Problem]:
        """What is lost with a destination of traces that the change ends."""
        if stored is None or not stored.body.get(_TRACES):
            return
        is_kept = document.name == stored.name and document.body.get(_TRACES)
        waiting = 0 if is_kept else self._find_waiting(stored.name)
        if waiting:
            path = (_TRACES,) if document.name == stored.name else ("name",)
            message = f"'{stored.name}' ends, and {waiting} spans that wait for it will not be sent"
            yield document.warning(
                path,
                message,
                "The local store keeps them; see that nothing waits before a destination is renamed or ended",
            )

    def _keep(
        self, file: Path, literals: Sequence[LiteralSecret], stored: Document | None, body: Mapping[str, Any]
    ) -> None:
        """Write the secrets, then the manifest that refers to them."""
        try:
            before = file.read_bytes() if file.exists() else b""
            text = _changed(before.decode("utf-8-sig"), file, stored, body)
            for literal in literals:
                _write(file.parent / literal.file, literal.value.encode() + b"\n", _FILE_MODE)
            if file.exists() and file.read_bytes() != before:
                raise ChangedMeanwhile("the file was changed meanwhile; load the manifest again")
            _write(file, text.encode(), None)
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise NotWritable(
                f"{error.filename or file} cannot be written ({reason}); where the configuration is "
                "read-only, such as a ConfigMap, change it at its source"
            ) from error
        except (NotReplaceable, UnicodeDecodeError) as error:
            raise ChangedMeanwhile("the file was changed meanwhile; load the manifest again") from error


def _named(documents: Sequence[Document], name: str) -> Document | None:
    return next((document for document in documents if document.name == name), None)


def _with_body(stored: Document | None, body: dict[str, Any], file: Path) -> Document:
    name = body.get("name")
    line = stored.line if stored is not None else 1
    return Document(str(body.get("type") or ""), UNNAMED if name is None else str(name), body, file, line)


def _check_place(document: Document, others: Sequence[Document]) -> None:
    """Refuse another type, and a name that another manifest has.

    Raises:
        Invalid: It is so.
    """
    if document.type != TYPE:
        raise Invalid([document.error(("type",), f"the type here is {TYPE}", f"Write type: {TYPE}")])
    if any((other.type, other.name) == (document.type, document.name) for other in others):
        message = f"{TYPE} '{document.name}' is there already"
        raise Invalid([document.error(("name",), message, "Give this one another name")])


def _is_about(problem: Problem, document: Document) -> bool:
    return problem.file == document.file and problem.line == document.line


def _changed(text: str, file: Path, stored: Document | None, body: Mapping[str, Any]) -> str:
    return append_document(text, file, body) if stored is None else replace_document(text, stored, body)


def _write(file: Path, content: bytes, mode: int | None) -> None:
    """Replace *file* whole, a link's target in its own place; *mode* None keeps that of the old file."""
    target = file.resolve()
    if not target.parent.is_dir():
        target.parent.mkdir(mode=_FOLDER_MODE)
    if mode is None:
        mode = target.stat().st_mode & 0o777 if target.exists() else _FILE_MODE
    # With a leading dot and another suffix, so that the loader does not take it for a manifest.
    beside = target.with_name(f".{target.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        beside.replace(target)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
