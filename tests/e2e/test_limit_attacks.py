"""Ways around a limit that somebody may try; none may give more than there is: docs/limits.md."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from select import select
from typing import Any, Final

import pytest

from tests.rig.behaviours import (
    DONE,
    chunk,
    completion,
    hang_mid_stream,
    json_reply,
    provider_error,
    stream,
    stream_of,
)
from tests.rig.fake_upstream import Behaviour, FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.limited_gateway import (
    CHAT,
    TOKENS_OF_A_CALL,
    USD_OF_A_CALL,
    budget,
    calls_at_once,
    paid_account,
    post,
    rate,
)
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    PROMPT,
    bearer,
    chat,
    chat_body,
    gemini_account,
    in_turn,
    openai_account,
    virtual_account,
    virtual_models,
)
from tests.rig.raw_http import Reply, request_bytes
from tests.rig.requires import requires
from tests.rig.until import until
from tests.rig.wall_clock import WallClock

MESSAGES: Final[Any] = [{"role": "user", "content": PROMPT}]
SPENT: Final = "fake/spent"
PLENTY: Final = 1_000_000
DOCUMENTS: Final = [
    rate("spent", [SPENT], {"requests_per_day": 0}),
    rate("the-account", ["whole/*"], {"requests_per_day": 0}),
    rate("by-name", ["vm/named"], {"requests_per_day": 4}),
    rate("by-slug", ["sluggish"], {"requests_per_day": 1}),
    rate("by-target", ["fake/behind"], {"requests_per_day": 1}),
    rate("sizes", ["fake/sizes"], {"tokens_per_day": PLENTY}),
    rate("credit", ["fake/credit"], {"tokens_per_day": 10_000}),
    rate("left", ["fake/left"], {"tokens_per_day": PLENTY, "parallel_requests": 3}),
    rate("told", ["fake/told"], {"tokens_per_day": PLENTY}),
    rate("boasts", ["fake/boasts"], {"tokens_per_day": PLENTY}, mode="audit"),
    rate("owes", ["fake/owes"], {"tokens_per_day": PLENTY}),
    budget("boasted", ["paid/boasts"], 10**6, mode="audit"),
    rate("natives", ["google/spent", "google-too/*"], {"requests_per_day": 0}),
    rate(
        "each-team",
        ["fake/teams"],
        {"requests_per_day": 2},
        applies_to={"type": "metadata", "metadata": "team"},
    ),
    rate("exempt", ["fake/exempt"], {"requests_per_day": 0}),
    budget("money", ["paid/money"], 2 * USD_OF_A_CALL),
]
ROUTES: Final = {
    "named": in_turn("fake/free"),
    "slugged": in_turn("fake/free"),
    "one-way": in_turn("fake/behind"),
    "other-way": in_turn("fake/behind"),
    "hidden": in_turn(SPENT),
}
NAMES: Final = {
    "named": {"slug": "called", "alias": ["also/called"]},
    "slugged": {"slug": "sluggish", "alias": ["also/sluggish"]},
    "hidden": {"slug": "hidden", "alias": ["not/spent"]},
}


@pytest.fixture(scope="module")
def limited(
    upstream_server: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway with all these limits."""
    url = upstream_server.base_url
    documents = [
        openai_account(
            "fake",
            url,
            [
                "spent",
                "free",
                "behind",
                "sizes",
                "credit",
                "teams",
                "exempt",
                "left",
                "told",
                "owes",
                "boasts",
            ],
        ),
        openai_account("whole", url, ["m"]),
        gemini_account("google", url, {"spent": "gemini-spent"}),
        gemini_account("google-too", url, {"m": "gemini-m"}),
        paid_account("paid", url, ["money", "boasts"]),
        virtual_models("vm", ROUTES, NAMES),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        *DOCUMENTS,
    ]
    folder = tmp_path_factory.mktemp("attacked")
    with GatewayProcess(folder, documents, workers=2, environment=ENVIRONMENT) as process:
        yield process


