"""Writing the configuration: one manifest created, replaced, changed or removed in the files it is made of.

Everything that writes manifests (the control API, its pages, commands) comes through here, so that what it
leaves is what an operator might have written: the manifest in the file it came from, or in one named for its
type; every other byte of that file as it was; new secrets in files of their own that the manifest refers to.
The watcher of the configuration then puts it in force, as it does every change.

A change is made whole or not at all: the configuration is checked with it first, one process writes at a
time, and who changes what has changed meanwhile is told so.
"""

from __future__ import annotations

import hashlib
import os
import secrets as randomness
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from gateway.config import loader
from gateway.config.changes import differences
from gateway.config.check import check_documents
from gateway.config.config import Config
from gateway.config.document import UNNAMED, Document
from gateway.config.document_text import (
    NotChangeable,
    NotReplaceable,
    append_document,
    append_text,
    is_json_file,
    own_text,
    remove_document,
    replace_document,
    replace_text,
)
from gateway.config.loaded_once import LoadedOnce
from gateway.config.masking import LiteralSecret, UnknownMask
from gateway.config.plain_data import PlainDocument, UnreadableText
from gateway.config.problem import Problem, Severity, dotted
from gateway.config.secret_checks import LITERAL
from gateway.config.secrets import SecretSource
from gateway.config.stored_secrets import UnclearMask, masked_body, unmasked_body, without_literals
from gateway.config.whole_file import FILE_MODE, FolderBusy, only_writer, remove_whole, write_whole
from gateway.config.yaml_edit import is_same, to_yaml
from gateway.config.yaml_text import read_yaml

_AS_YAML: Final = Path("manifest.yaml")
_ASIDE: Final = "(this manifest)"
_SHORTEST_SECRET: Final = 6
"""What is shorter may be any word of a comment."""


class NoSuchManifest(LookupError):
    """No manifest of this type and name is on disk."""


class ChangedMeanwhile(Exception):
    """The manifest is not the one that was read.

    Attributes:
        now: What it is now; None where it is no more, or where that is not known.
    """

    def __init__(self, message: str, now: Shown | None = None) -> None:
        super().__init__(message)
        self.now = now


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
        line: From 1.
    """

    type: str
    name: str
    body: Mapping[str, Any]
    tag: str
    file: Path | None
    line: int = 1


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


@dataclass(frozen=True, slots=True)
class Judged:
    """What a check of a manifest that is not saved has found.

    Attributes:
        own: About the manifest; lines are those of the text.
        others: About the rest of the configuration with it.
    """

    own: tuple[Problem, ...]
    others: tuple[Problem, ...]


Content = Mapping[str, Any] | str
"""A manifest: its fields, or its text in YAML with comments."""


@dataclass(slots=True)
class _Change:
    """What becomes of one manifest.

    Attributes:
        kind: Of what type it has to be.
        stored: What is there.
        document: What is to be there, with its secrets.
        text: The same as YAML, when it came as text.
    """

    kind: str
    stored: Document | None
    document: Document | None
    text: str | None = None
    literals: list[LiteralSecret] = field(default_factory=list)


class Sent(Protocol):
    """Where the files come from that are not an operator's: see `gateway.control.config_sets`."""

    def problems(self, documents: Sequence[Document]) -> Iterable[Problem]:
        """Why *documents* may not be sent there."""

    def here(self) -> object:
        """Which files are here, None before the first."""

    def change(self, texts: Mapping[Path, str | None], *, of: object, version: str, manifests: int) -> None:
        """Change those *of* which the texts are, there and here; raises `ChangedMeanwhile`, `NotWritable`."""


