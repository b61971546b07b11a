"""What an operator can do about a destination that fails. Pure."""

from __future__ import annotations

from typing import Final

_NO_ANSWER: Final = "See that this machine reaches the endpoint: its address, DNS, TLS and any proxy between."
_BY_STATUS: Final = {
    400: "The endpoint does not understand the request; see that it takes OTLP over HTTP in protobuf.",
    401: "See that the destination's headers carry a valid key after its scheme (Elastic: ApiKey <key>).",
    403: "The key is known and lacks the right to write traces; give it that right.",
    404: "See the endpoint's path; for traces over OTLP/HTTP it usually ends in /v1/traces.",
    405: "See the endpoint's path; for traces over OTLP/HTTP it usually ends in /v1/traces.",
    413: "The endpoint takes smaller requests only; raise its limit.",
    415: "The endpoint does not take protobuf at this path; see that it is an OTLP/HTTP endpoint.",
    429: "The endpoint limits its intake; calls wait in the spool. If it goes on, raise the limit or sample.",
}


def advise(status: int | None) -> str:
    """Advice for a try that ended with this HTTP status, None without an answer."""
    if status is None:
        return _NO_ANSWER
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:  # noqa: PLR2004 - the class of server errors
        return "The endpoint itself has trouble; see its logs."
    return "See that the endpoint is written exactly as its operator gives it."
