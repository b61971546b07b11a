"""Faults of accessibility that axe-core finds in a page.

Its one file comes with a package of the tests (MPL-2.0; nothing of it is in the gateway).
https://github.com/dequelabs/axe-core
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Final

from tests.rig.browser import Page

_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
# "minor" are matters of taste.
_SERIOUS: Final = {"moderate", "serious", "critical"}


@cache
def _script() -> str:
    found = importlib.util.find_spec("axe_core_python")
    assert found is not None
    assert found.submodule_search_locations
    (file,) = Path(found.submodule_search_locations[0]).rglob("axe.min.js")
    return file.read_text()


async def find_faults(page: Page) -> list[str]:
    """What axe finds in the page as it is now, a line each: how grave, which rule, where."""
    await page.run(f"{_script()}\n;true")
    options = json.dumps({"runOnly": {"type": "tag", "values": _RULES}, "resultTypes": ["violations"]})
    text = await page.run(f"axe.run(document, {options}).then((found) => JSON.stringify(found.violations))")
    return [
        f"{violation['impact']}: {violation['id']} at {node['target']}: {node['failureSummary']}"
        for violation in json.loads(text)
        if violation["impact"] in _SERIOUS
        for node in violation["nodes"]
    ]
