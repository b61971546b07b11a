"""Finding the name of a path: its words stay, and the ids in it do not.

Pure. What is not in the table but under one of its first words is named after that word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from gateway.model import Endpoint

REST: Final = "{path}"
"""Stands in a route for whatever follows."""


class PathTree:
    """The paths of one API."""

    def __init__(
        self,
        templates: Iterable[str],
        make: Callable[[str], Endpoint],
        *,
        more_areas: Iterable[str] = (),
    ) -> None:
        """Read the table once.

        Args:
            templates: Paths with a name in braces where an id stands.
            make: The endpoint of a template.
            more_areas: First words whose paths are named after these alone.
        """
        templates = tuple(templates)
        # By words; "" holds the endpoint that ends there, "{}" what may stand for any word.
        self._root: dict[str, Any] = {}
        for template in templates:
            node = self._root
            for word in template.split("/")[1:]:
                node = node.setdefault("{}" if word.startswith("{") else word, {})
            node[""] = make(template)
        areas = dict.fromkeys(template.split("/")[1] for template in templates)
        self._areas = {area: make(f"/{area}/{REST}") for area in (*areas, *more_areas)}

    def find(self, path: str) -> Endpoint | None:
        """What *path* asks for, None when the API has nothing under its first word.

        Args:
            path: Below the API's base URL, with a leading slash.
        """
        words = path.split("/")[1:]
        area = self._areas.get(words[0]) if words else None
        if area is None:
            return None
        node = self._root
        for word in words:
            following = node.get(word) or (node.get("{}") if word else None)
            if following is None or isinstance(following, Endpoint):
                return area
            node = following
        found: Endpoint = node.get("", area)
        return found
