"""The configuration that was accepted last, as every process of the gateway loads it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.config import Config, Document, SecretSource, accepted
from gateway.config.check import check_documents
from gateway.control.accepted_files import AcceptedFiles
from gateway.settings import Settings, environment

_FOLDER: Final = "config"


class ConfigUnusableError(Exception):
    """A version cannot be loaded; the message says why and is safe to show."""


def accepted_files(state_dir: Path) -> AcceptedFiles:
    """Where accepted sets are kept."""
    return AcceptedFiles(state_dir / _FOLDER)


def secret_source(settings: Settings) -> SecretSource:
    """Where this process reads secrets."""
    return SecretSource(environment(), settings.secrets_dir)


def find_documents(state_dir: Path, version: str) -> tuple[Document, ...] | None:
    """The documents of an accepted set, None when it is not kept any more or damaged."""
    try:
        return accepted.load((state_dir / _FOLDER / f"{version}.json").read_bytes())
    except (OSError, accepted.NotAccepted):
        return None


def load_accepted(state_dir: Path, secrets: SecretSource, version: str | None = None) -> Config:
    """Read an accepted set, without *version* the last.

    Raises:
        ConfigUnusableError: It is not there, damaged, or has errors for this process.
    """
    version = version or accepted_files(state_dir).version()
    if version is None:
        msg = f"no configuration was accepted in {state_dir}"
        raise ConfigUnusableError(msg)
    try:
        documents = accepted.load((state_dir / _FOLDER / f"{version}.json").read_bytes())
    except (OSError, accepted.NotAccepted) as error:
        msg = f"configuration {version} cannot be read: {error}"
        raise ConfigUnusableError(msg) from error
    # The name of the set, which tells sets apart that differ in their secrets only.
    checked = check_documents(documents, strict=False, secrets=secrets, version=version)
    if checked.config is None:
        msg = f"configuration {version} has errors: {checked.errors[0]}"
        raise ConfigUnusableError(msg)
    return checked.config
