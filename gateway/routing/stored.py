"""Which account made a stored object, and for whom, so that later calls about it find their way.

In a table that the workers of a host share and that outlives them, and replicas where there are some. Of ids
and names only hashes are kept: who reads the file learns none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.errors import AccountNotAllowed
from gateway.model import TABLE_KEY_BYTES, Caller, Elsewhere, Table, Target

_PRINT_BYTES: Final = 8
MAKER_AT: Final = 2 * _PRINT_BYTES
"""Where the maker is in what is kept."""

_MOST_HEARD: Final = 64
"""Ids that other replicas are asked for at once."""

_LONGEST_ID: Final = 128
_DAY_S: Final = 86_400
_RESPONSE: Final = "resp_"
_RESPONSE_DAYS: Final = 31
_DAYS: Final = 366
_PART_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object comes from: fingerprints of the names of its account, its model and its maker."""

    account: bytes
    model: bytes
    maker: bytes

    def is_of(self, caller: Caller) -> bool:
        """Whether *caller* made it."""
        return self.maker == fingerprint(caller.name)

    def check_maker(self, caller: Caller, account: str) -> None:
        """Check that *caller* may have it.

        Args:
            caller: Who wants it.
            account: That of its origin, "" when it is not configured any more.

        Raises:
            AccountNotAllowed: Somebody else made it, and *caller* may not use the account as a whole.
        """
        if self.is_of(caller) or account in caller.accounts:
            return
        message = (
            "This was made by another caller. Who made it can use it, and who has the right to the account "
            f"as a whole, which {caller.name} has not."
        )
        raise AccountNotAllowed(message)


class StoredObjects:
    """The objects that were made through this host, as far as they are remembered.

    Args:
        table: Of the host.
        elsewhere: What other replicas know; None where there are none.

    Attributes:
        is_shared: There are other replicas to ask.
    """

    def __init__(self, table: Table, elsewhere: Elsewhere | None = None) -> None:
        self.is_shared = elsewhere is not None
        self._table = table
        self._elsewhere = elsewhere

    def made(self, object_id: str, target: Target, caller: Caller) -> None:
        """Note that *target*'s account has an object of this id, made for *caller*.

        What another caller made stays as it is: who cancels an object has not made it.
        """
        # OpenAI keeps responses for 30 days, and files and the like until they are deleted.
        self._note(object_id, target, caller, _RESPONSE_DAYS if object_id.startswith(_RESPONSE) else _DAYS)

    def made_part(self, name: str, target: Target, caller: Caller) -> None:
        """The same of a part of a reply, such as an item; there are many, so they are the first to go."""
        self._note(name, target, caller, _PART_DAYS)

    def _note(self, name: str, target: Target, caller: Caller, days: int) -> None:
        if not is_object_id(name):
            return
        known = self.find((name,))
        if known is not None and known.maker != fingerprint(caller.name):
            return
        value = fingerprint(target.account) + fingerprint(target.name) + fingerprint(caller.name)
        self._table.put(_key(name), value, keep_s=days * _DAY_S)

    async def hear(self, object_ids: Iterable[str]) -> bool:
        """Ask other replicas of those of *object_ids* that are not known here; whether one is known there."""
        if self._elsewhere is None:
            return False
        keys = [_key(each) for each in object_ids if is_object_id(each)]
        return bool(keys) and await self._elsewhere.hear(keys[:_MOST_HEARD])

    def find(self, object_ids: Iterable[str]) -> Origin | None:
        """The origin of the first of *object_ids* that is known, None when none is."""
        for object_id in object_ids:
            value = self._table.find(_key(object_id)) if is_object_id(object_id) else None
            if value is not None:
                parts = [value[at : at + _PRINT_BYTES] for at in range(0, 3 * _PRINT_BYTES, _PRINT_BYTES)]
                return Origin(*parts)
        return None


def is_object_id(word: str) -> bool:
    """Whether *word* may be an id: it has a prefix that says of what; a model's name or a word has none."""
    return len(word) <= _LONGEST_ID and ("_" in word or "-" in word)


def fingerprint(name: str) -> bytes:
    """What stands for a name."""
    return hashlib.blake2b(name.encode(errors="replace"), digest_size=_PRINT_BYTES).digest()


def _key(object_id: str) -> bytes:
    return hashlib.blake2b(object_id.encode(errors="replace"), digest_size=TABLE_KEY_BYTES).digest()
