"""The collector of cycles, held while a configuration is loaded.

A hundred thousand manifests are a few million objects, none of which is garbage before the end. To look
through them again and again took as long as reading them, with every call of the worker waiting for it.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collection_held() -> Iterator[None]:
    """A block without collections of cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
