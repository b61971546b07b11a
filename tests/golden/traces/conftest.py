"""The stack whose spans the golden files hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rig.sdk_stack import SdkStack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SdkStack]:
    with running_stack(tmp_path_factory.mktemp("golden")) as running:
        yield running
