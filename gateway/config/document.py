"""One manifest as it was written: plain data, and where each part of it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from gateway.config.problem import Problem, Severity, dotted

FieldPath = tuple[str | int, ...]

STRICT: Final = "--strict (GATEWAY_STRICT) refuses the configuration"
"""Why something is an error that would be a warning: told with it, as the operator may not have set it."""

# Some of TrueFoundry's types carry no name although their apply API asks for one; both forms load.
UNNAMED: Final = "default"


@lru_cache(maxsize=1024)
def folder_of(file: Path) -> Path:
    """The folder of *file*, made once for all the manifests in it."""
    return file.parent


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest that has a type; whether its fields are right is not known yet.

    Attributes:
        name: `UNNAMED` when the manifest has none.
        body: Only dict, list, str, int, float, bool and None. Not to be changed.
        file: As the operator named it; references in the body are relative to its folder.
        line: Where the manifest starts, from 1.
        lines: Line of each field, by its path.
        text: Its own part of a file of YAML, comments too, to tell one state of it from another; it may hold
            literal secrets. "" where it is not known.
    """

    type: str
    name: str
    body: Mapping[str, Any] = field(repr=False)  # it may hold literal secrets
    file: Path
    line: int
    lines: Mapping[FieldPath, int] = field(default_factory=dict, repr=False)
    text: str = field(default="", repr=False, compare=False)

    @property
    def folder(self) -> Path:
        """What relative paths and `file:` references in it start at."""
        return folder_of(self.file)

    def line_of(self, path: FieldPath) -> int:
        """The line of the field at *path*, or of the nearest part around it that was written."""
        for length in range(len(path), 0, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return line
        return self.line

    def error(self, path: FieldPath, message: str, fix: str) -> Problem:
        """An error at *path*."""
        return self.problem(Severity.ERROR, path, message, fix)

    def warning(self, path: FieldPath, message: str, fix: str) -> Problem:
        """A warning at *path*."""
        return self.problem(Severity.WARNING, path, message, fix)

    def problem(self, severity: Severity, path: FieldPath, message: str, fix: str) -> Problem:
        """A finding at *path*."""
        return Problem(self.file, self.line_of(path), dotted(path) or "(file)", severity, message, fix)

    def lack(self, severity: Severity, path: FieldPath, message: str, fix: str, *, meanwhile: str) -> Problem:
        """Something missing at *path*, an error in strict mode alone; else *meanwhile* is what follows."""
        consequence = STRICT if severity is Severity.ERROR else meanwhile
        return self.problem(severity, path, message, f"{fix}; until then {consequence}")
