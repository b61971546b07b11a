"""What tests of pages share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browser.plane import Plane
from tests.rig.browser import Chromium, Page
from tests.unit.config.writing import ACCOUNT, CALLER, documents


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[Plane]:
    (tmp_path / "m.yaml").write_text(documents(ACCOUNT, CALLER))
    plane = Plane(tmp_path)
    server = plane.start()
    yield plane
    server.stop()
    await server.ended(60.0)


@pytest.fixture
async def page(chromium: Chromium) -> AsyncIterator[Page]:
    async with chromium.page() as page:
        yield page
