"""Signing beside calls: credentials are got once, renewed in time, and never waited for by the loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from email.utils import formatdate

import pytest

from gateway.errors import BodyTooLarge, UpstreamUnreachable
from gateway.model import AwsSigning
from gateway.upstream.auth.aws import MAX_HELD, MAX_SIGNED_BYTES, PAUSE_S, THREAD_BYTES, Signers, held_body
from gateway.upstream.auth.aws_credentials import NOT_SIGNED_IN, Credentials, Fetched
from tests.rig.aws_signatures import Keys, verify
from tests.rig.until import until_async

SIGNING = AwsSigning("bedrock", "us-east-1")
URL = "https://bedrock-runtime.us-east-1.amazonaws.com/model/a.b-v1%3A0/converse"
HOST = ("host", "bedrock-runtime.us-east-1.amazonaws.com")


class Givings:
    """A source that gives `AK1`, `AK2` and so on, each good for 100 s, or raises what is put in `errors`."""

    def __init__(self) -> None:
        self.given = 0
        self.waiting = 0
        self.errors: list[Exception] = []
        self.gate = threading.Event()
        self.gate.set()
        self.threads: set[str] = set()
        self.now_s = 1000.0

    def fetch(self, signing: AwsSigning) -> Fetched:
        assert signing.service
        self.threads.add(threading.current_thread().name)
        self.waiting += 1
        assert self.gate.wait(60)
        self.waiting -= 1
        if self.errors:
            raise self.errors.pop()
        self.given += 1
        return Fetched(Credentials(f"AK{self.given}", "secret", f"token-{self.given}"), 80.0, 100.0)


@pytest.fixture
def givings() -> Givings:
    return Givings()


@pytest.fixture
async def signers(givings: Givings) -> AsyncIterator[Signers]:
    made = Signers(lambda: givings.now_s, source=givings)
    yield made
    givings.gate.set()
    await made.close()


async def test_what_is_signed(signers: Signers) -> None:
    """Content type and `x-amz-*`; what others may change on the way is not; a caller's signature goes."""
    headers = [
        ("traceparent", "00-1"),
        ("x-amzn-bedrock-trace", "ENABLED"),
        ("authorization", "AWS4-HMAC-SHA256 Credential=theirs"),
        ("x-amz-date", "20200101T000000Z"),
        ("x-amz-security-token", "theirs"),
    ]
    lines = b"user-agent: x\r\ncontent-type: application/json\r\naccept: application/json\r\n"
    made, credentials = await signers.sign(SIGNING, "POST", URL, headers, b"{}", lines=lines)
    assert credentials.access_key == "AK1"
    assert dict(made)["traceparent"] == "00-1"
    assert "theirs" not in str(made)
    scope = verify(
        "POST",
        "/model/a.b-v1%3A0/converse",
        [HOST, ("content-type", "application/json"), *made],
        b"{}",
        Keys({"AK1": "secret"}, {"AK1": "token-1"}),
    )
    assert set(scope.signed_headers) == {
        *("content-type", "host", "x-amz-date", "x-amz-security-token", "x-amzn-bedrock-trace")
    }


async def test_a_content_type_of_the_request_comes_first(signers: Signers) -> None:
    """A passage has it among its headers, and no lines."""
    made, _ = await signers.sign(SIGNING, "POST", URL, [("content-type", "text/plain")], b"")
    assert [value for name, value in made if name == "content-type"] == ["text/plain"]
    assert "content-type;host" in dict(made)["authorization"]
    made, _ = await signers.sign(SIGNING, "GET", URL, [], b"")
    assert "SignedHeaders=host;" in dict(made)["authorization"]


async def test_a_long_body_is_hashed_in_a_thread(signers: Signers) -> None:
    """The signature is as good."""
    body = b"x" * (THREAD_BYTES + 1)
    made, _ = await signers.sign(SIGNING, "POST", URL, [], body)
    keys = Keys({"AK1": "secret"}, {"AK1": "token-1"})
    scope = verify("POST", "/model/a.b-v1%3A0/converse", [HOST, *made], body, keys)
    assert scope.access_key_id == "AK1"


