"""One message to a webhook."""

from __future__ import annotations

import asyncio

import pytest

from gateway.delivery.webhook import Webhooks, refusal_of
from gateway.egress import OPEN, EgressRules, read_places
from tests.rig.webhook import Webhook


@pytest.mark.parametrize(
    ("url", "may_be_plain", "expected"),
    [
        ("https://hooks.example.com/services/x", False, ""),
        ("http://127.0.0.1:9/x", False, ""),
        ("http://[::1]/x", False, ""),
        ("http://localhost/x", False, ""),
        ("http://hooks.example.com/x", True, ""),
        (
            "http://hooks.example.com/x",
            False,
            "it is not https (budget_settings.alerts_over_http allows that)",
        ),
        (
            "http://127.0.0.1.example.com/x",
            False,
            "it is not https (budget_settings.alerts_over_http allows that)",
        ),
        (
            "http://127.0.0.1@example.com/x",
            False,
            "it is not https (budget_settings.alerts_over_http allows that)",
        ),
        ("file:///etc/passwd", True, "it is no http or https URL"),
        ("hooks.example.com/x", True, "it is no http or https URL"),
        ("https:///x", True, "it is no http or https URL"),
        ("https://host:99999/x", True, "it is no URL"),
        ("https://[x", True, "it is no URL"),
    ],
)
def test_where_messages_may_go(url: str, expected: str, *, may_be_plain: bool) -> None:
    """Encrypted, or to this machine."""
    assert refusal_of(url, may_be_plain=may_be_plain) == expected


async def test_what_a_webhook_answers() -> None:
    """200 is taken; a redirect is not followed."""
    with Webhook() as hook:
        hook.statuses = [500, 302]
        sender = Webhooks(lambda _: None)
        try:
            said = [(await sender.send(hook.url, {"text": "hi"})).what for _ in range(3)]
        finally:
            await sender.close()
    assert said == ["it answered with status 500", "it answered with status 302", ""]
    assert (hook.asked, hook.bodies) == (3, [{"text": "hi"}])


async def test_nobody_there() -> None:
    """The address is a secret, and in no word of what is said."""
    with Webhook() as hook:
        url = hook.url
    sender = Webhooks(lambda _: None)
    try:
        gone = await sender.send(url, {})
        odd = await sender.send("https://exa mple/canary", {})
    finally:
        await sender.close()
    for sending in (gone, odd):
        assert not sending.is_taken
        assert "127.0.0.1" not in sending.what
        assert "canary" not in sending.what


async def test_silence_is_waited_for_no_longer_than_told() -> None:
    """A receiver that takes the connection and says nothing."""
    hold, begun = asyncio.Event(), asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await hold.wait()
        writer.close()
        await writer.wait_closed()
        left.set()

    left = asyncio.Event()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sender = Webhooks(lambda _: None, timeout_s=0.5)
    try:
        assert (await sender.send(f"http://127.0.0.1:{port}/", {})).what == "no answer within 0.5 s"
    finally:
        hold.set()
        if begun.is_set():
            await left.wait()
        await sender.close()
        server.close()


async def test_an_address_that_is_not_called() -> None:
    """Nothing is sent there, by the rules of that moment; the address is in no word of what is said."""
    rules = OPEN
    with Webhook() as hook:
        sender = Webhooks(lambda _: None, egress=lambda: rules)
        through_proxy = Webhooks(lambda _: "http://127.0.0.1:1", egress=lambda: rules)
        try:
            rules = EgressRules(refuses_private=True)
            refused = await sender.send(hook.url, {})
            by_name = await sender.send(hook.url.replace("127.0.0.1", "localhost"), {})
            proxied = await through_proxy.send("http://169.254.169.254/canary", {})
            rules = EgressRules(allow=read_places(["127.0.0.0/8"]), refuses_private=True)
            taken = await sender.send(hook.url, {})
        finally:
            await sender.close()
            await through_proxy.close()
    what = "its address is one that this gateway is not to call (egress_settings)"
    assert [refused.what, by_name.what, proxied.what] == [what] * 3
    assert taken.is_taken
    assert hook.asked == 1
