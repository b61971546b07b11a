"""A real Valkey for the tests of one file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rig.valkey_server import ValkeyServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server