async def test_got_once(givings: Givings, signers: Signers) -> None:
    """Calls that come together wait for the same; one that leaves ends the wait of no other."""
    givings.gate.clear()
    calls = [asyncio.ensure_future(signers.find(SIGNING)) for _ in range(3)]
    await until_async(lambda: bool(givings.threads), "the source is asked")
    calls[0].cancel()
    givings.gate.set()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert [one.access_key for one in found[1:] if isinstance(one, Credentials)] == ["AK1", "AK1"]
    assert all(name.startswith("aws") for name in givings.threads)


async def test_renewed_beside_calls(givings: Givings, signers: Signers) -> None:
    """Before they end, without a call that waits; each account has its own."""
    assert (await signers.find(SIGNING)).access_key == "AK1"
    assert (await signers.find(AwsSigning("bedrock", "eu-west-1"))).access_key == "AK2"
    givings.now_s += 81
    assert (await signers.find(SIGNING)).access_key == "AK1"
    await until_async(lambda: givings.given == 3, "others have been fetched")
    await until_async(lambda: not signers._renewing, "they have come")
    assert (await signers.find(SIGNING)).access_key == "AK3"
    givings.now_s += 101
    assert (await signers.find(SIGNING)).access_key == "AK4"


async def test_why_there_are_none(
    givings: Givings, signers: Signers, caplog: pytest.LogCaptureFixture
) -> None:
    """Span and log say it, and not once more that nobody was signed in."""
    givings.errors = [UpstreamUnreachable(NOT_SIGNED_IN, detail="no identity")]
    with caplog.at_level(logging.WARNING), pytest.raises(UpstreamUnreachable) as caught:
        await signers.find(SIGNING)
    assert caught.value.for_operator == f"{NOT_SIGNED_IN} no identity"
    assert caplog.messages == ["no credentials for bedrock in us-east-1: no identity"]


async def test_a_renewal_that_fails(
    givings: Givings, signers: Signers, caplog: pytest.LogCaptureFixture
) -> None:
    """What still works is used, another try comes after a pause, and at the end the call says why."""
    await signers.find(SIGNING)
    givings.now_s += 81
    givings.errors = [UpstreamUnreachable("no", detail="no identity")] * 3
    with caplog.at_level(logging.WARNING):
        assert (await signers.find(SIGNING)).access_key == "AK1"
        await until_async(lambda: len(givings.errors) == 2, "the source has failed")
        await until_async(lambda: not signers._renewing, "that is known")
        assert (await signers.find(SIGNING)).access_key == "AK1"
        assert len(givings.errors) == 2
        givings.now_s += PAUSE_S
        await signers.find(SIGNING)
        await until_async(lambda: len(givings.errors) == 1, "it was tried again")
        await until_async(lambda: not signers._renewing, "that is known too")
    givings.now_s += 100
    with pytest.raises(UpstreamUnreachable) as caught:
        await signers.find(SIGNING)
    assert "no identity" in caught.value.for_operator
    assert "no credentials for bedrock in us-east-1" in caplog.text


async def test_a_source_that_hangs(givings: Givings) -> None:
    """No call waits for ever."""
    signers = Signers(lambda: givings.now_s, source=givings, answer_within_s=0.01)
    givings.gate.clear()
    with pytest.raises(UpstreamUnreachable) as caught:
        await signers.find(SIGNING)
    assert "within 0.01 s" in caught.value.detail
    givings.gate.set()
    await signers.close()


async def test_sources_that_hang_hold_up_no_signature(givings: Givings, signers: Signers) -> None:
    """What waits for AWS's answers has threads of its own: a long body is hashed all the same."""
    await signers.find(SIGNING)
    givings.gate.clear()
    waits = [
        asyncio.create_task(signers.find(AwsSigning("bedrock", f"region-{number}"))) for number in range(8)
    ]
    await until_async(lambda: givings.waiting >= 4, "the sources hang")
    made, _ = await asyncio.wait_for(signers.sign(SIGNING, "POST", URL, [], b"x" * (THREAD_BYTES + 1)), 60)
    assert "authorization" in dict(made)
    assert not any(wait.done() for wait in waits)
    givings.gate.set()
    await asyncio.gather(*waits)


