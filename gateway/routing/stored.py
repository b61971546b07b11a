"""Which account made a stored object, so that later calls about it find their way.

Of one worker, and only the newest: a call that another worker gets, or after a restart, has to name its
account. That is why nothing is decided here that a header would not decide the same way.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from gateway.model import Target

MAX_OBJECTS: Final = 50_000
_LONGEST_ID: Final = 128


class StoredObjects:
    """The objects that were made through this worker."""

    def __init__(self, max_objects: int = MAX_OBJECTS) -> None:
        self._max_objects = max_objects
        # Account and model's name; one text for both would have to be taken apart again.
        self._made: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def made(self, object_id: str, target: Target) -> None:
        """Note that *target*'s account has an object of this id."""
        # An id has a prefix that says of what; a model's name or a word is none.
        if "_" not in object_id and "-" not in object_id:
            return
        if len(object_id) <= _LONGEST_ID:
            self._made[object_id] = (target.account, target.name)
            self._made.move_to_end(object_id)
            if len(self._made) > self._max_objects:
                self._made.popitem(last=False)

    def find(self, path: str) -> tuple[str, str] | None:
        """Account and model of the first object that *path* names, None when it names none that is known."""
        for word in path.split("/"):
            found = self._made.get(word)
            if found is not None:
                return found
        return None
