"""What a call may use, before it is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.endpoints.bedrock_call import read_bedrock_call
from gateway.endpoints.bedrock_catalogue import CONVERSE, INVOKE
from gateway.endpoints.catalogue import (
    CHAT,
    COMPLETION,
    COUNT_TOKENS,
    EMBEDDING,
    IMAGE,
    MESSAGES,
    RESPONSE,
    SPEECH,
)
from gateway.endpoints.gemini_call import read_gemini_call
from gateway.endpoints.gemini_catalogue import GENERATE
from gateway.endpoints.openai_call import parse_call, unread_call
from gateway.endpoints.openai_paths import find_openai_path
from gateway.limits.estimate import Estimate
from gateway.limits.output_sizes import OutputSizes
from gateway.model import Call, Endpoint
from gateway.pricing import price as prices
from tests.unit.makers import TokenPrice, make_target

TARGET = make_target()
HUNDRED = "x" * 400


def call_of(endpoint: Endpoint = CHAT, **members: Any) -> Call:
    return parse_call(
        endpoint, json.dumps({"model": "acct/small", **members}).encode(), model=None, account=None
    )


def tokens_of(call: Call, *, provider: str = "openai") -> int:
    target = make_target(provider=provider)
    return Estimate(call, (target,), OutputSizes()).amount("tokens", "")


def said(content: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("call", "tokens"),
    [
        pytest.param(call_of(messages=[said(HUNDRED)], max_tokens=50), 100 + 8 + 50, id="a chat"),
        pytest.param(
            call_of(messages=[said(HUNDRED)] * 3, max_tokens=50, user="ann"), 324 + 50, id="messages"
        ),
        pytest.param(
            call_of(messages=[said("ä" * 200)], max_tokens=1), 100 + 8 + 1, id="bytes, not characters"
        ),
        pytest.param(call_of(messages=[said("xxx")], max_tokens=1), 1 + 8 + 1, id="rounded up"),
        pytest.param(call_of(messages=[said(HUNDRED)], max_tokens=50, n=3), 108 + 150, id="choices"),
        pytest.param(
            call_of(COMPLETION, prompt=[HUNDRED, "x"], max_tokens=50, n=2, best_of=4), 101 + 400, id="best of"
        ),
        pytest.param(
            call_of(COMPLETION, prompt="x", max_tokens=50, n=2, best_of=1), 1 + 100, id="best of fewer"
        ),
        pytest.param(
            call_of(COMPLETION, prompt="x", max_tokens=50, best_of=10**30), 1 + (1 << 40), id="best of most"
        ),
        pytest.param(
            call_of(COMPLETION, prompt="x", max_tokens=50, best_of="4"), 1 + 200, id="best of a text"
        ),
        pytest.param(call_of(COMPLETION, prompt="x", max_tokens=50, best_of="x"), 51, id="best of no number"),
        pytest.param(call_of(messages=[said(HUNDRED)]), 108 + 1024, id="no maximum"),
        pytest.param(call_of(messages=[said(HUNDRED)], max_tokens=None), 108 + 1024, id="a null"),
        pytest.param(call_of(messages=[said(HUNDRED)], max_tokens=-5), 108 + 1024, id="a negative maximum"),
        pytest.param(call_of(messages=[said(HUNDRED)], max_tokens="9"), 108 + 1024, id="no number"),
        pytest.param(
            call_of(messages=[said(HUNDRED)], max_tokens=5, max_completion_tokens=50),
            108 + 50,
            id="two maxima",
        ),
        pytest.param(
            call_of(messages=[said(HUNDRED)], max_tokens=10**30), 108 + (1 << 40), id="a huge maximum"
        ),
        pytest.param(
            call_of(messages=[said([{"type": "text", "text": HUNDRED}])], max_tokens=1), 109, id="parts"
        ),
        pytest.param(
            call_of(RESPONSE, input=HUNDRED, instructions=HUNDRED, max_output_tokens=7), 207, id="a response"
        ),
        pytest.param(
            call_of(MESSAGES, system=HUNDRED, messages=[said(HUNDRED)], max_tokens=7), 215, id="Anthropic's"
        ),
        pytest.param(call_of(EMBEDDING, input=[HUNDRED, HUNDRED]), 200, id="embeddings"),
        pytest.param(call_of(EMBEDDING, input=[[1, 2, 3], [4]]), 4, id="embeddings of tokens"),
        pytest.param(call_of(SPEECH, input=HUNDRED), 1, id="what has no tokens"),
        pytest.param(unread_call(CHAT, "acct/small", 10_000), 1, id="what is not read"),
        pytest.param(call_of(COUNT_TOKENS, messages=[said(HUNDRED)]), 0, id="counting tokens"),
    ],
)
def test_tokens(call: Call, tokens: int) -> None:
    """Bytes of text / 4, 8 for each message, and the most that may be written, for each choice."""
    assert tokens_of(call) == tokens


def test_tools() -> None:
    """Their JSON is read as it is."""
    tools = [{"type": "function", "function": {"name": "f" * 300, "parameters": {}}}]
    size = len(json.dumps(tools))
    assert tokens_of(call_of(messages=[], tools=tools, max_tokens=1)) == -(-size // 4) + 1


@pytest.mark.parametrize(
    ("provider", "tokens"), [("openai", 1445), ("anthropic", 1600), ("gemini", 1120), ("other", 1445)]
)
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(
            call_of(
                messages=[said([{"type": "image_url", "image_url": {"url": "https://a.test/a.png"}}])],
                max_tokens=1,
            ),
            id="chat",
        ),
        pytest.param(
            call_of(
                messages=[
                    said([{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9999}}])
                ],
                max_tokens=1,
            ),
            id="chat, within",
        ),
        pytest.param(
            call_of(
                MESSAGES,
                messages=[
                    said(
                        [
                            {
                                "type": "image",
                                "source": {"type": "base64", "media_type": "image/png", "data": "A" * 999},
                            }
                        ]
                    )
                ],
                max_tokens=1,
            ),
            id="Anthropic's",
        ),
        pytest.param(
            call_of(
                RESPONSE,
                input=[said([{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}])],
                max_output_tokens=1,
            ),
            id="a response",
        ),
        pytest.param(
            read_gemini_call(
                GENERATE,
                b'{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAAAAAA"}}]}],'
                b'"generationConfig":{"maxOutputTokens":1}}',
                model="acct/small",
            ),
            id="Google's",
        ),
        pytest.param(
            read_bedrock_call(
                CONVERSE,
                b'{"messages":[{"role":"user","content":[{"image":{"format":"png","source":{"bytes":"AAAA"}}}]}],'
                b'"inferenceConfig":{"maxTokens":1}}',
                model="acct/small",
            ),
            id="Bedrock's",
        ),
    ],
)
def test_images(call: Call, provider: str, tokens: int) -> None:
    """A picture counts as its provider counts a big one, however it is written, and not as text."""
    assert tokens_of(call, provider=provider) == 8 + tokens + 1


ENCODED = "A" * 1600
"""As 300 tokens of text are sent in base64."""


def documents(part: dict[str, Any]) -> Call:
    return call_of(MESSAGES, messages=[said([part])], max_tokens=1)


@pytest.mark.parametrize(
    ("call", "tokens"),
    [
        pytest.param(call_of(messages=[said("data:" + "x" * 395)], max_tokens=1), 100, id="a message"),
        pytest.param(
            call_of(messages=[said([{"type": "text", "text": "data:image/" + "x" * 389}])], max_tokens=1),
            100,
            id="a part of one",
        ),
        pytest.param(
            call_of(messages=[said(HUNDRED) | {"mimeType": "image/png"}], max_tokens=1),
            100 + 1445,
            id="a message that is called a picture",
        ),
        pytest.param(
            documents(
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": HUNDRED},
                }
            ),
            100,
            id="Anthropic's document",
        ),
        pytest.param(
            call_of(
                messages=[said([{"type": "file", "file": {"file_data": "data:text/csv;base64," + ENCODED}}])],
                max_tokens=1,
            ),
            304,
            id="a file",
        ),
        pytest.param(
            read_gemini_call(
                GENERATE,
                b'{"contents":[{"parts":[{"inlineData":{"mimeType":"text/plain","data":"%b"}}]}],'
                b'"generationConfig":{"maxOutputTokens":1}}' % ENCODED.encode(),
                model="acct/small",
            ),
            300,
            id="Google's",
        ),
        pytest.param(
            read_bedrock_call(
                CONVERSE,
                b'{"messages":[{"role":"user","content":[{"document":{"format":"txt","name":"","source":'
                b'{"bytes":"%b"}}}]}],"inferenceConfig":{"maxTokens":1}}' % ENCODED.encode(),
                model="acct/small",
            ),
            300,
            id="Bedrock's",
        ),
    ],
)
def test_what_looks_like_media(call: Call, tokens: int) -> None:
    """A text counts as one, however it begins, and whatever it is in."""
    assert tokens_of(call) == 8 + tokens + 1


def test_sound() -> None:
    """Sound counts by its length, far below its bytes."""
    part = {"type": "input_audio", "input_audio": {"data": "A" * 40_000, "format": "wav"}}
    assert tokens_of(call_of(messages=[said([part])], max_tokens=1)) == 8 + 60 + 1


@pytest.mark.parametrize("kind", [{}, [], 1, None, {"a": "image"}], ids=str)
def test_types_that_are_none(kind: object) -> None:
    """What a caller calls the type of a part may be anything; it is then no picture."""
    call = call_of(messages=[said([{"type": kind, "text": HUNDRED * 4}])], max_tokens=1)
    assert tokens_of(call) < 1000


def test_deep_bodies() -> None:
    """What cannot be read as JSON counts as its bytes; deep JSON that can is measured."""
    deep: Any = HUNDRED
    for _ in range(300):
        deep = [deep]
    assert tokens_of(call_of(messages=[said(deep)], max_tokens=1)) == 109


def test_what_replies_usually_take() -> None:
    """Without a maximum it is what replies of this target hardly ever exceed."""
    sizes = OutputSizes()
    sizes.add("acct/small", 40)
    call = call_of(messages=[said(HUNDRED)])
    assert Estimate(call, (TARGET,), sizes).amount("tokens", "") == 148


def test_which_target() -> None:
    """For a target what it may use, for whichever it will be the most of any."""
    sizes = OutputSizes()
    sizes.add("a/m", 10)
    sizes.add("b/m", 20)
    need = Estimate(call_of(messages=[said(HUNDRED)]), (make_target("a/m"), make_target("b/m")), sizes)
    assert [need.amount("tokens", name) for name in ("a/m", "b/m", "")] == [118, 128, 128]


def test_what_a_route_puts_over() -> None:
    """The maximum that a route sets holds, whatever the call says."""
    target = make_target(parameters={"max_tokens": b"10"})
    for own in (500, "500"):
        call = call_of(messages=[said(HUNDRED)], max_tokens=own, MAX_TOKENS=5_000)
        assert Estimate(call, (target,), OutputSizes()).amount("tokens", "") == 118


@pytest.mark.parametrize(("own", "tokens"), [(5, 1_024), (5_000, 5_000)])
def test_what_a_route_takes_away(own: int, tokens: int) -> None:
    """Without a maximum a reply may be as long as others, or as its call said where one has to stay."""
    target = make_target(parameters={"max_tokens": b"null"})
    need = Estimate(call_of(messages=[said(HUNDRED)], max_tokens=own), (target,), OutputSizes())
    assert need.amount("tokens", "") == 108 + tokens


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(call_of(messages=[said(HUNDRED)], max_output_tokens=5), id="Responses' in a chat"),
        pytest.param(call_of(messages=[said(HUNDRED)], max_tokens_to_sample=5), id="Claude's old one"),
        pytest.param(call_of(messages=[said(HUNDRED)], maxTokens=5), id="Bedrock's"),
        pytest.param(
            call_of(messages=[said(HUNDRED)], inferenceConfig={"maxTokens": 5}), id="within, in a chat"
        ),
    ],
)
def test_words_of_other_apis(call: Call) -> None:
    """A server may pass them over and write on, so nobody takes less by them."""
    assert tokens_of(call) >= 108 + 1_024


@pytest.mark.parametrize(
    ("members", "tokens"),
    [
        pytest.param({"max_tokens": "5000"}, 5_000, id="in quotes"),
        pytest.param({"max_tokens": "9"}, 1_024, id="little in quotes"),
        pytest.param({"max_tokens": 5, "max_completion_tokens": "5e3"}, 5_000, id="the other name"),
        pytest.param({"max_tokens": 5, "Max_Tokens": 5000}, 5_000, id="upper case"),
        pytest.param({"Max_Tokens": 5}, 1_024, id="little in upper case"),
        pytest.param({"max_tokens": " 5000\n"}, 5_000, id="blanks around it"),
        pytest.param({"max_tokens": "5_000"}, 5_000, id="in groups"),
        pytest.param({"max_tokens": "+5000"}, 5_000, id="a sign"),
        pytest.param({"max_tokens": "1e99"}, 1 << 40, id="most"),
        pytest.param({"max_tokens": ["5000"]}, 1_024, id="a list"),
        pytest.param({"max_tokens": "many"}, 1_024, id="no number"),
        pytest.param({"max_tokens": "nan"}, 1_024, id="not a number"),
        pytest.param({"max_tokens": "-1"}, 1_024, id="less than none"),
        pytest.param({"max_tokens": True}, 1_024, id="true"),
    ],
)
def test_as_lenient_servers_read_it(members: dict[str, Any], tokens: int) -> None:
    """Some take a number in quotes, or a name in upper case, and others pass it over: the larger is taken."""
    assert tokens_of(call_of(messages=[said(HUNDRED)], **members)) == 108 + tokens


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"prompt": "x", "max_gen_len": 5000}, id="Llama"),
        pytest.param({"inputText": "x", "textGenerationConfig": {"maxTokenCount": 5000}}, id="Titan"),
        pytest.param({"prompt": "x", "inferenceConfig": {"max_new_tokens": 5000}}, id="Nova"),
        pytest.param({"prompt": "x", "max_tokens": 5, "inferenceConfig": {"maxTokens": 5000}}, id="both"),
        pytest.param({"prompt": "x", "max_tokens": 5000, "inferenceConfig": [1]}, id="nonsense"),
    ],
)
def test_what_is_invoked(body: dict[str, Any]) -> None:
    """Each maker of Bedrock's models has its own word for the maximum."""
    call = read_bedrock_call(INVOKE, json.dumps(body).encode(), model="acct/small")
    assert 5_000 < tokens_of(call) < 5_010