async def test_credentials_are_bounded(signers: Signers) -> None:
    """Those of configurations that are no more do not heap up."""
    for number in range(MAX_HELD + 1):
        await signers.find(AwsSigning("bedrock", f"region-{number}"))
    assert len(signers._held) == 1


async def test_a_signature_that_is_refused(
    givings: Givings, signers: Signers, caplog: pytest.LogCaptureFixture
) -> None:
    """Told to the operator, who alone can mend it; the next call fetches credentials anew."""
    credentials = await signers.find(SIGNING)
    headers = [(b"x-amzn-errortype", b"ExpiredTokenException:http://internal.amazon.com/x")]
    with caplog.at_level(logging.WARNING), pytest.raises(UpstreamUnreachable) as caught:
        signers.check(SIGNING, credentials, 403, headers)
    assert caught.value.detail == "AWS refused the signature (ExpiredTokenException)"
    assert "ExpiredTokenException" in caplog.text
    assert (await signers.find(SIGNING)).access_key == "AK2"
    with pytest.raises(UpstreamUnreachable):
        signers.check(SIGNING, credentials, 403, headers)
    # A late refusal of older ones is none of those that took their place.
    assert (await signers.find(SIGNING)).access_key == "AK2"
    assert givings.given == 2


async def test_a_request_that_is_not_signed_well(givings: Givings, signers: Signers) -> None:
    """Credentials are kept: others would not help, and one caller could use the token service up."""
    credentials = await signers.find(SIGNING)
    for kind in (b"InvalidSignatureException", b"SignatureDoesNotMatch", b"RequestTimeTooSkewed"):
        with pytest.raises(UpstreamUnreachable):
            signers.check(SIGNING, credentials, 403, [(b"x-amzn-errortype", kind)])
    assert await signers.find(SIGNING) is credentials
    assert givings.given == 1


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        pytest.param(1000, "s behind AWS's", id="behind"),
        pytest.param(-1000, "s ahead of AWS's", id="ahead"),
        pytest.param(0, "", id="right"),
        pytest.param("yesterday", "", id="no date"),
        pytest.param("", "", id="none"),
    ],
)
async def test_a_clock_that_is_wrong(signers: Signers, theirs: int | str, told: str) -> None:
    """The usual reason for a good signature that is refused is told plainly."""
    date = theirs if isinstance(theirs, str) else formatdate(time.time() + theirs, usegmt=True)
    credentials = await signers.find(SIGNING)
    headers = [(b"x-amzn-errortype", b"InvalidSignatureException"), (b"date", date.encode())]
    with pytest.raises(UpstreamUnreachable) as caught:
        signers.check(SIGNING, credentials, 403, headers)
    assert ("this host's clock is" in caught.value.detail) == bool(told)
    assert told in caught.value.detail


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, b""), (403, b"AccessDeniedException"), (400, b"ValidationException"), (403, b"")],
)
async def test_other_answers_are_the_callers(signers: Signers, status: int, kind: bytes) -> None:
    """That a role may not use a model is no matter of its signature."""
    credentials = await signers.find(SIGNING)
    signers.check(SIGNING, credentials, status, [(b"x-amzn-errortype", kind)])
    assert (await signers.find(SIGNING)) is credentials


class Pieces:
    """A body of so many pieces of a megabyte."""

    length = None

    def __init__(self, count: int) -> None:
        self._left = count

    async def read_piece(self) -> bytes:
        self._left -= 1
        return b"x" * 1024 * 1024 if self._left >= 0 else b""

    async def until_gone(self) -> None:
        raise AssertionError


async def test_a_body_that_comes_in_pieces_is_held() -> None:
    """It must be there before its signature; so there is a bound."""
    assert len(await held_body(Pieces(2))) == 2 * 1024 * 1024
    with pytest.raises(BodyTooLarge):
        await held_body(Pieces(MAX_SIGNED_BYTES // (1024 * 1024) + 1))
