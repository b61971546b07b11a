"""Who changed what, noted as it comes into force, and `GET /api/audit`.

What cannot be noted does not stop what was done: the log of the process says so then.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import pwd
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.config import Document
from gateway.config.changes import Change, changes_between, shown
from gateway.control.operator import address_in, operator_of
from gateway.control.replies import error_reply, json_reply, refuse_other_parameters
from gateway.control.sign_in.refusals import Refusal
from gateway.store.audit_log import AuditLog
from gateway.tracestore.timestamps import format_rfc3339

ACCEPTED: Final = "config.accepted"
OPERATOR: Final = "operator"
"""The type of users and tokens of the dashboard."""
MAX_CHANGES: Final = 1000
"""Of one change of the configuration: how many manifests are noted one by one."""

_PAGE: Final = 50
_MAX_PAGE: Final = 1000
_FILTERS: Final = ("action", "type", "name")
_WHO: Final = ("at", "action", "by", "paths")
_OF_MANIFESTS: Final = "manifest."
_LOOKED_AT: Final = 2000

_log: Final = logging.getLogger(__name__)


class AuditTrail:
    """Notes changes. Thread-safe; each method writes to the disk, so call it in a thread."""

    def __init__(self, log: AuditLog, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._audit_log = log
        self._now_ns = now_ns

    def begun(
        self, version: str, documents: Sequence[Document], find: Callable[[str], Sequence[Document] | None]
    ) -> None:
        """Note what has changed since the configuration that was noted last.

        Args:
            version: Of what is in force.
            documents: It.
            find: The documents of a version, None when they are not kept any more.
        """
        try:
            last = next((one for one in self._audit_log.newest() if one["action"] == ACCEPTED), None)
        except OSError as error:
            _log.error("the audit log cannot be read: %s", error.strerror or error)
            return
        before = None if last is None else str(last["version"]["after"])
        if before != version:
            known = None if before is None else find(before)
            self.changed((before, known), version, documents)

    def changed(
        self,
        before: tuple[str | None, Sequence[Document] | None],
        version: str,
        documents: Sequence[Document],
    ) -> None:
        """Note a configuration that comes into force in the place of *before*.

        Args:
            before: Version and documents of what was in force, None where that is not known any more.
            version: Of what is.
            documents: It.
        """
        before_version, known = before
        at = self._now()
        changes = [] if known is None else list(changes_between(known, documents))
        entries = [
            {
                "at": at,
                "action": f"manifest.{change.action}",
                "by": _by_file(change.document.file),
                "type": change.document.type,
                "name": change.document.name,
                "paths": change.paths,
                "before": None if change.before is None else shown(change.before),
                "after": None if change.after is None else shown(change.after),
                "version": version,
            }
            for change in changes[:MAX_CHANGES]
        ]
        count = None if known is None else _count(changes)
        entries.append(
            {
                "at": at,
                "action": ACCEPTED,
                "version": {"before": before_version, "after": version},
                "manifests": count,
            }
        )
        self._append(entries)

    def asked(
        self,
        action: str,
        kind: str,
        name: str,
        address: str,
        operator: str | None = None,
        *,
        version: str | None = None,
    ) -> None:
        """Note what somebody at *address* has done by the control API.

        Args:
            operator: Who; None: not told.
            version: Of the configuration that this makes.
        """
        by = {"kind": "control_api", "address": address}
        if operator is not None:
            by["operator"] = operator
        entry = {
            "at": self._now(),
            "action": action,
            "by": by,
            "type": kind,
            "name": name,
        }
        self._append([entry if version is None else {**entry, "version": version}])

    def commanded(self, action: str, kind: str, name: str) -> None:
        """Note what a command on this host has done: by the user of the host that it runs as."""
        by = {"kind": "command", "user": _user_name(os.geteuid())}
        self._append([{"at": self._now(), "action": action, "by": by, "type": kind, "name": name}])

    def refused(self, refusals: Sequence[Refusal]) -> None:
        """Note who was not let in."""
        at = self._now()
        self._append(
            [
                {
                    "at": at,
                    "action": one.kind,
                    "by": {"kind": "control_api", "address": one.address},
                    "type": OPERATOR,
                    "name": one.user,
                    "count": one.count,
                }
                for one in refusals
            ]
        )

    def last(self, kind: str, name: str) -> dict[str, Any] | None:
        """Who changed this manifest last, without what it was; None where that is not noted."""
        try:
            entries = itertools.islice(self._audit_log.newest(), _LOOKED_AT)
            # That it was tried is noted of it too, and is no change.
            found = (
                one
                for one in entries
                if (one.get("type"), one.get("name")) == (kind, name)
                and one["action"].startswith(_OF_MANIFESTS)
            )
            entry = next(found, None)
            # That it came into force is noted of the file; who asked for that stands before it.
            before = next(found, None)
        except OSError:
            return None
        if entry is not None and before is not None and entry["by"]["kind"] == "file":
            is_same = before["by"]["kind"] != "file" and before.get("version") == entry.get("version")
            entry = before if is_same else entry
        return None if entry is None else {key: entry[key] for key in _WHO if key in entry}

    def of_versions(self) -> dict[str, dict[str, Any]]:
        """Of each configuration that came into force lately: how much it changed, and who asked for that.

        Who owns the changed files stands for who asked where nobody did by the API.
        """
        counts: dict[str, Any] = {}
        asked: dict[str, list[Any]] = {}
        owners: dict[str, list[Any]] = {}
        try:
            for entry in itertools.islice(self._audit_log.newest(), _LOOKED_AT):
                if entry["action"] == ACCEPTED:
                    counts.setdefault(entry["version"]["after"], entry["manifests"])
                elif isinstance(version := entry.get("version"), str):
                    by = entry["by"]
                    known = (owners if by.get("kind") == "file" else asked).setdefault(version, [])
                    if by not in known:
                        known.append(by)
        except OSError:
            return {}
        return {
            version: {"manifests": count, "by": asked.get(version) or owners.get(version, [])}
            for version, count in counts.items()
        }

    def page(self, limit: int, cursor: int | None, filters: Mapping[str, str]) -> dict[str, Any]:
        """The newest entries before *cursor* that have what *filters* say.

        Raises:
            OSError: The log cannot be read.
        """
        found = (
            entry
            for entry in self._audit_log.newest()
            if (cursor is None or entry["id"] < cursor)
            and all(entry.get(key) == value for key, value in filters.items())
        )
        entries = list(itertools.islice(found, limit + 1))
        more = entries[limit - 1]["id"] if len(entries) > limit else None
        return {"entries": entries[:limit], "next_cursor": None if more is None else str(more)}

    def _append(self, entries: Sequence[Mapping[str, Any]]) -> None:
        try:
            self._audit_log.append(entries)
        except OSError as error:
            _log.error("a change is not in the audit log: %s", error.strerror or error)

    def _now(self) -> str:
        return format_rfc3339(self._now_ns())


async def note_asked(
    trail: AuditTrail,
    request: Request,
    action: str,
    kind: str,
    name: str,
    *,
    operator: str | None = None,
    version: str | None = None,
) -> None:
    """Note what *request* has done: by *operator*, who has only now signed in, or by whoever is."""
    by = operator_of(request).name if operator is None else operator
    await asyncio.to_thread(trail.asked, action, kind, name, address_in(request.scope), by, version=version)


def audit_routes(trail: AuditTrail) -> list[Route]:
    """The routes of this room."""

    async def list_entries(request: Request) -> Response:
        if (refusal := refuse_other_parameters(request, ("limit", "cursor", *_FILTERS))) is not None:
            return refusal
        query = request.query_params
        limit, cursor = query.get("limit", str(_PAGE)), query.get("cursor")
        if not _is_number(limit) or not 0 < int(limit) <= _MAX_PAGE:
            return error_reply(400, "invalid_parameter", f"'limit' is a number from 1 to {_MAX_PAGE}")
        if cursor is not None and not _is_number(cursor):
            return error_reply(400, "invalid_parameter", "'cursor' is the next_cursor of the page before")
        filters = {key: query[key] for key in _FILTERS if key in query}
        before = None if cursor is None else int(cursor)
        try:
            page = await asyncio.to_thread(trail.page, int(limit), before, filters)
        except OSError as error:
            return error_reply(503, "store_unavailable", f"the log cannot be read: {error.strerror or error}")
        return json_reply(page)

    return [Route("/api/audit", list_entries, methods=["GET"])]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19  # noqa: PLR2004 - what 64 bits hold


def _count(changes: Sequence[Change]) -> dict[str, int]:
    found = dict.fromkeys(("created", "changed", "removed"), 0)
    for change in changes:
        found[change.action] += 1
    return found


def _by_file(file: Path) -> dict[str, str]:
    """Who owns the file that has changed: nobody else is known to have written it."""
    found = {"kind": "file", "file": str(file)}
    try:
        owner = file.stat().st_uid
    except OSError:
        return found
    return {**found, "owner": _user_name(owner)}


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        # A user that the system has no name for, as in a container.
        return str(number)
