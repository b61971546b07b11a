"""Masking keys in bytes that come in pieces, also a key that lies across them.

Held back is only what may be the beginning of a key, the last bytes of a piece where they are that: an event
ends with a line end, which is in no key, and waits for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence


class KeyMask:
    """What stands in place of each key is as long, so that a length that was told stays true."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Mask these *keys*, none of which is empty."""
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next piece and give what can go on, maybe nothing."""
        if self._held:
            data, self._held = self._held + data, b""
        begun = 0
        for key in self._keys:
            if key in data:
                data = data.replace(key, b"*" * len(key))
            # Of nearly every piece this is all that is looked at.
            if data and data[-1] in key:
                begun = max(begun, _begun(data, key))
        if not begun:
            return data
        self._held = data[-begun:]
        return data[:-begun]

    def finish(self) -> bytes:
        """Take the end, and give what was held back."""
        held, self._held = self._held, b""
        return held


def _begun(data: bytes, key: bytes) -> int:
    """How many bytes at the end of *data* are the beginning of *key*, at most all but one of its bytes."""
    tail = data[-(len(key) - 1) :] if len(key) > 1 else b""
    at = tail.find(key[:1])
    while at >= 0:
        if key.startswith(tail[at:]):
            return len(tail) - at
        at = tail.find(key[:1], at + 1)
    return 0