class ManifestFiles:
    """The manifests of one configuration. Each method looks at the disk; call them in a thread.

    Args:
        path: The configuration, a folder or one file.
        strict: As the gateway runs.
        secrets: Where references get their values.
        sent: Who is given changes instead of the disk; None: they are written here.
        tag_key: Of tags: with another one, tags that were given before mean nothing. None: one of its own.
    """

    def __init__(
        self,
        path: Path,
        *,
        strict: bool,
        secrets: SecretSource,
        sent: Sent | None = None,
        tag_key: bytes | None = None,
    ) -> None:
        self._path = path
        # For questions; what is written is made of what is read from the disk then.
        self._read = LoadedOnce(path)
        self._sent = sent
        self._strict = strict
        self._secrets = secrets
        # A tag is a hash of text that may hold a secret: keyed, so that the secret cannot be guessed from it.
        self._key = tag_key or randomness.token_bytes(32)

    def documents(self) -> Sequence[Document]:
        """The manifests with their secrets, for programs, in the order of the files; not to be changed."""
        return self._read.load().documents

    def let_go_unused(self) -> None:
        """Let go of what was read for questions, if none has come for some minutes; looks at no disk."""
        self._read.let_go_unused()

    def all(self, kind: str | None = None, name: str | None = None) -> list[Shown]:
        """The manifests, by type and name; of one type or name only, where it is given."""
        found = [
            self._shown(document)
            for document in self.documents()
            if kind in (None, document.type) and name in (None, document.name)
        ]
        return sorted(found, key=lambda shown: (shown.type, shown.name))

    def find(self, kind: str, name: str) -> Shown:
        """The manifest of this type and name.

        Raises:
            NoSuchManifest: There is none.
        """
        return self._shown(_find(self.documents(), kind, name))

    def empty(self, kind: str, name: str) -> Shown:
        """A manifest that is not there yet, with the tag of that state."""
        return Shown(kind, name, {"type": kind, "name": name}, self.tag(None), None)

    def text(self, kind: str, name: str) -> str:
        """The manifest as YAML with its comments, secrets masked.

        Raises:
            NoSuchManifest: There is none.
        """
        document = _find(self.documents(), kind, name)
        return self._masked_text(document)

    def put(
        self,
        kind: str,
        name: str,
        content: Content,
        expected_tag: str | None = None,
        *,
        must_exist: bool = False,
    ) -> Saved:
        """Put *content* in the place of the manifest of this type and name, or as a new one.

        Args:
            kind: Its type.
            name: What it is called now; *content* may give it another name.
            content: A whole manifest; masks stand for what is stored.
            expected_tag: Of what *content* is a change of; None: whatever is there.
            must_exist: Do not make a new one.

        Raises:
            NoSuchManifest: It must exist and does not.
            ChangedMeanwhile: The tag is another.
            Invalid: It has errors; nothing was written.
            NotWritable: The disk does not take it.
        """

        def changed(stored: Document | None) -> _Change:
            return self._change_to(stored, kind, content)

        return self._write_one(kind, name, changed, expected_tag, must_exist=must_exist)

    def change(
        self,
        kind: str,
        name: str,
        edit: Callable[[dict[str, Any]], Mapping[str, Any]],
        expected_tag: str | None = None,
    ) -> Saved:
        """Let *edit* make of the fields of a manifest, secrets among them, what they are to be.

        For programs, which need no masks: between the reading and the writing nobody else writes.

        Raises:
            NoSuchManifest, ChangedMeanwhile, Invalid, NotWritable: As `put`.
        """

        def changed(stored: Document | None) -> _Change:
            assert stored is not None, "it must exist"  # noqa: S101 - says it to the type checker
            return _Change(kind, stored, _document(kind, edit(dict(stored.body)), stored.file, stored.line))

        return self._write_one(kind, name, changed, expected_tag, must_exist=True)

    def remove(self, kind: str, name: str, expected_tag: str | None = None) -> str:
        """Take the manifest out of its file; a file that holds nothing else goes with it.

        Returns:
            The version of the configuration that will be in force without it.

        Raises:
            NoSuchManifest, ChangedMeanwhile, Invalid, NotWritable: As `put`.
        """
        with self._writing() as of:
            loaded = loader.load(self._path)
            stored = _find(loaded.documents, kind, name)
            self._check_tag(expected_tag, stored)
            return self._apply(loaded, [_Change(stored.type, stored, None)], of).config_version

    def judge(self, kind: str, name: str | None, content: Content) -> Judged:
        """What `put` would say, without writing.

        Args:
            kind: Its type.
            name: Of the stored manifest that *content* is a change of; None: it is a new one.
            content: A whole manifest.
        """
        loaded = self._read.load()
        stored = None if name is None else _named(loaded.documents, kind, name)
        try:
            change = self._change_to(stored, kind, content)
        except Invalid as error:
            return Judged(error.problems, ())
        document = change.document
        assert document is not None, "it is a change to something"  # noqa: S101 - says it to the type checker
        others = [other for other in loaded.documents if other is not stored]
        misplaced = tuple(_misplaced(document, kind, others))
        if misplaced:
            return Judged(misplaced, ())
        documents = [*others, _aside(document)]
        checked = check_documents(documents, strict=self._strict, secrets=self._secrets)
        own, rest = _told_apart([*checked.problems, *self._not_to_be_sent(documents)], document)
        if self._sent is None:
            body, _ = without_literals(document, stored)
            moved = {dotted(path) for path in differences(document.body, body)}
            own = tuple(one for one in own if one.message != LITERAL or one.path not in moved)
        return Judged(own, (*loaded.problems, *rest))

    def draft(self, kind: str, name: str | None, content: Content) -> tuple[Config, str]:
        """The configuration as it would be with *content*, for something to be tried; nothing is written.

        What has no secret is no error here: who tries it is told so in its place.

        Args:
            kind: Its type.
            name: As for `judge`.
            content: A whole manifest; masks stand for what is stored.

        Returns:
            The configuration, and what the manifest is called in it.

        Raises:
            Invalid: It has errors.
        """
        loaded = self._read.load()
        stored = None if name is None else _named(loaded.documents, kind, name)
        document = self._change_to(stored, kind, content).document
        assert document is not None, "it is a change to something"  # noqa: S101 - says it to the type checker
        others = [other for other in loaded.documents if other is not stored]
        _refuse_misplaced(document, kind, others)
        checked = check_documents([*others, _aside(document)], strict=False, secrets=self._secrets)
        unreadable = [problem for problem in loaded.problems if problem.severity is Severity.ERROR]
        if checked.config is None or unreadable:
            own, rest = _told_apart(checked.errors, document)
            raise Invalid([*unreadable, *own, *rest])
        return checked.config, document.name

    def restore(self, documents: Sequence[Document]) -> tuple[str, list[tuple[str, str]]]:
        """Make the files say what *documents*, an earlier configuration, say.

        Each manifest is changed, added or removed in the file in which it stands, or stood.

        Returns:
            The version of the configuration that will be in force, and type and name of what was changed.

        Raises:
            Invalid, NotWritable, ChangedMeanwhile: As `put`.
        """
        with self._writing() as of:
            loaded = loader.load(self._path)
            wanted = {(document.type, document.name): document for document in documents}
            changes = []
            for stored in loaded.documents:
                before = wanted.pop((stored.type, stored.name), None)
                if before is None:
                    changes.append(_Change(stored.type, stored, None))
                elif not is_same(before.body, stored.body):
                    placed = replace(before, file=stored.file, line=stored.line)
                    changes.append(_Change(stored.type, stored, placed))
            changes += [
                _Change(document.type, None, replace(document, file=self._file_again(document)))
                for document in wanted.values()
            ]
            names = [_name_of(change) for change in changes]
            return self._apply(loaded, changes, of, keep_literals=True).config_version, sorted(names)

    def tag(self, document: Document | None) -> str:
        """Of this state of a manifest, comments too, for they are somebody's work; None: there is none."""
        text = "" if document is None else repr((str(document.file), document.body, document.text))
        return hashlib.blake2b(text.encode(errors="replace"), key=self._key, digest_size=12).hexdigest()

    def why_not_writable(self) -> str | None:
        """Why nothing can be written here, as far as that can be said without writing; None: it can."""
        folder = self._folder()
        if not os.access(folder, os.W_OK):
            return f"{folder} is read-only for the gateway; change the configuration at its source"
        if not self._path.is_dir():
            return _why_projected(self._path)
        return None

    def _folder(self) -> Path:
        return self._path if self._path.is_dir() else self._path.parent

    @contextmanager
    def _writing(self) -> Iterator[object]:
        """What a change is made of: which files are here, where they come from elsewhere."""
        try:
            with only_writer(self._folder()):
                # Before they are read, so that others that come meanwhile are others.
                yield None if self._sent is None else self._sent.here()
        except FolderBusy as error:
            raise NotWritable(f"{error.strerror}; try again") from error
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise NotWritable(
                f"{error.filename or self._path} cannot be written ({reason}); where the configuration is "
                "read-only, such as a ConfigMap, change it at its source"
            ) from error
        except NotChangeable as error:
            raise NotWritable(f"the file of the manifest: {error}; change the file itself") from error
        except (NotReplaceable, UnicodeDecodeError) as error:
            raise ChangedMeanwhile("the file was changed meanwhile; load the manifest again") from error

    def _write_one(
        self,
        kind: str,
        name: str,
        changed: Callable[[Document | None], _Change],
        expected_tag: str | None,
        *,
        must_exist: bool,
    ) -> Saved:
        with self._writing() as of:
            loaded = loader.load(self._path)
            stored = _named(loaded.documents, kind, name)
            if stored is None and must_exist:
                raise NoSuchManifest(f"there is no {kind} '{name}'")
            self._check_tag(expected_tag, stored)
            change = changed(stored)
            applied = self._apply(loaded, [change], of)
            own = _name_of(change)
            now = _named(loader.load(self._path).documents, *own)
            shown = self.empty(*own) if now is None else self._shown(now)
            return Saved(shown, applied.config_version, applied.warnings)

    def _change_to(self, stored: Document | None, kind: str, content: Content) -> _Change:
        """The change that *content* is.

        Raises:
            Invalid: It cannot be read, or a mask in it stands for nothing.
        """
        file = stored.file if stored is not None else self._new_file(kind)
        line = stored.line if stored is not None else 1
        if not isinstance(content, str):
            body = _full({"type": kind, **content}, stored, file)
            return _Change(kind, stored, _document(kind, body, file, line))
        plain = _read_text(content, file)
        body = _full({"type": kind, **plain.value}, stored, file)
        document = replace(_document(kind, body, file, plain.line), lines=plain.lines)
        written = replace(document, body=plain.value, file=_AS_YAML)
        return _Change(kind, stored, document, replace_document(content, written, body))

    def _apply(
        self, loaded: loader.Loaded, changes: Sequence[_Change], of: object, *, keep_literals: bool = False
    ) -> _Applied:
        """Check the configuration with *changes*, then write them."""
        gone = {id(change.stored) for change in changes if change.stored is not None}
        others = [document for document in loaded.documents if id(document) not in gone]
        for change in changes:
            if change.document is not None:
                _refuse_misplaced(change.document, change.kind, others)
        unreadable = [problem for problem in loaded.problems if problem.severity is Severity.ERROR]
        applied = self._check(others, changes, unreadable)
        if self._sent is not None:
            count = len(others) + sum(change.document is not None for change in changes)
            texts = self._new_texts(changes)[1]
            self._sent.change(
                {file: text if text.strip() else None for file, text in texts.items()},
                of=of,
                version=applied.config_version,
                manifests=count,
            )
            return applied
        if not keep_literals:
            for change in changes:
                _take_literals(change)
        self._write(changes)
        return self._check(others, changes, unreadable)

    def _check(
        self, others: Sequence[Document], changes: Sequence[_Change], unreadable: Sequence[Problem]
    ) -> _Applied:
        """Check what there is after *changes*.

        Raises:
            Invalid: It has errors.
        """
        fresh = [change.document for change in changes if change.document is not None]
        only = fresh[0] if len(changes) == 1 and fresh else None
        documents = [*others, *fresh] if only is None else [*others, _aside(only)]
        checked = check_documents(documents, strict=self._strict, secrets=self._secrets)
        own, rest = _told_apart([*checked.problems, *self._not_to_be_sent(documents)], only)
        errors = [problem for problem in (*own, *rest) if problem.severity is Severity.ERROR]
        if unreadable or errors:
            raise Invalid([*unreadable, *errors])
        return _Applied(checked.config.version if checked.config is not None else "", own)

    def _not_to_be_sent(self, documents: Sequence[Document]) -> Iterable[Problem]:
        return () if self._sent is None else self._sent.problems(documents)

    def _new_texts(self, changes: Sequence[_Change]) -> tuple[dict[Path, bytes], dict[Path, str]]:
        """What the files of *changes* have, and what they are to have."""
        before: dict[Path, bytes] = {}
        texts: dict[Path, str] = {}
        # From the last line to the first, so that a change does not move what the next one looks for.
        for change in sorted(changes, key=_line_of, reverse=True):
            file = _file_of(change)
            if file not in texts:
                _refuse_projected(file)
                before[file] = file.read_bytes() if file.exists() else b""
                texts[file] = before[file].decode("utf-8-sig")
            texts[file] = _changed(texts[file], file, change)
        return before, texts

    def _write(self, changes: Sequence[_Change]) -> None:
        """Write the secrets, then the files whose manifests refer to them."""
        before, texts = self._new_texts(changes)
        for change in changes:
            for literal in change.literals:
                write_whole(_file_of(change).parent / literal.file, literal.value.encode() + b"\n", FILE_MODE)
        for file, content in before.items():
            if (file.read_bytes() if file.exists() else b"") != content:
                raise ChangedMeanwhile("the file was changed meanwhile; load the manifest again")
        for file, text in texts.items():
            if text.strip() or not file.exists():
                write_whole(file, text.encode())
            else:
                remove_whole(file)

    def _check_tag(self, expected: str | None, stored: Document | None) -> None:
        if expected is not None and expected != self.tag(stored):
            now = None if stored is None else self._shown(stored)
            raise ChangedMeanwhile("the manifest was changed meanwhile; load it again", now)

    def _shown(self, document: Document) -> Shown:
        return Shown(
            document.type,
            document.name,
            masked_body(document),
            self.tag(document),
            document.file,
            document.line,
        )

    def _masked_text(self, document: Document) -> str:
        body = masked_body(document)
        try:
            text = _own_text(document)
            plain = next(read_yaml(text))
            shown = replace_document(text, replace(document, file=_AS_YAML, line=plain.line), body)
        except (OSError, UnicodeDecodeError, NotChangeable, NotReplaceable, UnreadableText):
            return to_yaml(body)
        # A secret may stand in a comment too: the line of a key that was tried.
        hidden = (value for value in _hidden(document.body, body) if len(value) >= _SHORTEST_SECRET)
        return to_yaml(body) if any(value in shown for value in hidden) else shown

    def _new_file(self, kind: str) -> Path:
        return self._path / f"{kind.replace('/', '-')}.yaml" if self._path.is_dir() else self._path

    def _file_again(self, document: Document) -> Path:
        """Where a manifest that was removed stood, if that is in the configuration still."""
        root = self._folder().absolute()
        file = document.file.absolute()
        inside = self._path.is_dir() and file.is_relative_to(root) and file.parent.is_dir()
        return self._path / file.relative_to(root) if inside else self._new_file(document.type)


