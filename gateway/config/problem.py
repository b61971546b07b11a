"""What is wrong with a configuration, in words for the person who wrote it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path


class Severity(enum.StrEnum):
    """An error refuses the whole configuration; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding.

    Attributes:
        file: Where to look; the folder itself when the finding is about the whole set.
        line: From 1.
        path: Dotted path inside the manifest (`integrations.0.model_id`), or `(file)`, `(syntax)`,
            `(configuration)` when no single field is at fault.
        message: What is wrong. Never holds a value that could be a secret.
        fix: What to do about it.
    """

    file: Path
    line: int
    path: str
    severity: Severity
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.path}: {self.message}. {self.fix}"

    def to_dict(self) -> dict[str, str | int]:
        """The form that `check-config --format json` and the control API show."""
        return {
            "file": str(self.file),
            "line": self.line,
            "path": self.path,
            "severity": self.severity.value,
            "message": self.message,
            "fix": self.fix,
        }


def dotted(path: tuple[str | int, ...]) -> str:
    """*path* as a `Problem` shows it."""
    return ".".join(str(step) for step in path)
