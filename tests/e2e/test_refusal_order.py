"""The order of refusals: the first that applies is the answer.

404/405 path, 401 (before a body byte is read), 413, 400, 404 model, 403.
"""

from __future__ import annotations

import pytest

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import NARROW_TOKEN, bearer, chat_body
from tests.rig.raw_http import request_bytes

CHAT = "/v1/chat/completions"
JSON = ("content-type", "application/json")
TOO_MUCH = ("content-length", "50000000")
WRONG = bearer("canary-wrong-token")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/nowhere", [WRONG, TOO_MUCH], 404),
        ("/v1/models", [WRONG, TOO_MUCH], 405),
        (CHAT, [WRONG, TOO_MUCH], 401),
        (CHAT, [TOO_MUCH], 401),
        (CHAT, [bearer(), TOO_MUCH], 413),
    ],
    ids=["path-before-token", "method-before-token", "wrong-before-413", "none-before-413", "413"],
)
def test_what_the_head_alone_decides(
    gateway: GatewayProcess, path: str, headers: list[tuple[str, str]], status: int
) -> None:
    """Answered although no byte of the announced body was ever sent."""
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", path, [JSON, *headers]))
        assert connection.read_reply().status == status


@pytest.mark.parametrize(
    ("headers", "status", "allow"),
    [([], 405, "POST"), ([WRONG], 401, None), ([bearer(), ("x-tfy-provider-name", "none")], 404, None)],
    ids=["no token", "wrong token", "right token"],
)
def test_list_of_stored_completions(
    gateway: GatewayProcess, headers: list[tuple[str, str]], status: int, allow: str | None
) -> None:
    """Passed on for whoever has a key; else GET is a wrong method on the path of a call, as anywhere."""
    with gateway.connect() as connection:
        reply = connection.exchange("GET", CHAT, headers)
    assert (reply.status, reply.header("allow")) == (status, allow)


@pytest.mark.parametrize("part", [b"", b'{"model":"fa'], ids=["nothing", "part"])
@pytest.mark.parametrize("announced", [("content-length", "500"), ("transfer-encoding", "chunked")])
def test_401_comes_before_the_body(gateway: GatewayProcess, part: bytes, announced: tuple[str, str]) -> None:
    """A wrong token is refused while the body is still on its way."""
    with gateway.connect() as connection:
        head = request_bytes("POST", CHAT, [WRONG, JSON, announced])
        if part and announced[0] == "transfer-encoding":
            part = f"{len(part):x}\r\n".encode() + part + b"\r\n"
        connection.send(head + part)
        assert connection.read_reply().status == 401


def test_no_invitation_to_send_a_body_that_is_not_wanted(gateway: GatewayProcess) -> None:
    """`Expect: 100-continue` with a wrong token gets the 401, not `100 Continue`."""
    with gateway.connect() as connection:
        headers = [WRONG, JSON, ("content-length", "500"), ("expect", "100-continue")]
        connection.send(request_bytes("POST", CHAT, headers))
        first = connection.socket.recv(65536)
        assert first.startswith(b"HTTP/1.1 401")


def test_body_is_invited_from_a_known_caller(gateway: GatewayProcess) -> None:
    """`Expect: 100-continue` with a right token: the body is asked for, and the call goes on."""
    body = chat_body("fake/normal")
    with gateway.connect() as connection:
        headers = [bearer(), JSON, ("content-length", str(len(body))), ("expect", "100-continue")]
        connection.send(request_bytes("POST", CHAT, headers))
        assert connection.socket.recv(65536).startswith(b"HTTP/1.1 100")
        connection.send(body)
        assert connection.read_reply().status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{broken", 400),
        (chat_body("no/such"), 404),
        (chat_body("fake/tools"), 403),
        (chat_body("fake/normal"), 200),
    ],
    ids=["400", "404", "403", "200"],
)
def test_order_after_the_body(
    gateway: GatewayProcess, upstream: FakeUpstream, body: bytes, status: int
) -> None:
    """The same caller, each refusal in its turn; only the last reaches a provider."""
    with gateway.connect() as connection:
        reply = connection.exchange("POST", CHAT, [bearer(NARROW_TOKEN), JSON], body)
    assert reply.status == status
    assert len(upstream.exchanges) == (status == 200)