# -- paths


CHAT_BODY: Final = {"messages": MESSAGES, "max_tokens": 5}
BODIES: Final[dict[str, dict[str, Any]]] = {
    "/v1/chat/completions": CHAT_BODY,
    "/v1/messages": CHAT_BODY,
    "/v1/responses": {"input": "hi"},
    "/v1/completions": {"prompt": "hi"},
    "/v1/embeddings": {"input": "hi"},
    "/v1/moderations": {"input": "hi"},
    "/v1/images/generations": {"prompt": "hi"},
    "/v1/audio/speech": {"input": "hi", "voice": "alloy"},
}


@pytest.mark.parametrize("path", BODIES)
def test_every_endpoint_counts(limited: GatewayProcess, upstream: FakeUpstream, path: str) -> None:
    """A limit on a model holds whatever is asked of it."""
    reply = post(limited, path, {"model": SPENT, **BODIES[path]})
    assert (reply.status, upstream.exchanges) == (429, [])


@pytest.mark.parametrize(
    "path",
    [
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/v1/chat//completions",
        "/v1/chat/completions/",
        "/v1/chat/completions//",
        "/v1/./chat/completions",
        "/v1/x/../chat/completions",
        "/v1/%2e/chat/completions",
        "/v1/x/%2e%2e/chat/completions",
        "/v1/chat%2fcompletions",
        "/v1/%63hat/completions",
        "/V1/Chat/Completions",
        "/v1/chat/completions?model=fake%2Ffree",
        "/v1/chat/completions?tfyModelName=fake%2Ffree",
        "/chat/completions",
        "/api/llm/chat/completions",
        "/api/inference/openai/v1/chat/completions",
    ],
)
def test_ways_to_write_a_path(limited: GatewayProcess, upstream: FakeUpstream, path: str) -> None:
    """They are the same path or none: in no case does the provider hear of it."""
    reply = post(limited, path, {"model": SPENT, **CHAT_BODY})
    assert reply.status in (400, 404, 405, 429), reply.body
    assert upstream.exchanges == []


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/proxy/whole/v1/chat/completions", []),
        ("/proxy/whole//v1/chat/completions", []),
        ("/proxy/whole/%2e/chat/completions", []),
        ("/proxy/whole/anything", []),
        ("/v1/anything", [("x-tfy-provider-name", "whole")]),
        ("/v1/batches", [("x-tfy-provider-name", "whole")]),
        ("/v1/batches?tfyProviderName=whole", []),
    ],
)
def test_what_is_passed_on_counts(
    limited: GatewayProcess, upstream: FakeUpstream, path: str, headers: list[tuple[str, str]]
) -> None:
    """A limit on all models of an account holds for what goes to it unread."""
    reply = post(limited, path, {"model": "m", **CHAT_BODY}, [bearer(), *headers])
    assert reply.status in (400, 404, 429), reply.body
    assert upstream.exchanges == []