def test_choices_of_a_route() -> None:
    """How many replies a route has written holds in place of how many were asked for."""
    target = make_target(parameters={"n": b"4"})
    for n in (None, 2):
        call = call_of(messages=[said(HUNDRED)], max_tokens=10, n=n)
        assert Estimate(call, (target,), OutputSizes()).amount("tokens", "") == 108 + 40


def test_cost() -> None:
    """Money by the target's price, in millionths; the least there is where nobody knows one."""
    priced, free = make_target("a/m", price=TokenPrice()), make_target("b/m")
    need = Estimate(call_of(messages=[said(HUNDRED)], max_tokens=50), (priced, free), OutputSizes())
    assert [need.amount("cost", name) for name in ("a/m", "b/m", "")] == [208, 1, 208]


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        pytest.param(prices.TokenPrice(prices.Rates(0, 0)), 0, id="free"),
        pytest.param(prices.TokenPrice(prices.Rates(0, 40)), 1, id="what it writes costs"),
        pytest.param(prices.TokenPrice(prices.Rates(5, 40)), 1, id="both cost"),
        pytest.param(prices.TokenPrice(prices.Rates(0, 0), call_usd=0.01), 10_000, id="each call costs"),
        pytest.param(None, 1, id="nobody knows"),
    ],
)
@pytest.mark.parametrize(
    "call", [call_of(SPEECH, input="x"), unread_call(CHAT, "acct/small", 10_000)], ids=str
)
def test_cost_of_what_is_not_known(call: Call, price: prices.TokenPrice | None, expected: int) -> None:
    """A call of which nothing can be told has no room where nothing is left, unless its model is free."""
    target = make_target("a/m", price=price)
    assert Estimate(call, (target,), OutputSizes()).amount("cost", "a/m") == expected


