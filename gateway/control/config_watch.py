"""Notices that the configuration on disk has changed, and puts it in force or refuses it whole.

By looking, not by inotify: mounted ConfigMaps, network file systems and symbolic links make events
unreliable, and looking at some hundred files costs a millisecond. A change must look the same twice before it
is read, so that a file that is half written is not taken for a mistake. Runs in a thread of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from gateway.config import Checked, Config, Problem, accepted, fingerprint
from gateway.config.fingerprint import Fingerprint
from gateway.control.accepted_files import AcceptedFiles
from gateway.control.config_status import ConfigStatus, Rejected

# Noticed within 0.5 s and read 0.2 s later: the workers have the rest of the promised 2 s.
_POLL_S: Final = 0.5
_SETTLE_S: Final = 0.2
# A refused configuration is checked again this often although its files are as they were: what it lacks may
# be a file that only it refers to, which nobody watches yet.
_RECHECK_S: Final = 5.0
_NS_PER_S: Final = 1_000_000_000

log = logging.getLogger(__name__)


class _Sight(NamedTuple):
    """How the watched files look."""

    manifests: Fingerprint
    secrets: Fingerprint


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched, and who decides and hears of it.

    Attributes:
        path: The configuration, a folder or one file.
        check: Reads and checks all of it.
        files: Where accepted sets are kept.
        on_accepted: Called in the watching thread, after the set is on disk. The version of its `Config`
            names the set, and so may end in `+N` where `config.version_of` of the documents does not.
    """

    path: Path
    check: Callable[[], Checked]
    files: AcceptedFiles
    on_accepted: Callable[[Config], None]


class ConfigWatch:
    """Watches one configuration."""

    def __init__(
        self,
        watched: Watched,
        in_force: Config,
        not_in_force: tuple[str, ...] = (),
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Watch from now on.

        Args:
            watched: What, and who hears of it.
            in_force: What the workers run with, its version as `accepted` names it.
            not_in_force: Of its manifests.
            now_s: Unix time.
        """
        self._watched = watched
        self._in_force = in_force
        self._now_s = now_s
        self._status = ConfigStatus(in_force.version, self._now_ns(), not_in_force)
        # Unknown at first: the files may have changed while no control process was there to see it.
        self._secrets: Fingerprint | None = None
        self._judged: _Sight | None = None
        self._seen: _Sight | None = None
        self._recheck_at_s = float("inf")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="config-watch", daemon=True)

    def start(self) -> None:
        """Begin in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a check that is under way is finished first."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_POLL_S + _RECHECK_S)

    def status(self) -> ConfigStatus:
        """What is in force. Thread-safe."""
        return self._status

    def poll(self) -> bool:
        """Look once, and act on a change that has settled.

        Returns:
            Whether something is about to settle, so that it is worth to look again soon.
        """
        sight = self._look()
        if sight == self._judged and self._now_s() < self._recheck_at_s:
            return False
        if sight != self._seen:
            self._seen = sight
            return True
        checked = self._watched.check()
        if self._look() != sight:
            # It changed while it was read: what was read may be half of each.
            self._seen = None
            return True
        self._judged = sight
        self._judge(checked)
        return False

    def _run(self) -> None:
        wait_s = 0.0
        while not self._stopping.wait(wait_s):
            try:
                wait_s = _SETTLE_S if self.poll() else _POLL_S
            except Exception:
                # The configuration in force stays; a mistake of ours must not end the watching.
                log.exception("the configuration could not be looked at; trying again")
                wait_s = _RECHECK_S

    def _look(self) -> _Sight:
        return _Sight(
            fingerprint.of_manifests(self._watched.path),
            fingerprint.of_files(self._in_force.referenced_files()),
        )

    def _judge(self, checked: Checked) -> None:
        self._recheck_at_s = float("inf")
        if checked.config is None:
            self._refuse(tuple(checked.errors))
            return
        secrets = fingerprint.of_files(checked.config.referenced_files())
        version = self._version_for(checked.config, secrets)
        try:
            if version != self._in_force.version:
                self._watched.files.write(version, accepted.dump(checked.config))
            if secrets != self._secrets:
                self._watched.files.note_secrets(version, secrets)
        except OSError as error:
            self._fail_to_keep(error)
            return
        self._secrets = secrets
        is_new = version != self._in_force.version
        if not is_new and self._status.last_rejected is not None:
            log.info("the configuration on disk is again the one in force, version %s", version)
        if is_new:
            in_force = replace(checked.config, version=version)
            # Its secret files may be others: look at them too. And look again if telling of it fails.
            self._judged = None
            self._watched.on_accepted(in_force)
            self._in_force = in_force
            log.info("configuration %s is accepted", version)
        loaded_at_ns = self._now_ns() if is_new else self._status.loaded_at_ns
        self._status = ConfigStatus(
            version, loaded_at_ns, checked.not_in_force, refusals=self._status.refusals
        )

    def _version_for(self, config: Config, secrets: Fingerprint) -> str:
        """The name under which *config* goes out: a new one also when only its secrets have changed."""
        base, _plus, rereads = self._in_force.version.partition("+")
        if config.version != base:
            return config.version
        if self._secrets is None:
            is_changed = self._watched.files.secrets_changed(self._in_force.version, secrets)
        else:
            is_changed = secrets != self._secrets
        return f"{base}+{int(rereads or 0) + 1}" if is_changed else self._in_force.version

    def _refuse(self, errors: tuple[Problem, ...]) -> None:
        self._recheck_at_s = self._now_s() + _RECHECK_S
        shown = tuple(error.to_dict() for error in errors)
        last = self._status.last_rejected
        if last is not None and last.errors == shown:
            return
        self._note_refusal(shown)
        log.error(
            "the changed configuration is refused, version %s stays in force:\n%s",
            self._in_force.version,
            "\n".join(str(error) for error in errors),
        )

    def _fail_to_keep(self, error: OSError) -> None:
        """The set cannot be kept, so no worker could load it: refused, until the disk lets us."""
        self._recheck_at_s = self._now_s() + _RECHECK_S
        message = f"the state folder cannot be written: {error.strerror or error}"
        last = self._status.last_rejected
        shown = ({"message": message, "fix": "Make room or give the gateway's user the right to write"},)
        if last is None or last.errors != shown:
            log.error("a changed configuration cannot come into force: %s", message)
            self._note_refusal(shown)

    def _note_refusal(self, errors: tuple[Mapping[str, object], ...]) -> None:
        rejected = Rejected(self._now_ns(), errors)
        self._status = replace(self._status, last_rejected=rejected, refusals=self._status.refusals + 1)

    def _now_ns(self) -> int:
        return int(self._now_s() * _NS_PER_S)
