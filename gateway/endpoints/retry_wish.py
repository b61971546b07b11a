"""What a caller wishes of retries: `x-tfy-retry-config`, a JSON object with `retry_config`'s members.

Their names may be written as in the manifests (`on_status_codes`) or as TrueFoundry's header has them
(`onStatusCodes`), statuses as numbers or as text. What is allowed is what an operator may write.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Final

import msgspec

from gateway.errors import InvalidBody
from gateway.model import Headers, RetryPolicy

RETRY_HEADER: Final = "x-tfy-retry-config"
MOST_RETRIES: Final = 10
LONGEST_DELAY_MS: Final = 60_000

_LOWEST_STATUS: Final = 100
_HIGHEST_STATUS: Final = 599
_MAX_CHARACTERS: Final = 2048
"""Room for more than all statuses that there are."""


class RetryWish(msgspec.Struct, frozen=True):
    """How often each target is tried again; None for what is left to the target's policy.

    Attributes:
        retries: Tries after the first.
        delay_ms: Wait before each, in milliseconds.
        on_status: Statuses worth another try.
    """

    retries: int | None = None
    delay_ms: int | None = None
    on_status: frozenset[int] | None = None

    def over(self, policy: RetryPolicy) -> RetryPolicy:
        """*policy* of a target, with what is wished in its place."""
        return RetryPolicy(
            policy.retries if self.retries is None else self.retries,
            policy.delay_ms if self.delay_ms is None else self.delay_ms,
            policy.on_status if self.on_status is None else self.on_status,
            policy.bounds,
        )


_Statuses = frozenset[Annotated[int, msgspec.Meta(ge=_LOWEST_STATUS, le=_HIGHEST_STATUS)]]


class _Written(msgspec.Struct):
    """The header's value; members of other names have no meaning here."""

    attempts: Annotated[int, msgspec.Meta(ge=0, le=MOST_RETRIES)] | None = None
    delay: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_DELAY_MS)] | None = None
    on_status_codes: _Statuses | None = None
    camel_codes: _Statuses | None = msgspec.field(default=None, name="onStatusCodes")


_decoder: Final = msgspec.json.Decoder(_Written, strict=False)


def read_retry_wish(headers: Headers) -> RetryWish | None:
    """The wish of a call, None when it has none.

    Raises:
        InvalidBody: It is malformed, or asks for more than may be.
    """
    text = headers.get(RETRY_HEADER)
    return None if text is None else _parse(text)


# An application wishes the same again and again. What is wrong is not kept.
@lru_cache(maxsize=64)
def _parse(text: str) -> RetryWish:
    if len(text) > _MAX_CHARACTERS:
        raise _malformed(f"it is longer than {_MAX_CHARACTERS} characters")
    try:
        written = _decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise _malformed(str(error)) from error
    codes = written.on_status_codes if written.camel_codes is None else written.camel_codes
    return RetryWish(written.attempts, written.delay, codes)


def _malformed(what: str) -> InvalidBody:
    message = (
        f'{RETRY_HEADER} must be a JSON object such as {{"attempts":2,"onStatusCodes":[429,503]}}, with at '
        f"most {MOST_RETRIES} attempts: {what}."
    )
    return InvalidBody(message, param=RETRY_HEADER)