def test_pictures() -> None:
    """As many tokens as earlier ones of the same target, for each; of the first ones nobody can tell."""
    price = prices.TokenPrice(prices.Rates(5, 40))
    targets = [make_target(name, price=price) for name in ("a/m", "b/m")]
    sizes = OutputSizes()
    call = call_of(IMAGE, prompt=HUNDRED, n=3)

    def needs(target: str) -> tuple[int, int]:
        need = Estimate(call, targets, sizes)
        return need.amount("tokens", target), need.amount("cost", target)

    assert needs("a/m") == needs("") == (1, 1)
    sizes.add("b/m", 4_160)
    asked = call.body_bytes // 4
    assert needs("b/m") == needs("") == (asked + 12_480, asked * 5 + 12_480 * 40)
    assert needs("a/m") == (1, 1)
    apart = make_target("b/m", price=prices.TokenPrice(prices.Rates(5, 10, image_output=32)))
    assert Estimate(call, (apart,), sizes).amount("cost", "") == asked * 5 + 12_480 * 32
    single = make_target("b/m", parameters={"n": b"1"})
    assert Estimate(call, (single,), sizes).amount("tokens", "") == asked + 4_160
    assert Estimate(call_of(SPEECH, input="x"), (targets[1],), sizes).amount("tokens", "") == 1