@dataclass(frozen=True, slots=True)
class _Applied:
    """What was written.

    Attributes:
        warnings: About the one manifest that was changed.
    """

    config_version: str
    warnings: tuple[Problem, ...]


def _find(documents: Sequence[Document], kind: str, name: str) -> Document:
    found = _named(documents, kind, name)
    if found is None:
        raise NoSuchManifest(f"there is no {kind} '{name}'")
    return found


def _named(documents: Sequence[Document], kind: str, name: str) -> Document | None:
    return next((one for one in documents if (one.type, one.name) == (kind, name)), None)


def _name_of(change: _Change) -> tuple[str, str]:
    document = change.document or change.stored
    assert document is not None, "one of them is there"  # noqa: S101 - says it to the type checker
    return document.type, document.name


def _file_of(change: _Change) -> Path:
    document = change.stored or change.document
    assert document is not None, "one of them is there"  # noqa: S101 - says it to the type checker
    return document.file


def _line_of(change: _Change) -> int:
    return change.stored.line if change.stored is not None else 0


def _document(kind: str, body: Mapping[str, Any], file: Path, line: int) -> Document:
    name = body.get("name")
    return Document(str(body.get("type") or kind), UNNAMED if name is None else str(name), body, file, line)


def _full(body: Mapping[str, Any], stored: Document | None, file: Path) -> dict[str, Any]:
    try:
        return unmasked_body(body, stored)
    except UnknownMask as error:
        message, fix = "the mask stands for no stored value", "Write the value"
        if isinstance(error, UnclearMask):
            message = "it is not clear which of several stored values the mask stands for"
            fix = "Write references (env:NAME, file:PATH) in the place of the masks, or keep all of them"
        raise Invalid([Problem(file, 1, str(error), Severity.ERROR, message, fix)]) from error


