"""From a folder or file of manifests to documents.

Rules (docs/configuration.md): `*.yaml *.yml *.json`, recursive, sorted; names with a leading dot are
skipped, so that the `..data` folders of a mounted Kubernetes ConfigMap are not loaded beside the links into
them; symbolic links are followed, each real file and folder once; the same type and name twice is an error.
"""

from __future__ import annotations

import bisect
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.config.document import UNNAMED, Document
from gateway.config.json_text import read_json
from gateway.config.plain_data import MAX_FILE_BYTES, PlainDocument, UnreadableText
from gateway.config.problem import Problem, Severity, dotted
from gateway.config.yaml_text import read_yaml
from gateway.file_names import is_utf8

_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
# A configuration is some hundred files; a number like this means that the wrong folder was named.
_MAX_FILES: Final = 10_000
# To libyaml more than a line feed ends a line, also within a text.
_LINE_END: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
# At the beginning of a line it is nothing else, also inside of a text.
_MARKER: Final = re.compile("(?:^|(?<=[\n\r\x85\u2028\u2029]))---(?=\\s|$)")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a folder or file holds.

    Attributes:
        documents: In the order of the files; those of unreadable files are missing.
        problems: Why some are missing.
        files: Every manifest file that was found, readable or not.
        is_denied: Something could not be read for a reason that may be over without a change of any file.
    """

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    files: tuple[Path, ...]
    is_denied: bool = False


class _Problems(list[Problem]):
    """What is found on the way.

    Attributes:
        is_denied: As of `Loaded`.
    """

    is_denied = False

    def denied(self, path: Path, what: str, error: OSError, fix: str) -> None:
        """Add that the system does not let *path* be read."""
        self.is_denied |= _leaves_no_mark(error)
        self.append(_file_problem(path, f"{what}: {_reason(error)}", fix))


def load(path: Path) -> Loaded:
    """Read every manifest under *path*, a folder or one file.

    Never raises: what is not readable becomes a `Problem`, and the rest is read all the same.
    """
    problems = _Problems()
    files = _find_files(path, problems)
    documents: list[Document] = []
    for file in files:
        documents += _read_file(file, problems)
    return Loaded(_without_repeats(documents, problems), tuple(problems), tuple(files), problems.is_denied)


def problem_of_answer(file: Path, plain: PlainDocument) -> Problem | None:
    """What is wrong with an answer of TrueFoundry's API in the place of a manifest; None: it is none.

    It tells of one manifest, or of several: so they come out of a tenant that has no repository of them.
    """
    body = plain.value
    kind, data = body.get("type"), body.get("data")
    for one in data if isinstance(data, list) else (data, body):
        within = one.get("manifest") if isinstance(one, dict) else None
        held = within.get("type") if isinstance(within, dict) else None
        if isinstance(held, str) and kind in (None, held):
            line = plain.lines.get(("type",), plain.line)
            message = "this is an answer of TrueFoundry's API, which has the manifest within"
            fix = (
                "Write what is below 'manifest' alone; of several each, with a line '---' between two of them"
            )
            return Problem(file, line, "(file)", Severity.ERROR, message, fix)
    return None


def _find_files(path: Path, problems: _Problems) -> list[Path]:
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        problems.denied(path, "cannot be opened", error, "Name a folder or file that exists")
        return []
    if not is_folder:
        return [path]
    found: list[Path] = []
    for file in _walk(path, set(), problems):
        found.append(file)
        if len(found) > _MAX_FILES:
            message = f"more than {_MAX_FILES:,} manifest files"
            problems.append(
                _file_problem(path, message, "Name the folder that holds only the gateway's manifests")
            )
            return []
    return found


def _walk(folder: Path, seen: set[tuple[int, int]], problems: _Problems) -> Iterator[Path]:
    """Manifest files under *folder*, sorted by name in each folder; *seen*: device and inode of those met."""
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        problems.denied(folder, "cannot be listed", error, "Let the gateway's user read it")
        return
    for name in names:
        if name.startswith("."):
            continue
        path = folder / name
        if not is_utf8(name):
            if path.suffix in _SUFFIXES or path.is_dir():
                shown = folder / os.fsencode(name).decode(errors="backslashreplace")
                problems.append(_file_problem(shown, "its name is not UTF-8", "Give it another name"))
            continue
        try:
            status = path.stat()
        except OSError as error:
            if path.suffix in _SUFFIXES:
                fix = "Mend or remove the link, or let the gateway's user read it"
                problems.denied(path, "cannot be opened", error, fix)
            continue
        identity = (status.st_dev, status.st_ino)
        is_folder = stat.S_ISDIR(status.st_mode)
        if identity in seen or not (is_folder or path.suffix in _SUFFIXES):
            continue
        seen.add(identity)
        if is_folder:
            yield from _walk(path, seen, problems)
        else:
            yield path


def _read_file(file: Path, problems: _Problems) -> Iterator[Document]:
    try:
        text = _read_text(file)
        is_json = file.suffix == ".json"
        parts = None if is_json else _Parts(text)
        for plain in read_json(text) if is_json else read_yaml(text):
            document = _to_document(file, plain, "" if parts is None else parts.at(plain.line), problems)
            if document is not None:
                yield document
    except UnreadableText as error:
        problems.is_denied |= _leaves_no_mark(error.__cause__)
        path = dotted(error.path) or "(syntax)"
        problems.append(Problem(file, error.line, path, Severity.ERROR, str(error), error.fix))


class _Parts:
    """A text of YAML between the marks of its documents, comments too."""

    def __init__(self, text: str) -> None:
        starts = [0, *(found.start() for found in _MARKER.finditer(text))]
        ends = [*starts[1:], len(text)]
        self._parts = [text[start:end] for start, end in zip(starts, ends, strict=True)]
        self._first_lines = [1]
        for part in self._parts[:-1]:
            self._first_lines.append(self._first_lines[-1] + len(_LINE_END.findall(part)))

    def at(self, line: int) -> str:
        """The part that has this line, from 1."""
        return self._parts[bisect.bisect_right(self._first_lines, line) - 1]


def _read_text(file: Path) -> str:
    try:
        # Checked before it is opened: opening a named pipe would wait for a writer.
        if not stat.S_ISREG(file.stat().st_mode):
            raise UnreadableText(1, "not an ordinary file", "Name a file or a folder")
        with file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnreadableText(
            1, f"cannot be read: {_reason(error)}", "Let the gateway's user read it"
        ) from error
    if len(content) > MAX_FILE_BYTES:
        raise UnreadableText(
            1, f"larger than {MAX_FILE_BYTES // 1024 // 1024} MiB", "Split it into several files"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableText(line, "not UTF-8 text", "Save the file in UTF-8") from error


def _to_document(file: Path, plain: PlainDocument, text: str, problems: list[Problem]) -> Document | None:
    body = plain.value
    if not isinstance(body, dict):
        message = "a manifest is a mapping of fields, this is not one"
        fix = "Start it with 'type: ...' and 'name: ...'"
        if isinstance(body, list) and file.suffix != ".json":
            fix = "Write each item without '- ', and a line '---' between two of them"
        problems.append(Problem(file, plain.line, "(file)", Severity.ERROR, message, fix))
        return None
    if (answer := problem_of_answer(file, plain)) is not None:
        problems.append(answer)
        return None
    kind, name = body.get("type"), body.get("name")
    if not isinstance(kind, str) or not kind:
        fix = "Start it with 'type:' and one of the types that 'gateway schema' lists"
        line = plain.lines.get(("type",), plain.line)
        problems.append(Problem(file, line, "type", Severity.ERROR, "the manifest has no type", fix))
        return None
    # A name that is not text is reported with the other fields; here it only tells manifests apart.
    return Document(kind, UNNAMED if name is None else str(name), body, file, plain.line, plain.lines, text)


def _without_repeats(documents: list[Document], problems: list[Problem]) -> tuple[Document, ...]:
    first: dict[tuple[str, str], Document] = {}
    for document in documents:
        key = (document.type, document.name)
        if key in first:
            other = first[key]
            message = f"{document.type} '{document.name}' is already in {other.file}:{other.line}"
            path = ("name",) if "name" in document.body else ("type",)
            problems.append(document.error(path, message, "Remove one of them or give it another name"))
        else:
            first[key] = document
    return tuple(first.values())


def _file_problem(file: Path, message: str, fix: str) -> Problem:
    return Problem(file, 1, "(file)", Severity.ERROR, message, fix)


def _leaves_no_mark(error: BaseException | None) -> bool:
    """Whether this passes unseen: a file that comes, or may be read, has another `fingerprint`."""
    return isinstance(error, OSError) and not isinstance(error, FileNotFoundError | PermissionError)


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
