"""The `gateway-otel-config` manifests on disk, read for the settings page and written back to their files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.config import Config, Problem, Severity
from gateway.config.document import UNNAMED
from gateway.config.manifest_files import ManifestFiles, NoSuchManifest, Saved, Shown
from gateway.config.otel_environment import NAME as ENVIRONMENT

TYPE: Final = "gateway-otel-config"
_TRACES: Final = "otel_traces_exporter_config"


class OtelManifests:
    """Destinations of one configuration. Each method reads the disk; call them in a thread.

    Args:
        files: All manifests.
        find_waiting: How many spans wait for the destination of a name.
    """

    def __init__(self, files: ManifestFiles, *, find_waiting: Callable[[str], int] = lambda _: 0) -> None:
        self._files = files
        self._find_waiting = find_waiting

    @property
    def tag_of_nothing(self) -> str:
        """What to expect of a name that no destination is to have yet."""
        return self._files.tag(None)

    def read(self, name: str | None) -> Shown:
        """The manifest *name*; without a name the first, or an empty one when there is none.

        Raises:
            NoSuchManifest: There is none of this name.
        """
        if name is not None:
            return self._files.find(TYPE, name)
        return next(iter(self._files.all(TYPE)), self._files.empty(TYPE, UNNAMED))

    def write(self, name: str | None, body: Mapping[str, Any], expected_tag: str | None) -> Saved:
        """Put *body* in the place of the manifest *name*, or of the one that it names, or as a new one.

        Args:
            name: None: the one that *body* names.
            body: A whole manifest; masks stand for what is stored.
            expected_tag: Of what *body* is a change of; None: whatever is there.

        Raises:
            NoSuchManifest, ChangedMeanwhile, Invalid, NotWritable: As `ManifestFiles.put`.
        """
        stored_name = str(body.get("name") or UNNAMED) if name is None else name
        try:
            stored = self._files.find(TYPE, stored_name)
        except NoSuchManifest:
            stored = None
        is_first = not self._files.all(TYPE)
        saved = self._files.put(TYPE, stored_name, body, expected_tag, must_exist=name is not None)
        lost = self._check_environment(saved.shown) if is_first else self._check_waiting(stored, saved.shown)
        return replace(saved, warnings=(*saved.warnings, *lost))

    def draft(self, name: str | None, body: Mapping[str, Any]) -> tuple[Config, str]:
        """The configuration as it would be with *body* in the place of the manifest *name*, not written.

        Args:
            name: None: *body* is a new one.
            body: A whole manifest; masks stand for what is stored.

        Returns:
            It, and the name that the destination has in it.

        Raises:
            NoSuchManifest: There is none of this name.
            Invalid: It has errors.
        """
        if name is not None:
            self._files.find(TYPE, name)
        return self._files.draft(TYPE, name, {**body, "type": TYPE})

    def _check_waiting(self, stored: Shown | None, now: Shown) -> Iterator[Problem]:
        """What is lost with a destination of traces that the change ended."""
        if stored is None or stored.file is None or not stored.body.get(_TRACES):
            return
        is_kept = now.name == stored.name and now.body.get(_TRACES)
        waiting = 0 if is_kept else self._find_waiting(stored.name)
        if waiting:
            path = _TRACES if now.name == stored.name else "name"
            yield Problem(stored.file, stored.line, path, *_lost(stored.name, waiting))

    def _check_environment(self, now: Shown) -> Iterator[Problem]:
        """What is lost with the destination of the variables, which the first manifest takes the place of."""
        is_kept = now.name == ENVIRONMENT and now.body.get(_TRACES)
        waiting = 0 if is_kept else self._find_waiting(ENVIRONMENT)
        if waiting and now.file is not None:
            yield Problem(now.file, now.line, "name", *_lost(ENVIRONMENT, waiting))


def _lost(name: str, waiting: int) -> tuple[Severity, str, str]:
    message = f"'{name}' ends, and {waiting} spans that wait for it will not be sent"
    fix = "The local store keeps them; let nothing wait before a destination is renamed or ended"
    return Severity.WARNING, message, fix
