"""Libraries that only some accounts need: whether they are installed, and what to say when they are not."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of this package.

    Attributes:
        name: As `pip install 'gateway[NAME]'` has it.
        library: The module that it brings.
        need: What needs which library, in words.
    """

    name: str
    library: str
    need: str

    @property
    def is_installed(self) -> bool:
        """Whether the library can be imported; it is not."""
        try:
            return importlib.util.find_spec(self.library) is not None
        except (ModuleNotFoundError, ValueError):
            # The package that it is in is missing, or is no package.
            return False

    @property
    def absence(self) -> str:
        """What is wrong without it, a sentence without its full stop."""
        return f"{self.need}, which is not installed"

    @property
    def fix(self) -> str:
        """What to do then, the same."""
        return f"Install it where the gateway is (pip install 'gateway[{self.name}]') and start that again"


AWS: Final = Extra("aws", "botocore", "signing in to AWS needs botocore")
AZURE: Final = Extra("azure", "cryptography", "signing in with a certificate needs cryptography")
GOOGLE: Final = Extra("google", "google.auth", "signing in to Google Cloud needs google-auth")
JWT: Final = Extra("jwt", "jwt", "reading the tokens of an identity provider needs PyJWT")
