"""Each dialect has a reader of what is said in it."""

from __future__ import annotations

import typing

from gateway.endpoints.content import CONTENT_READERS
from gateway.model import Dialect


def test_every_dialect() -> None:
    """None is forgotten."""
    assert set(CONTENT_READERS) == set(typing.get_args(Dialect))
