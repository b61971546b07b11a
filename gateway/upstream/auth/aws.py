"""Signing requests for AWS: Signature Version 4, made by its library botocore.

A signature covers method, host, path, query, body, and of the headers the content type and every `x-amz-*`:
what is signed must be what is sent, so it is made last. Credentials are held by a worker and renewed beside
its calls; only a call that finds none waits, and several that do wait for the same.

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, Protocol

from gateway.errors import BodyTooLarge, GatewayError, UpstreamUnreachable
from gateway.model import AwsSigning, BodySource, HeaderPairs
from gateway.tasks import end, spawn
from gateway.upstream.auth.aws_credentials import NOT_SIGNED_IN, Credentials, Fetched
from gateway.wire.http_date import parse_http_date

ANSWER_WITHIN_S: Final = 25.0
"""How long a call waits for credentials; what botocore does by itself is over by then."""

PAUSE_S: Final = 10.0
"""Between two tries to renew credentials that still work."""

MAX_HELD: Final = 1024
"""Credentials kept; those of configurations that are no more are among them."""

THREAD_BYTES: Final = 256 * 1024
"""A longer body is hashed in a thread: a megabyte takes 0.6 ms, a thread's turn 0.1 ms."""

MAX_SIGNED_BYTES: Final = 32 * 1024 * 1024
"""Most of a body that comes in pieces and is held to be signed; Bedrock takes 25 MB."""

