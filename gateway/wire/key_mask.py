"""Masking keys in bytes that come in pieces, also a key that lies across them.

Held back is only what may be the beginning of a key, the last bytes of a piece where they are that: an event
ends with a line end, which is in no key, and waits for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence


class KeyMask:
    """What stands in place of each key is as long, so that a length that was told stays true.

    One key may be the beginning of another or overlap it: every byte that is in one of them is masked.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Mask these *keys*, none of which is empty."""
        self._keys = keys
        # As it came: what ends one key there may begin another.
        self._held = b""
        # How many bytes of it are in a key that has begun before it.
        self._covered = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next piece and give what can go on, maybe nothing."""
        if self._held:
            data, self._held = self._held + data, b""
        begun, is_found = 0, self._covered > 0
        for key in self._keys:
            if key in data:
                is_found = True
            # Of nearly every piece this is all that is looked at.
            if data and data[-1] in key:
                begun = max(begun, _begun(data, key))
        end = len(data) - begun
        if begun:
            self._held = data[end:]
        if is_found:
            return self._masked(data, end)
        return data[:end] if begun else data

    def finish(self) -> bytes:
        """Take the end, and give what was held back."""
        held, self._held = self._held, b""
        return self._masked(held, len(held)) if held else b""

    def _masked(self, data: bytes, end: int) -> bytes:
        """What is before *end* of *data*, with each key masked that begins there."""
        places = [(0, self._covered)]
        for key in self._keys:
            last = end + len(key) - 1
            at = data.find(key, 0, last)
            while at >= 0:
                places.append((at, at + len(key)))
                at = data.find(key, at + 1, last)
        shown = bytearray(data[:end])
        for begin, after in places:
            shown[begin:after] = b"*" * (min(after, end) - begin)
        self._covered = max(0, max(after for _, after in places) - end)
        return bytes(shown)


def _begun(data: bytes, key: bytes) -> int:
    """How many bytes at the end of *data* are the beginning of *key*, at most all but one of its bytes."""
    tail = data[-(len(key) - 1) :] if len(key) > 1 else b""
    at = tail.find(key[:1])
    while at >= 0:
        if key.startswith(tail[at:]):
            return len(tail) - at
        at = tail.find(key[:1], at + 1)
    return 0