def _read_text(text: str, file: Path) -> PlainDocument:
    """The one manifest of *text*.

    Raises:
        Invalid: It is not one.
    """
    try:
        plains = list(read_yaml(text))
    except UnreadableText as error:
        path = dotted(error.path) or "(syntax)"
        raise Invalid([Problem(file, error.line, path, Severity.ERROR, str(error), error.fix)]) from error
    if len(plains) != 1:
        line, fix = plains[1].line if plains else 1, "Write one manifest; others have a place of their own"
        found = f"{len(plains)} documents" if plains else "nothing"
        raise Invalid(
            [Problem(file, line, "(file)", Severity.ERROR, f"expected one manifest, found {found}", fix)]
        )
    plain = plains[0]
    if not isinstance(plain.value, dict):
        message = "a manifest is a mapping of fields, this is not one"
        fix = "Start it with 'type: ...' and 'name: ...'"
        raise Invalid([Problem(file, plain.line, "(file)", Severity.ERROR, message, fix)])
    if (answer := loader.problem_of_answer(file, plain)) is not None:
        raise Invalid([answer])
    return plain


def _misplaced(document: Document, kind: str, others: Sequence[Document]) -> Iterator[Problem]:
    """Another type, and a name that another manifest has."""
    if document.type != kind:
        yield document.error(("type",), f"the type here is {kind}", f"Write type: {kind}")
    if any((other.type, other.name) == (document.type, document.name) for other in others):
        message = f"{document.type} '{document.name}' is there already"
        yield document.error(("name",), message, "Give this one another name")