def test_forms_count(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """So does a form, by the model in it."""
    body = (
        f'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\n{SPENT}\r\n'
        '--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nxx\r\n--b--\r\n'
    ).encode()
    with limited.connect() as connection:
        headers = [bearer(), ("content-type", "multipart/form-data; boundary=b")]
        reply = connection.exchange("POST", "/v1/audio/transcriptions", headers, body)
    assert (reply.status, upstream.exchanges) == (429, [])


# -- names


@pytest.mark.parametrize(
    ("model", "headers"),
    [
        (SPENT, []),
        ("spent", [("x-tfy-provider-name", "fake")]),
        (None, [("x-tfy-model-name", SPENT)]),
        ("FAKE/SPENT", []),
        ("fake/Spent", []),
        (" fake/spent", []),
        ("fake/spent ", []),
        ("fake//spent", []),
        ("fake/./spent", []),
        ("fake%2fspent", []),
        ("vm/hidden", []),
        ("hidden", []),
        ("not/spent", []),
    ],
)
def test_names_of_a_limited_model(
    limited: GatewayProcess, upstream: FakeUpstream, model: str | None, headers: list[tuple[str, str]]
) -> None:
    """Another name for it is refused as well, or it is nobody's."""
    body = CHAT_BODY if model is None else {"model": model, **CHAT_BODY}
    reply = post(limited, CHAT, body, [bearer(), *headers])
    assert reply.status in (400, 404, 429), reply.body
    assert upstream.exchanges == []


def test_two_models_in_one_body(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """The one that is counted is the one that is asked."""
    for names in ((SPENT, "fake/free"), ("fake/free", SPENT)):
        text = f'{{"model":"{names[0]}","model":"{names[1]}","messages":{json.dumps(MESSAGES)}}}'
        with limited.connect() as connection:
            headers = [bearer(), ("content-type", "application/json")]
            reply = connection.exchange("POST", CHAT, headers, text.encode())
        assert reply.status in (200, 400, 429)
    assert {exchange.model for exchange in upstream.exchanges} <= {"free"}


def test_all_names_count_together(limited: GatewayProcess) -> None:
    """Full name, slug, alias, and the name with the group in a header have one limit."""
    names = ["vm/named", "called", "also/called"]
    assert [chat(limited, name).status for name in names] == [200] * 3
    grouped = post(limited, CHAT, {"model": "named", **CHAT_BODY}, [bearer(), ("x-tfy-provider-name", "vm")])
    assert grouped.status == 200
    assert [chat(limited, name).status for name in names] == [429] * 3


def test_a_rule_for_a_slug(limited: GatewayProcess) -> None:
    """A rule that names the slug holds for the other names."""
    assert chat(limited, "vm/slugged").status == 200
    for name in ("sluggish", "vm/slugged", "also/sluggish"):
        assert chat(limited, name).status == 429


def test_several_ways_to_a_target(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """A target's limit is one for all virtual models that lead to it, and for its own name."""
    assert chat(limited, "vm/one-way").status == 200
    for name in ("vm/one-way", "vm/other-way", "fake/behind"):
        assert chat(limited, name).status == 429
    assert len(upstream.exchanges) == 1


# -- amounts


HOSTILE: Final[list[Any]] = [
    *(-1, 0, -(10**6), -(2**31), -(2**63), 2**31, 2**63, 2**64, 10**30, -(10**30)),
    *(1.5, -1.5, 1e308, -1e308, "5", "-5", "", None, True, False, [], [5], {}, {"a": -5}),
]
SIZES: Final = ("max_tokens", "max_completion_tokens", "n", "best_of", "max_output_tokens")


def left_of(reply: Reply) -> int:
    text = reply.header("x-ratelimit-remaining-tokens")
    assert text is not None, reply.headers
    return int(text)


def settled(limited: GatewayProcess, model: str) -> int:
    """What is left once the calls before this one have given back what they took and did not use."""

    def is_settled() -> int | None:
        before, after = (left_of(chat(limited, model, max_tokens=5)) for _ in range(2))
        return after if before - after == TOKENS_OF_A_CALL else None

    found = until(is_settled, what="earlier calls to be settled")
    assert found
    return found


def test_amounts_that_are_none(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """Whatever is asked for, in the end what was used counts, and nothing breaks or gives credit."""
    for name in SIZES:
        for value in HOSTILE:
            reply = post(limited, CHAT, {"model": "fake/sizes", "messages": MESSAGES, name: value})
            assert reply.status in (200, 400, 429), (name, value, reply.body)
            if reply.status == 429:
                assert reply.header("x-tfy-error-source") == "gateway"
    for text in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 100):
        body = f'{{"model":"fake/sizes","messages":{json.dumps(MESSAGES)},"max_tokens":{text}}}'
        with limited.connect() as connection:
            headers = [bearer(), ("content-type", "application/json")]
            reply = connection.exchange("POST", CHAT, headers, body.encode())
        assert reply.status in (200, 400, 429), (text, reply.body)

    def miscounted() -> int:
        """Beyond what this call itself takes, which is less than a call uses."""
        used = TOKENS_OF_A_CALL * len(upstream.exchanges)
        return abs(PLENTY - used - left_of(chat(limited, "fake/sizes", max_tokens=1)))

    until(lambda: miscounted() < TOKENS_OF_A_CALL, what="exactly what was used to be counted")


@pytest.mark.parametrize("size", [-900, -(2**63), -(10**30), -1e308, "-900"], ids=str)
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n"])
def test_nobody_takes_less_than_nothing(
    limited: GatewayProcess, upstream: FakeUpstream, name: str, size: Any
) -> None:
    """While a call has taken nearly all, one that says it needs less than nothing makes no room."""
    gate = upstream.gate()
    upstream.play("credit", stream(gate=gate), stream(gate=gate), stream(gate=gate))
    headers = [bearer(), ("content-type", "application/json")]
    with limited.connect() as holding, limited.connect() as hostile:
        big = chat_body("fake/credit", stream=True, max_tokens=9000)
        holding.send(request_bytes("POST", CHAT, headers, big))
        until(lambda: len(upstream.exchanges) == 1, what="the big call to be sent")
        hostile.send(
            request_bytes("POST", CHAT, headers, chat_body("fake/credit", stream=True, **{name: size}))
        )
        assert chat(limited, "fake/credit", max_tokens=5000).status == 429
        gate.open()
        assert holding.read_reply().status == 200
        assert hostile.read_reply().status in (200, 400, 429)


@pytest.mark.parametrize("wish", [{"max_tokens": 100}, {"max_tokens": 5, "n": 50}, {"n": 50}, {}], ids=str)
def test_a_budget_before_it_is_spent(
    limited: GatewayProcess, upstream: FakeUpstream, wish: dict[str, Any]
) -> None:
    """What may cost more than there is, is not asked of the provider: choices count, and unsaid maxima."""
    reply = chat(limited, "paid/money", **wish)
    assert (reply.status, reply.header("x-should-retry")) == (429, "false")
    assert upstream.exchanges == []


def test_a_burst_that_falls_back(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """A cheap target that fails opens no way to a dear one past a budget for both."""
    cheap, dear = (paid_account(name, upstream.base_url, ["m"]) for name in ("cheap", "dear"))
    cheap["integrations"][0]["cost"] = {"metric": "per_1000_tokens", "value": {"input": 0, "output": 1}}
    cheap["integrations"][0]["model_id"] = "down"
    gateway = start_gateway(
        [
            cheap,
            dear,
            virtual_models("vm", {"chat": in_turn("cheap/m", "dear/m")}),
            budget("both", ["cheap/*", "dear/*"], 2 * USD_OF_A_CALL + 2),
            virtual_account("app", ["env:APP_TOKEN"], ["vm/*"]),
        ],
        workers=1,
    )
    upstream.play("down", *[provider_error(503)] * 40)
    replies = calls_at_once(gateway, chat_body("vm/chat", max_tokens=USD_OF_A_CALL), [1] * 20)
    statuses = [reply.status for reply in replies]
    # Who comes when nothing is left is refused at once; who comes before is refused the dear target alone.
    assert statuses.count(200) == 2
    assert set(statuses) <= {200, 429, 503}

    def used() -> float:
        spent: float = gateway.get("/api/limits/usage")["usage"][0]["used"]
        return spent

    until(lambda: used() == 2 * USD_OF_A_CALL, what="what was taken and not used to be given back")


LEFT_TOKENS: Final = 40
"""Of one of these calls at most, by its bytes / 4: no usage came. It had asked for 9,000."""

LEAVING: Final = ("before all is sent", "when it is sent", "at the head", "in the middle")


def leave(gateway: GatewayProcess, when: str) -> None:
    """Ask for much, and go."""
    headers = [bearer(), ("content-type", "application/json")]
    asked = request_bytes("POST", CHAT, headers, chat_body("fake/left", stream=True, max_tokens=9_000))
    with gateway.connect() as connection:
        connection.send(asked[:-20] if when == "before all is sent" else asked)
        if when in ("at the head", "in the middle"):
            assert connection.read_head().status == 200
        if when == "in the middle":
            connection.read_piece()
        connection.reset()


@pytest.mark.parametrize("when", LEAVING)
def test_who_leaves_again_and_again(limited: GatewayProcess, upstream: FakeUpstream, when: str) -> None:
    """Nothing leaks and nothing is gained: what was used counts, and no place is lost or won."""
    before = left_of(chat(limited, "fake/left", max_tokens=1))
    upstream.forget()
    upstream.play("left", *[hang_mid_stream] * 200)
    for _ in range(20):
        until(lambda: is_left(limited, when), what="a place to be free")
    asked = len(upstream.exchanges)
    upstream.forget()

    def is_settled() -> bool:
        used = before - left_of(chat(limited, "fake/left", max_tokens=1))
        own = TOKENS_OF_A_CALL * (len(upstream.exchanges) + 1)
        return 0 < used <= LEFT_TOKENS * asked + own

    until(is_settled, what="what was not used to be given back")
    # A call that was left may come to its worker only now, on a busy machine, and have a place for a moment.
    until(lambda: has_three_places(limited, upstream), what="all three places to be had, and no more")


def has_three_places(gateway: GatewayProcess, upstream: FakeUpstream) -> bool:
    """Whether three calls at once are admitted and a fourth is not."""
    upstream.forget()
    gate = upstream.gate()
    upstream.play("left", *[stream(gate=gate)] * 3)
    headers = [bearer(), ("content-type", "application/json")]
    body = chat_body("fake/left", stream=True, max_tokens=5)
    with ExitStack() as held:
        connections = [held.enter_context(gateway.connect()) for _ in range(3)]
        for connection in connections:
            connection.send(request_bytes("POST", CHAT, headers, body))
        sockets = [connection.socket for connection in connections]
        until(
            lambda: len(upstream.exchanges) >= 3 or select(sockets, [], [], 0.0)[0],
            what="each to be sent or refused",
        )
        fourth = chat(gateway, "fake/left", max_tokens=5).status
        gate.open()
        return [fourth, *(connection.read_reply().status for connection in connections)] == [429, *[200] * 3]


def is_left(gateway: GatewayProcess, when: str) -> bool:
    """Leave a call; False where it was refused, since those before have not been settled yet."""
    try:
        leave(gateway, when)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize(
    "options",
    [{}, {"include_usage": False}, {"include_usage": None}, {"include_usage": "no"}, None, [], "none", 0],
    ids=str,
)
def test_usage_that_is_hidden(limited: GatewayProcess, upstream: FakeUpstream, options: Any) -> None:
    """Whatever a stream is asked to leave out, what it used counts."""
    before = settled(limited, "fake/told")
    reply = post(
        limited,
        CHAT,
        {
            "model": "fake/told",
            "messages": MESSAGES,
            "max_tokens": 5,
            "stream": True,
            "stream_options": options,
        },
    )
    assert reply.status in (200, 400), reply.body
    calls = [1]

    def counted() -> int:
        calls[0] += 1
        return before - left_of(chat(limited, "fake/told", max_tokens=5))

    streamed = reply.status == 200
    until(
        lambda: counted() == TOKENS_OF_A_CALL * (calls[0] - 1 + streamed),
        what="exactly what was used to be counted",
    )


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("tokens", [-1, -(10**6), -(2**63), -(10**30), -1.5, -1e308, "-5", None, []], ids=str)
def test_usage_below_nothing(
    limited: GatewayProcess, upstream: FakeUpstream, tokens: Any, *, is_stream: bool
) -> None:
    """A provider that says so gives nobody credit."""
    before = left_of(chat(limited, "fake/owes", max_tokens=5))
    upstream.play("owes", reports(tokens, is_stream=is_stream))
    assert chat(limited, "fake/owes", stream=is_stream, max_tokens=5).status == 200
    for _ in range(3):
        assert left_of(chat(limited, "fake/owes", max_tokens=5)) < before


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("tokens", [2**31, 2**53 - 1, 2**53, 2**62, 2**63, 2**64, 10**30, 1e308], ids=str)
def test_usage_beyond_measure(
    limited: GatewayProcess, upstream: FakeUpstream, tokens: Any, *, is_stream: bool
) -> None:
    """It breaks neither that call nor those after it."""
    for model in ["fake/boasts", "paid/boasts"] * 2:
        upstream.play("boasts", reports(tokens, is_stream=is_stream))
        assert chat(limited, model, stream=is_stream, max_tokens=5).status == 200
        assert chat(limited, model, max_tokens=5).status == 200
    assert "Traceback" not in limited.log


def reports(tokens: Any, *, is_stream: bool) -> Behaviour:
    """A good answer that says it used so much."""
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": tokens}
    if not is_stream:
        return json_reply(200, {**completion("m"), "usage": usage})
    ends = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
    events = [chunk("m", {"role": "assistant", "content": "hi"}), chunk("m", {}, "stop")]
    return stream_of(*events, b"data: " + json.dumps({**ends, "usage": usage}).encode() + b"\n\n", DONE)


@pytest.mark.parametrize(
    "path",
    [
        "/gemini/google/proxy/v1beta/models/gemini-spent:generateContent",
        "/gemini/google/proxy/v1beta/models/gemini-spent:streamGenerateContent?alt=sse",
        "/gemini/google/proxy/v1beta/models/spent:generateContent",
        "/gemini/google-too/proxy/v1beta/models/gemini-m:generateContent",
        "/gemini/google-too/proxy/v1beta/models/unlisted:generateContent",
        "/gemini/google-too/proxy/v1beta//models/gemini-m:generateContent",
        "/gemini/google-too/proxy/v1beta/models/gemini-m%3AgenerateContent",
        "/gemini/google-too/proxy/v1beta/cachedContents",
        "/gemini/google-too/proxy/upload/v1beta/files",
    ],
)
def test_native_paths_count(limited: GatewayProcess, upstream: FakeUpstream, path: str) -> None:
    """Nor is there a way by a provider's own paths."""
    reply = post(limited, path, {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
    assert reply.status in (400, 403, 404, 429), reply.body
    assert upstream.exchanges == []


# -- metadata


def with_metadata(gateway: GatewayProcess, *values: str) -> Reply:
    return chat(gateway, "fake/teams", headers=[("x-tfy-metadata", value) for value in values])


def test_who_names_no_team(limited: GatewayProcess) -> None:
    """Calls without the key count together, however they leave it out."""
    without = ["{}", '{"Team":"a"}', '{"team ":"a"}', '{"team":""}']
    assert [with_metadata(limited, value).status for value in without[:2]] == [200, 200]
    assert with_metadata(limited).status == 429
    assert [with_metadata(limited, value).status for value in without] == [429] * 4
    assert with_metadata(limited, '{"team":"a"}').status == 200


@pytest.mark.parametrize(
    "value",
    [
        '{"team":null}',
        '{"team":5}',
        '{"team":["b"]}',
        '{"team":{"b":1}}',
        "[]",
        '"b"',
        "{",
        '{"team":"' + "b" * 9000 + '"}',
    ],
)
def test_metadata_that_is_none(limited: GatewayProcess, upstream: FakeUpstream, value: str) -> None:
    """It is refused, or counts as one of those that are known: nobody gets a limit of their own by it."""
    replies = [with_metadata(limited, value) for _ in range(3)]
    assert replies[-1].status in (400, 429, 431), replies[-1].body
    assert len(upstream.exchanges) <= 2


def test_metadata_sent_twice(limited: GatewayProcess) -> None:
    """Two headers, or two values of a key, are one team's or nobody's call."""
    pairs = [('{"team":"x"}', '{"team":"y"}'), ('{"team":"x","team":"y"}',)]
    admitted = [with_metadata(limited, *pair).status for pair in pairs for _ in range(5)].count(200)
    assert admitted <= 4, "as much as both teams have"


@pytest.mark.parametrize(
    "header",
    [
        ("x-tfy-model-name", "fake/free"),
        ("x-tfy-provider-name", "whole"),
        ("x-tfy-user", "somebody"),
        ("x-tfy-retry-config", '{"attempts":10,"onStatusCodes":[429]}'),
        ("x-tfy-cache-config", "{}"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-ratelimit-remaining-requests", "5"),
        ("x-http-method-override", "GET"),
        ("x-original-url", "/v1/models"),
    ],
    ids=lambda header: header[0],
)
def test_headers_that_change_nothing(
    limited: GatewayProcess, upstream: FakeUpstream, header: tuple[str, str]
) -> None:
    """A limit holds whatever a caller sends beside the call."""
    reply = chat(limited, "fake/exempt", headers=[header])
    assert reply.status in (400, 404, 429), reply.body
    assert upstream.exchanges == []


def test_keys_that_are_written_in_other_ways(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """Who calls is the same by whichever header, so the limit is."""
    ways = [("authorization", f"bearer {APP_TOKEN}"), ("x-api-key", APP_TOKEN), ("x-tfy-api-key", APP_TOKEN)]
    for way in ways:
        assert post(limited, CHAT, {"model": SPENT, **CHAT_BODY}, [way]).status == 429
    assert upstream.exchanges == []


# -- time


@requires("cc")
def test_bursts_at_the_edge_of_a_window(
    start_gateway: StartGateway, upstream: FakeUpstream, tmp_path: Path
) -> None:
    """No hour has more than its limit, wherever it begins."""
    clock = WallClock(tmp_path)
    documents = [
        openai_account("fake", upstream.base_url, ["m"]),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        rate("ten", ["fake/m"], {"requests_per_hour": 10}),
    ]
    gateway = start_gateway(documents, environment=ENVIRONMENT | clock.environment)

    def admitted(count: int) -> int:
        return [reply.status for reply in calls_at_once(gateway, chat_body("fake/m"), [count])].count(200)

    assert admitted(5) == 5
    clock.set_ahead(3_300)
    assert admitted(20) == 5, "what is left of the hour, at its end"
    # It moves in twelfths, so the first five may stay five minutes longer.
    clock.set_ahead(3_600 + 301)
    assert admitted(20) == 5, "within an hour of the others"
    clock.set_ahead(3_300)
    assert admitted(20) == 0, "a clock that is set back"
    gateway.stop()


@requires("cc")
def test_a_budget_at_midnight(start_gateway: StartGateway, upstream: FakeUpstream, tmp_path: Path) -> None:
    """A day begins at midnight in UTC for all workers, and once."""
    clock = WallClock(tmp_path)
    documents = [
        paid_account("paid", upstream.base_url, ["m"]),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        budget("day", ["paid/m"], 0, limits={"cost_per_day": USD_OF_A_CALL}),
    ]
    until_midnight = 86_400 - int(time.time()) % 86_400
    clock.set_ahead(until_midnight - 1_800)
    gateway = start_gateway(documents, environment=ENVIRONMENT | clock.environment)
    body = chat_body("paid/m", max_tokens=USD_OF_A_CALL)

    def admitted() -> int:
        return [reply.status for reply in calls_at_once(gateway, body, [3, 3])].count(200)

    assert admitted() == 1
    refused = chat(gateway, "paid/m", max_tokens=USD_OF_A_CALL)
    assert 600 < int(refused.header("retry-after") or "0") <= 1_800
    clock.set_ahead(until_midnight + 1_800)
    assert admitted() == 1
    clock.set_ahead(until_midnight - 1_200)
    assert admitted() == 0, "the day before is spent"
    gateway.stop()
