"""Why the gateway cannot start: the class fixes the exit code, the message says how to mend it."""

from __future__ import annotations

from typing import ClassVar


class CannotStart(Exception):
    """Base of the reasons."""

    exit_code: ClassVar[int]


class ConfigRefused(CannotStart):
    """The configuration or the settings cannot be run."""

    exit_code = 1


class NoConfigYet(CannotStart):
    """There is none in Redis that can be used. Whoever starts again may find one: others put it there."""

    exit_code = 5


class CertificateUnusable(CannotStart):
    """A certificate that a flag names cannot be used."""

    exit_code = 1


class HostUnusable(CannotStart):
    """The host to listen on is no address of this machine."""

    exit_code = 2


class PortTaken(CannotStart):
    """Somebody else has the port, or we may not have it."""

    exit_code = 3


class StateFolderInUse(CannotStart):
    """Another gateway runs on the state folder, or the folder cannot be used at all."""

    exit_code = 4
