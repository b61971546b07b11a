"""Which close code becomes which."""

from __future__ import annotations

import pytest

from gateway.wire.close_codes import (
    code_for_caller,
    code_for_provider,
    code_of_status,
    is_sendable,
    short_reason,
)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1011, 1014, 3000, 3999, 4000, 4999])
def test_sendable(code: int) -> None:
    """What a close frame may have passes both ways."""
    assert (is_sendable(code), code_for_provider(code), code_for_caller(code)) == (True, code, code)


@pytest.mark.parametrize(
    ("code", "provider", "caller"),
    [
        (1005, 1000, 1000),
        (1006, 1001, 1014),
        *((code, 1001, 1014) for code in (0, 999, 1004, 1015, 1016, 2999, 5000)),
    ],
)
def test_not_sendable(code: int, provider: int, caller: int) -> None:
    """The others stand for something, and that is said with a code that may be sent."""
    assert (is_sendable(code), code_for_provider(code), code_for_caller(code)) == (False, provider, caller)


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 1008), (401, 3000), (403, 3003), (404, 1008), (413, 1009), (429, 1013), (302, 1014), (500, 1014),
     (502, 1014), (503, 1013), (504, 3008)],
)  # fmt: skip
def test_code_of_status(status: int, code: int) -> None:
    """Each status has a code that says the same."""
    assert code_of_status(status) == code


@pytest.mark.parametrize(
    ("reason", "short"), [("", ""), ("x" * 123, "x" * 123), ("x" * 124, "x" * 123), ("ä" * 62, "ä" * 61)]
)
def test_short_reason(reason: str, short: str) -> None:
    """A frame holds 123 bytes, and no half characters."""
    assert short_reason(reason) == short
