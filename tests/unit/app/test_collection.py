"""gateway/app/collection.py: collections are held for a block, and go on after it."""

from __future__ import annotations

import gc

import pytest

from gateway.app.collection import collection_held


def test_collections_are_held() -> None:
    """Until the block ends, however it does."""
    assert gc.isenabled()
    with collection_held():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), collection_held():
        raise KeyError
    assert gc.isenabled()


def test_who_has_none_gets_none() -> None:
    """A process that collects nothing does not begin to."""
    with collection_held():
        with collection_held():
            assert not gc.isenabled()
        assert not gc.isenabled()
