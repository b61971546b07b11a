"""What the control process does beside answering."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from gateway.app.control import let_go_unused
from gateway.config import SecretSource
from gateway.config.manifest_files import ManifestFiles


class Files(ManifestFiles):
    """Notes that somebody looked what is unused, and where."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"), strict=False, secrets=SecretSource({}, None))
        self.looked_in: list[threading.Thread] = []
        self.is_enough = threading.Event()

    def let_go_unused(self) -> None:
        """Note the thread."""
        self.looked_in.append(threading.current_thread())
        if len(self.looked_in) > 1:
            self.is_enough.set()


async def test_unused_manifests_are_looked_for_again_and_again() -> None:
    """Aside: the loop goes on while a million of them are let go."""
    files = Files()
    task = asyncio.create_task(let_go_unused(files, 0.0))
    assert await asyncio.to_thread(files.is_enough.wait, 10.0)
    task.cancel()
    await asyncio.wait((task,))
    assert threading.main_thread() not in files.looked_in