def _refuse_misplaced(document: Document, kind: str, others: Sequence[Document]) -> None:
    misplaced = list(_misplaced(document, kind, others))
    if misplaced:
        raise Invalid(misplaced)


def _aside(document: Document) -> Document:
    """*document* as if in a file of its own beside, so that what is found in it is known by the file."""
    return replace(document, file=document.file.with_name(_ASIDE))


def _told_apart(
    problems: Sequence[Problem], document: Document | None
) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """Of *problems* those of *document*, which was checked aside, and the others."""
    if document is None:
        return (), tuple(problems)
    aside = document.file.with_name(_ASIDE)
    own = tuple(replace(problem, file=document.file) for problem in problems if problem.file == aside)
    return own, tuple(problem for problem in problems if problem.file != aside)


def _take_literals(change: _Change) -> None:
    """Replace the secrets that were typed by references to files that will hold them."""
    document = change.document
    if document is None:
        return
    body, change.literals = without_literals(document, change.stored)
    if change.literals and change.text is not None:
        change.text = replace_document(change.text, replace(document, file=_AS_YAML), body)
    change.document = replace(document, body=body)


def _changed(text: str, file: Path, change: _Change) -> str:
    stored, document = change.stored, change.document
    if document is None:
        assert stored is not None, "one of them is there"  # noqa: S101 - says it to the type checker
        return remove_document(text, stored)
    if change.text is not None and not is_json_file(file):
        return (
            append_text(text, file, change.text)
            if stored is None
            else replace_text(text, stored, change.text)
        )
    if stored is None:
        return append_document(text, file, document.body)
    return replace_document(text, stored, document.body)


def _own_text(document: Document) -> str:
    """Its lines, as `own_text` finds them: in its own part where that is known; a file may have thousands."""
    if not document.text:
        return own_text(document.file.read_text("utf-8-sig"), document)
    return own_text(document.text, replace(document, line=next(read_yaml(document.text)).line))


def _hidden(body: Any, shown: Any) -> Iterator[str]:
    """The texts of *body* that *shown* has something else for."""
    if isinstance(body, Mapping):
        for key, item in body.items():
            yield from _hidden(item, shown.get(key) if isinstance(shown, Mapping) else None)
    elif isinstance(body, list):
        for at, item in enumerate(body):
            is_there = isinstance(shown, list) and at < len(shown)
            yield from _hidden(item, shown[at] if is_there else None)
    elif isinstance(body, str) and body != shown:
        yield body


def _why_projected(file: Path) -> str | None:
    """Why *file* is not to be written although it may be: what Kubernetes mounts, it writes over."""
    if any(part.startswith("..") and part != ".." for part in file.resolve().parts):
        return f"{file} comes from a ConfigMap or Secret; change it at its source"
    return None


def _refuse_projected(file: Path) -> None:
    why = _why_projected(file)
    if why is not None:
        raise NotWritable(why)