_FORBIDDEN: Final = frozenset({400, 401, 403})
_CONTENT_TYPE: Final = b"content-type: "
# How AWS says that who signed is not good. Other credentials may be.
_UNKNOWN_SIGNERS: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
)
# And that a signature is not: nothing that the caller could mend. Credentials stay: fetching others for every
# request that cannot be signed well would let one caller use the token service up for all.
_REFUSALS: Final = _UNKNOWN_SIGNERS | {
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
_SIGNIFICANT_SKEW_S: Final = 60.0
_DETAIL_CHARACTERS: Final = 300

_log: Final = logging.getLogger(__name__)

_LIBRARY: Final = "gateway.upstream.auth.aws_library"
_MAX_FETCHING: Final = 4
_MAX_SIGNING: Final = 2

Pairs = list[tuple[str, str]]


class Source(Protocol):
    """Where credentials come from; see `aws_library.CredentialSource`."""

    def fetch(self, signing: AwsSigning) -> Fetched:
        """Credentials; blocks, and raises `UpstreamUnreachable`."""


@dataclass(slots=True)
class _Held:
    """Credentials, and when they are to be renewed and when they end, in seconds of the clock."""

    credentials: Credentials
    renew_at_s: float
    ends_at_s: float


class Signers:
    """Signs the requests of one worker."""

    def __init__(
        self,
        now_s: Callable[[], float],
        *,
        answer_within_s: float = ANSWER_WITHIN_S,
        source: Source | None = None,
    ) -> None:
        """Prepare.

        Args:
            now_s: A clock that only goes forward.
            answer_within_s: How long a call waits for credentials.
            source: Gives them, in a thread; None: botocore does.
        """
        self._now_s = now_s
        self._source = source
        self._library: ModuleType | None = None
        # Each starts no thread before it has work. What waits for AWS must not hold up what only counts.
        self._fetching = ThreadPoolExecutor(_MAX_FETCHING, thread_name_prefix="aws")
        self._signing = ThreadPoolExecutor(_MAX_SIGNING, thread_name_prefix="aws-signing")
        self._answer_within_s = answer_within_s
        self._held: dict[AwsSigning, _Held] = {}
        self._renewing: dict[AwsSigning, asyncio.Task[Credentials | GatewayError]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def sign(
        self, signing: AwsSigning, method: str, url: str, headers: Pairs, body: bytes, *, lines: bytes = b""
    ) -> tuple[Pairs, Credentials]:
        """The headers to send, signed ones included, and what they were signed with.

        Args:
            signing: Whose signature.
            method: Of the request; *url* and *body* likewise, as they are sent.
            headers: What is sent beside them.
            lines: Header lines that are sent as well.

        Raises:
            UpstreamUnreachable: There are no credentials.
        """
        credentials = await self.find(signing)
        callers = [pair for pair in headers if not _is_of_signature(pair[0])]
        signed = dict(pair for pair in callers if _is_signed(pair[0]))
        if "content-type" not in signed and (kind := _content_type(lines)):
            signed["content-type"] = kind
        library = self._library or await self._in_signing_thread(self._load)
        if len(body) > THREAD_BYTES:
            made = await self._in_signing_thread(
                library.signature, signing, credentials, method, url, signed, body
            )
        else:
            made = library.signature(signing, credentials, method, url, signed, body)
        return [*callers, *made], credentials

    async def find(self, signing: AwsSigning) -> Credentials:
        """The credentials to sign with now.

        Raises:
            UpstreamUnreachable: There are none.
        """
        held = self._held.get(signing)
        now_s = self._now_s()
        if held is not None and now_s < held.ends_at_s:
            if now_s >= held.renew_at_s:
                held.renew_at_s = now_s + PAUSE_S
                self._renew(signing)
            return held.credentials
        # Shielded: a caller that leaves must not end the wait of the others.
        outcome = await asyncio.shield(self._renew(signing))
        if isinstance(outcome, GatewayError):
            raise UpstreamUnreachable(NOT_SIGNED_IN, detail=_why(outcome))
        return outcome

    def check(self, signing: AwsSigning, credentials: Credentials, status: int, headers: HeaderPairs) -> None:
        """Look whether AWS took the signature.

        Raises:
            UpstreamUnreachable: It did not. Its own words are not passed on: they are for the operator, and
                quote what was signed.
        """
        if status not in _FORBIDDEN:
            return
        found = dict(headers)
        kind = found.get(b"x-amzn-errortype", b"").partition(b":")[0].decode("latin-1")
        if kind not in _REFUSALS:
            return
        held = self._held.get(signing)
        if kind in _UNKNOWN_SIGNERS and held is not None and held.credentials is credentials:
            del self._held[signing]
        detail = f"AWS refused the signature ({kind}){_told_skew(found.get(b'date', b''))}"
        _log.warning("%s in %s: %s", signing.service, signing.region, detail)
        raise UpstreamUnreachable(NOT_SIGNED_IN, detail=detail)

    async def close(self) -> None:
        """End what is being fetched; a thread that waits ends by itself."""
        await end(self._tasks)
        for threads in (self._fetching, self._signing):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _in_signing_thread(self, function: Callable[..., Any], *arguments: object) -> Any:
        """Run *function* in a thread of our own: the loop's serve the look-up of names as well."""
        return await asyncio.get_running_loop().run_in_executor(self._signing, function, *arguments)

    def _load(self) -> ModuleType:
        """Import the library, in a thread."""
        if self._library is None:
            self._library = importlib.import_module(_LIBRARY)
        return self._library

    def _get(self, signing: AwsSigning) -> Fetched:
        """Credentials, in a thread."""
        if self._source is None:
            self._source = self._load().CredentialSource()
        return self._source.fetch(signing)

    def _renew(self, signing: AwsSigning) -> asyncio.Task[Credentials | GatewayError]:
        task = self._renewing.get(signing)
        if task is None:
            task = spawn(self._fetch(signing), name="aws-credentials", owner=self._tasks)
            self._renewing[signing] = task
            task.add_done_callback(lambda _: self._renewing.pop(signing, None))
        return task

    async def _fetch(self, signing: AwsSigning) -> Credentials | GatewayError:
        try:
            async with asyncio.timeout(self._answer_within_s):
                fetched: Fetched = await asyncio.get_running_loop().run_in_executor(
                    self._fetching, self._get, signing
                )
        except TimeoutError:
            detail = f"no credentials of AWS within {self._answer_within_s:g} s"
            error: GatewayError = UpstreamUnreachable(NOT_SIGNED_IN, detail=detail)
        except GatewayError as failure:
            error = failure
        else:
            now_s = self._now_s()
            if len(self._held) >= MAX_HELD:
                # Those in use are asked for again.
                self._held.clear()
            self._held[signing] = _Held(
                fetched.credentials, now_s + fetched.renew_after_s, now_s + fetched.life_s
            )
            return fetched.credentials
        error.detail = error.detail[:_DETAIL_CHARACTERS]
        _log.warning("no credentials for %s in %s: %s", signing.service, signing.region, _why(error))
        return error


def _why(error: GatewayError) -> str:
    """What went wrong, without the sentence that callers read when it says no more than that it did."""
    return error.detail if error.message == NOT_SIGNED_IN and error.detail else error.for_operator


async def held_body(source: BodySource) -> bytes:
    """All of a body that comes in pieces: a signature covers it, and goes before it.

    Raises:
        BodyTooLarge: It is longer than `MAX_SIGNED_BYTES`.
        GatewayError, ClientDisconnected: What *source* raises.
    """
    parts: list[bytes] = []
    size = 0
    while piece := await source.read_piece():
        parts.append(piece)
        size += len(piece)
        if size > MAX_SIGNED_BYTES:
            message = f"The body is longer than {MAX_SIGNED_BYTES} bytes, which is the most that is signed."
            raise BodyTooLarge(message)
    return b"".join(parts)


def _is_signed(name: str) -> bool:
    return name == "content-type" or name.startswith("x-amz")


def _is_of_signature(name: str) -> bool:
    """Whether it would be another signature, or what one was made with."""
    return name in {"authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"}


def _content_type(lines: bytes) -> str:
    start = lines.find(_CONTENT_TYPE)
    if start < 0:
        return ""
    start += len(_CONTENT_TYPE)
    return lines[start : lines.index(b"\r\n", start)].decode("latin-1")


def _told_skew(date: bytes) -> str:
    """What the reply's own date says of our clock, which is what breaks signatures that are right."""
    try:
        skew_s = time.time() - parse_http_date(date.decode("latin-1"))
    except ValueError:
        return ""
    if abs(skew_s) < _SIGNIFICANT_SKEW_S:
        return ""
    side = "ahead of" if skew_s > 0 else "behind"
    return f"; this host's clock is {abs(skew_s):.0f} s {side} AWS's"