def test_targets_that_differ() -> None:
    """What was worked out for one target holds for others without a maximum and a price of their own."""
    price, dear = (prices.TokenPrice(prices.Rates(each, 2 * each)) for each in (1, 4))
    targets = (
        make_target("a/m", price=price),
        make_target("b/m", price=price, parameters={"max_tokens": b"10"}),
        make_target("c/m", price=price),
        make_target("d/m", price=dear),
    )
    names = ("a/m", "b/m", "c/m", "d/m", "")
    call = call_of(messages=[said(HUNDRED)], max_tokens=50)
    for order in (names, names[::-1]):
        need = Estimate(call, targets, OutputSizes())
        found = {name: (need.amount("tokens", name), need.amount("cost", name)) for name in order}
        assert found == {
            "a/m": (158, 208),
            "b/m": (118, 128),
            "c/m": (158, 208),
            "d/m": (158, 832),
            "": (158, 832),
        }


def test_counting_is_free() -> None:
    """Counting tokens costs nothing, whatever the price."""
    need = Estimate(
        call_of(COUNT_TOKENS, messages=[said(HUNDRED)]), (make_target(price=TokenPrice()),), OutputSizes()
    )
    assert need.amount("cost", "") == 0


async def test_a_long_call_is_read_aside() -> None:
    """Once, before an amount is asked for, and with the same result; where nothing is counted not at all."""
    works: list[Callable[[], Any]] = []

    async def aside(work: Callable[[], Any]) -> Any:
        works.append(work)
        return work()

    call = call_of(messages=[said(HUNDRED)], max_tokens=50)
    need = Estimate(call, (TARGET,), OutputSizes(), aside)
    was_unread = need.is_unread
    await need.read()
    assert (was_unread, need.is_unread) == (True, False)
    assert need.amount("tokens", "") == tokens_of(call) == 158
    assert len(works) == 1
    await Estimate(call_of(SPEECH, input="x"), (TARGET,), OutputSizes(), aside).read()
    assert len(works) == 1
    assert not Estimate(call, (TARGET,), OutputSizes()).is_unread


@pytest.mark.parametrize("path", ["/images/edits", "/images/variations"])
def test_a_form_of_pictures(path: str) -> None:
    """It is not read before, but what earlier replies of its target used is what it may use."""
    target = make_target("a/m", price=prices.TokenPrice(prices.Rates(5, 10, image_output=32)))
    sizes = OutputSizes()

    def needs(path: str) -> tuple[int, int]:
        endpoint = find_openai_path(path)
        assert endpoint is not None
        need = Estimate(unread_call(endpoint, "a/m", 3_000_000), (target,), sizes)
        return need.amount("tokens", ""), need.amount("cost", "")

    assert needs(path) == (1, 1)
    sizes.add("a/m", 4_160)
    assert needs(path) == (1 + 4_160, 5 + 4_160 * 32)
    assert needs("/audio/transcriptions") == (1, 1)
