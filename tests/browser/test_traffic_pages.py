"""Monitor, Traces and the page of a trace in a real browser, over a real store."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.control.api import build_app
from gateway.control.pages.traffic import Places
from gateway.control.tail import Tail
from gateway.control.traces import TraceQueries
from gateway.http_server import HttpServer, bind
from gateway.tracestore.reader import TraceReader
from gateway.tracestore.store import TraceStore
from gateway.wire.frames import CallSpans, SpanSegments
from gateway.wire.otlp import (
    AttributeKey,
    SpanKind,
    StatusCode,
    span_event,
    span_head,
    span_name,
    span_status,
)
from tests.browser.plane import Plane, shoot
from tests.rig.axe import find_faults
from tests.rig.browser import Chromium, Page
from tests.rig.requires import requires
from tests.unit.control.rooms import Rooms
from tests.unit.tracestore.call_maker import NS, make_call, make_frame, make_row

pytestmark = requires("chromium")

HOSTILE = '"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
# What is copied, kept where a test can see it.
COPIED = "navigator.clipboard.writeText = async (text) => { window.copied = text; }, true"
NO_HARM = "window.hacked === undefined && document.querySelector('img[src=x]') === null"
LINK = "https://kibana.test/app/apm/link-to/trace/{trace_id}?from='\"<"


@dataclass
class Traffic(Plane):
    """A control plane over a store that calls come into."""

    sequence: int = 0
    tails: list[Tail] = field(default_factory=list)

    def start(self) -> HttpServer:
        queries = TraceQueries(TraceReader(self.folder / "traces.db"))
        tail = Tail(queries)
        self.tails.append(tail)
        services = replace(
            Rooms().services(), traces=queries, tail=tail, places=Places("http://127.0.0.1:8787", LINK)
        )
        listener = bind("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        server = HttpServer(build_app(services, self.access), listener)
        server.start()
        return server

    def store(self, *calls: CallSpans) -> None:
        """Calls that have just ended."""
        self.sequence += 1
        with closing(TraceStore(self.folder / "traces.db")) as store:
            store.insert([(self.sequence, make_frame(self.sequence, *calls))])


def row_of(number: int, **fields: Any) -> Any:
    start_ns = int((time.time() - 60) * NS) + number * 1_000_000
    return make_row(
        number, **({"start_ns": start_ns, "end_ns": start_ns + (number + 1) * 50_000_000} | fields)
    )


def traced_call(
    number: int,
    says: str,
    *,
    method: str = "POST",
    path: str = "/v1/chat/completions",
    roles: tuple[str, str] = ("system", "user"),
) -> CallSpans:
    """A failed over call, with all that is on its spans; *says* stands wherever callers write."""
    row = row_of(
        number, is_error=True, status_code=502, error_type="upstream_timeout", caller=says, model="vm/chat"
    )

    def span(name: str, kind: SpanKind, span_id: bytes, starts_ms: int, ends_ms: int, *parts: bytes) -> bytes:
        head = span_head(
            trace_id=row.trace_id,
            span_id=span_id,
            parent_span_id=b"" if kind is SpanKind.SERVER else row.span_id,
            trace_state="",
            flags=0x101,
            named=span_name(name, kind),
            start_ns=row.start_ns + starts_ms * 1_000_000,
            end_ns=row.start_ns + ends_ms * 1_000_000,
        )
        return head + b"".join(parts)

    def text(key: str, value: str) -> bytes:
        return AttributeKey(key).text(value)

    skipped = json.dumps({"target": "c/slow", "reason": "circuit"})
    server = span(
        "POST /v1/chat/completions",
        SpanKind.SERVER,
        row.span_id,
        0,
        500,
        AttributeKey("http.response.status_code").integer(502),
        text("url.path", path),
        text("http.request.method", method),
        text("gateway.caller", says),
        text("gateway.model.asked", "vm/chat"),
        text("gateway.routing.route", "vm/chat"),
        text("gateway.routing.strategy", "priority-based"),
        AttributeKey("gateway.routing.candidates").texts(["a/one", "b/two"]),
        AttributeKey("gateway.routing.skipped").texts([skipped]),
        text("gateway.limits", json.dumps([{"rule": "spend", "kind": "cost", "outcome": "exceeded"}])),
        AttributeKey("gateway.overhead_ms").double(1.5),
        text("gateway.metadata.env", says),
        span_status(StatusCode.ERROR, says),
    )
    said = json.dumps(
        [
            {"role": role, "parts": [{"type": "text", "content": content}]}
            for role, content in zip(roles, ("be kind", f"it's {says}"), strict=True)
        ],
        ensure_ascii=False,
    )
    answered = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "partly answered"}]}])
    tries = [
        span(
            "chat one",
            SpanKind.CLIENT,
            bytes([at]) * 8,
            starts,
            ends,
            AttributeKey("gateway.attempt").integer(at),
            text("gateway.target", target),
            AttributeKey("gen_ai.response.time_to_first_chunk").double(0.02),
            text("error.type", "upstream_timeout"),
            span_event("exception", row.end_ns, {"exception.type": "t", "exception.message": says}),
            span_status(StatusCode.ERROR, f"no answer {says}"),
        )
        for at, target, starts, ends in ((1, "a/one", 5, 105), (2, "b/two", 110, 495))
    ]
    content = text("gen_ai.input.messages", said) + text("gen_ai.output.messages", answered)
    return CallSpans(
        1, row, [SpanSegments(one, b"") for one in (server, tries[0])] + [SpanSegments(tries[1], content)]
    )


@pytest.fixture
async def traffic(tmp_path: Path) -> AsyncIterator[Traffic]:
    traffic = Traffic(tmp_path)
    server = traffic.start()
    yield traffic
    for tail in traffic.tails:
        tail.stop()
    server.stop()
    await server.ended(60.0)


@pytest.fixture
async def page(traffic: Traffic, chromium: Chromium) -> AsyncIterator[Page]:
    async with chromium.page() as page:
        await traffic.sign_in(page)
        yield page


def looks() -> Iterator[tuple[int, str]]:
    for width in (1440, 390):
        for scheme in ("light", "dark"):
            yield width, scheme


async def shoot_all(page: Page, name: str) -> None:
    for width, scheme in looks():
        await page.look(width=width, height=900, scheme=scheme)
        await page.wait(f"document.documentElement.scrollWidth <= {width}")
        await page.wait("document.getAnimations().every((one) => one.playState !== 'running')")
        assert await find_faults(page) == []
        await shoot(page, f"{name}-{width}-{scheme}")
    await page.look(width=1440, height=900)


async def test_the_button_hides_no_code(traffic: Traffic, page: Page) -> None:
    """On a phone lines are longer than the screen; the button that copies them stands on none."""
    await traffic.sign_in(page)
    await page.look(width=400)
    await page.open(f"{traffic.origin}/monitor")
    await page.wait("document.querySelector('.empty pre') !== null")
    below = (
        "(() => { const lines = document.createRange();"
        " lines.selectNodeContents(document.querySelector('.empty pre'));"
        " return lines.getBoundingClientRect().top"
        " - document.querySelector('.empty [data-copy]').getBoundingClientRect().bottom; })()"
    )
    assert await page.run(below) >= 0


async def test_a_newcomer_is_shown_the_first_call(traffic: Traffic, page: Page) -> None:
    """Without any call each page teaches how to make one."""
    for path in ("/monitor", "/traces"):
        await page.look(width=1440, height=900)
        await page.open(traffic.origin + path)
        await page.wait("document.querySelector('.empty pre') !== null")
        assert "curl http://127.0.0.1:8787/v1/chat/completions" in await page.text(".empty pre")
        assert "$GATEWAY_TOKEN" in await page.text(".empty pre")
        steps = "[...document.querySelectorAll('.steps a')].map((one) => one.getAttribute('href'))"
        assert await page.run(steps) == ["/models/new", "/playground", "/controls/settings/otel"]
        assert await find_faults(page) == []
        await shoot_all(page, f"empty{path.replace('/', '-')}")
    assert page.complaints == []


async def test_from_a_number_to_the_calls_behind_it(traffic: Traffic, page: Page) -> None:
    """Numbers are those of the calls made; a split, a filter and a range are in the URL; links lead on."""
    traffic.store(
        *(make_call(row_of(n, model=f"vm/{n % 2}", first_chunk_ms=5.0)) for n in range(1, 11)),
        *(make_call(row_of(n, model="vm/0", is_error=True, status_code=429)) for n in range(11, 14)),
    )
    await page.look(width=1440, height=900)
    await page.open(f"{traffic.origin}/monitor")
    await page.wait("document.querySelectorAll('#tiles .stat-value').length === 8")
    tiles = await page.text("#tiles")
    assert "Requests\n13" in tiles
    assert "Cost\n$3.25\n$0.25 a call" in tiles
    assert "23.08%" in tiles
    assert await page.run("document.querySelectorAll('#charts .uplot').length") == 7
    await page.run(
        "const s = document.getElementById('split'); s.value = 'model'; s.dispatchEvent(new Event('change'))"
    )
    await page.wait("document.querySelectorAll('#groups-table tbody tr').length === 2")
    assert "split_by=model" in await page.run("location.search")
    await page.wait("document.querySelectorAll('#charts .uplot').length === 7")
    # All of it fits, and who is on a link in it with the keyboard stays there when the numbers are new.
    assert await page.run(
        "(box => box.scrollWidth <= box.clientWidth)(document.querySelector('#groups .table-scroll'))"
    )
    old = "document.querySelector('#groups-table tbody tr:nth-child(2) td:nth-child(2) a')"
    await page.run(f"window.old = {old}, window.old.focus(), true")
    await page.run("document.getElementById('live').click(), document.getElementById('live').click(), true")
    await page.wait("!window.old.isConnected")
    assert await page.run(f"document.activeElement === {old}")
    await shoot_all(page, "monitor")
    # The errors of the first label.
    errors = "#groups-table tbody tr:first-child td:nth-child(3) a"
    assert await page.text(errors) == "3"
    await page.open(await page.run(f"document.querySelector('{errors}').href"))
    await page.wait("document.querySelectorAll('#calls tbody tr').length === 3")
    assert "asked=vm%2F0" in await page.run("location.search")
    assert await page.run("document.getElementById('f-status').value") == "error"
    # The same again from its address alone.
    await page.open(f"{traffic.origin}/monitor?split_by=status&model=vm%2F1&range=6h")
    await page.wait("document.querySelectorAll('#groups-table tbody tr').length === 1")
    assert "model: vm/1" in await page.text("#filters")
    assert "Requests\n5" in await page.text("#tiles")
    assert page.complaints == []


async def test_calls_without_a_price_cost_nothing_that_is_known(traffic: Traffic, page: Page) -> None:
    """Not that they are free."""
    traffic.store(make_call(row_of(1, cost_usd=None)), make_call(row_of(2, cost_usd=None)))
    await page.open(f"{traffic.origin}/monitor")
    await page.wait("document.querySelectorAll('#tiles .stat-value').length === 8")
    assert "Cost\n$0.00\nof calls whose price is known" in await page.text("#tiles")


async def test_a_long_label_hides_no_number(traffic: Traffic, page: Page) -> None:
    """It has the lines that it needs."""
    traffic.store(make_call(row_of(1, model="a/" + "x" * 128)))
    for width in (1440, 390):
        await page.look(width=width, height=900)
        await page.open(f"{traffic.origin}/monitor?split_by=model")
        await page.wait("document.querySelectorAll('#groups-table tbody tr').length === 1")
        label, cell = (f"document.querySelector('#groups-table tbody th{end}')" for end in (" button", ""))
        right = ".getBoundingClientRect().right"
        assert await page.run(f"{label}.scrollWidth <= {cell}.clientWidth && {label}{right} <= {cell}{right}")
    await page.look(width=1440, height=900)
    await shoot(page, "monitor-long-label")


async def test_roles_and_limits_of_a_trace(traffic: Traffic, page: Page) -> None:
    """A role is whatever a caller wrote; a limit is told with what it counts."""
    call = traced_call(1, "hello", roles=("constructor", "__proto__"))
    traffic.store(call)
    await page.look(width=1440, height=900)
    await page.open(f"{traffic.origin}/traces/{call.row.trace_id.hex()}")  # type: ignore[union-attr]
    await page.wait("document.querySelectorAll('.said').length === 3")
    heads = "[...document.querySelectorAll('.said h3')].map((one) => one.textContent)"
    assert await page.run(heads) == ["constructor", "__proto__", "Model"]
    assert "The cost limit spend said: exceeded." in await page.text(".decision")
    assert page.complaints == []


async def test_which_first_token_it_is(traffic: Traffic, page: Page) -> None:
    """Monitor counts from the start of the call to the first piece, Target health by attempt and content."""
    traffic.store(make_call(row_of(1, model="vm/0", first_chunk_ms=5.0)))
    await page.look(width=1440, height=900)
    await page.open(f"{traffic.origin}/monitor?split_by=model")
    await page.wait("document.querySelectorAll('#groups-table tbody tr').length === 1")
    said = "From the start of the call, tries before included, to the first that the answering model sent"
    for place in ("#tiles .stat:nth-child(5)", "#groups-table th:nth-child(9)"):
        assert "irst token" in await page.text(place)
        assert said in await page.run(f"document.querySelector('{place}').title")
    await page.open(f"{traffic.origin}/models/targets")
    heads = "[...document.querySelectorAll('#table th')]"
    title = await page.run(f"{heads}.find((one) => one.textContent === 'First token').title")
    assert "from the start of the attempt to its first content" in title


async def test_monitor_says_what_does_not_go_together(traffic: Traffic, page: Page) -> None:
    """Metadata stands alone; the search that combines it is a click away, and one filter less mends it."""
    traffic.store(make_call(row_of(1, metadata={"env": "prod"}, model="vm/chat")), make_call(row_of(2)))
    await page.look(width=1440, height=900)
    await page.open(f"{traffic.origin}/monitor?split_by=metadata.env&model=vm/chat")
    await page.wait("document.body.innerText.includes('Metadata cannot be combined here')")
    assert "model, metadata env" in await page.text("#trouble")
    assert await page.run("document.getElementById('shown').hidden")
    link = await page.run("document.querySelector('#trouble a').getAttribute('href')")
    assert link.startswith("/traces?asked=vm%2Fchat&since=")
    await page.click("#filters .chip")
    await page.wait("document.querySelectorAll('#groups-table tbody tr').length === 1")
    assert "prod" in await page.text("#groups-table")
    assert "Numbers reach back to" in await page.text("#reach")
    assert await page.text("#trouble") == ""
    assert page.complaints == []


async def test_search_and_live_tail(traffic: Traffic, page: Page) -> None:
    """A search is in the URL; what comes now is shown without a click."""
    traffic.store(
        *(make_call(row_of(n, metadata={"env": f"stage{n}"}, caller=f"app{n}")) for n in range(1, 61))
    )
    await page.look(width=1440, height=900)
    await page.open(f"{traffic.origin}/traces")
    await page.wait("document.querySelectorAll('#calls tbody tr').length === 50")
    await page.click("#older")
    await page.wait("document.querySelectorAll('#calls tbody tr').length === 60")
    await shoot_all(page, "traces")
    await page.fill("#f-q", "stage17")
    await page.click("#search-form button.main")
    await page.wait("document.querySelectorAll('#calls tbody tr').length === 1")
    assert "app17" in await page.text("#calls")
    assert await page.run("location.search") == "?q=stage17"
    await page.click("#live")
    await page.wait("document.getElementById('live').getAttribute('aria-pressed') === 'true'")
    # Asked once a second: what comes before the first question is no news.
    number = 100
    while await page.run("document.querySelectorAll('#calls tbody tr').length") < 2:
        number += 1
        traffic.store(make_call(row_of(number, metadata={"env": "stage17"}, caller="live")))
        traffic.store(make_call(row_of(number + 1000, caller="another")))
        assert number < 200
        await page.run("new Promise((done) => setTimeout(done, 100))")
    assert "live" in await page.text("#calls tbody tr:first-child")
    assert "another" not in await page.text("#calls")
    await page.click("#clear")
    await page.wait("document.querySelectorAll('#calls tbody tr').length >= 50")
    assert await page.run("location.search") == ""
    assert page.complaints == []


async def test_who_cannot_follow_is_told(traffic: Traffic, page: Page) -> None:
    """Not that new calls appear, while none do: too many follow already, or the session has ended."""
    traffic.store(make_call(row_of(1)))
    traffic.tails[0]._max_followers = 0
    await page.open(f"{traffic.origin}/traces")
    await page.wait("document.querySelectorAll('#calls tbody tr').length === 1")
    await page.click("#live")
    await page.wait("document.getElementById('trouble').innerText.includes('0 pages follow already')")
    assert await page.run("document.getElementById('live').getAttribute('aria-pressed')") == "false"
    assert await page.text("#told") == ""
    for token in traffic.access.entrance.accounts.tokens():
        traffic.access.entrance.accounts.revoke_token(token.id)
    await page.click("#live")
    await page.wait("location.pathname === '/sign-in'")


async def test_a_trace_says_what_happened(traffic: Traffic, page: Page) -> None:
    """Steps, the decision in words, what was said, every attribute; no secret in the command."""
    call = traced_call(7, "app1")
    traffic.store(call)
    await page.look(width=1440, height=900)
    await page.open(f"{traffic.origin}/traces/{call.row.trace_id.hex()}")  # type: ignore[union-attr]
    await page.wait("document.querySelectorAll('.span-row').length === 3")
    decided = await page.text(".decision")
    assert "vm/chat answers; it orders its targets by priority" in decided
    assert "c/slow was passed over: it was failing" in decided
    assert "Attempt 1 asked a/one and failed after 100 ms: upstream_timeout" in decided
    assert "Attempt 2 asked b/two" in decided
    # As long as the caller waited for it: the first attempt counts.
    assert "First token\t130 ms" in (await page.text(".facts")).replace("\n", "\t")
    words = await page.text(".waterfall-words")
    assert words.startswith("The slowest step is chat one (b/two, attempt 2): 385 ms, ")
    assert "Between the 2 attempts the gateway waited: 5 ms" in words
    # Copying the id puts it into the clipboard, and the button says so.
    await page.run(COPIED)
    await page.click("[data-copy='#trace-id']")
    await page.wait("window.copied !== undefined")
    assert await page.run("window.copied") == call.row.trace_id.hex()  # type: ignore[union-attr]
    # The slowest step is what is shown first.
    assert "attempt 2" in await page.text(".span-row[aria-pressed=true]")
    assert "it's app1" in await page.text(".said.user")
    assert "partly answered" in await page.text(".said.assistant")
    command = await page.text(".code-block pre")
    assert "Authorization: Bearer $GATEWAY_TOKEN" in command
    assert "it'\\''s app1" in command
    link = await page.run("document.querySelector('.page-actions a').href")
    assert link.startswith(f"https://kibana.test/app/apm/link-to/trace/{call.row.trace_id.hex()}")  # type: ignore[union-attr]
    await shoot_all(page, "trace")
    await page.open(f"{traffic.origin}/traces/{'0' * 32}")
    await page.wait("document.body.innerText.includes('This trace is not here')")
    assert [one for one in page.complaints if "404" not in one] == []


CHAT = {"messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "it's app1"}]}


@pytest.mark.parametrize(
    ("method", "path", "sends"),
    [
        ("POST", "/v1/chat/completions", CHAT),
        (
            "POST",
            "/api/llm/v1/messages",
            {"max_tokens": 1024, "system": "be kind", "messages": CHAT["messages"][1:]},
        ),
        ("POST", "/v1/responses", {"input": CHAT["messages"]}),
        ("POST", "/v1/completions", {"prompt": "be kind\nit's app1"}),
        ("POST", "/v1/embeddings", {"input": "be kind\nit's app1"}),
        ("POST", "/v1/audio/transcriptions", "@body.json"),
        ("DELETE", "/v1/responses/resp_1", "DELETE"),
    ],
    ids=["chat", "messages", "responses", "completions", "embeddings", "another", "delete"],
)
async def test_the_command_asks_what_the_endpoint_takes(
    traffic: Traffic, page: Page, method: str, path: str, sends: dict[str, Any] | str
) -> None:
    """Run as it is, with a token, it is answered as the call was."""
    call = traced_call(8, "app1", method=method, path=path)
    traffic.store(call)
    await page.open(f"{traffic.origin}/traces/{call.row.trace_id.hex()}")  # type: ignore[union-attr]
    await page.wait("document.querySelector('.code-block pre') !== null")
    _curl, url, *rest = shlex.split((await page.text(".code-block pre")).replace("\\\n", ""))
    assert url == f"http://127.0.0.1:8787{path}"
    if isinstance(sends, dict):
        assert json.loads(rest[-1]) == {"model": "vm/chat", **sends}
    else:
        assert sends in rest
        assert "messages" not in " ".join(rest)


async def test_letters_that_turn_the_direction_turn_only_their_own(traffic: Traffic, page: Page) -> None:
    """U+202E in a prompt or a name makes no other command of what is copied, and no other words around it."""
    call = traced_call(8, "a\u202eb")
    traffic.store(call)
    await page.open(f"{traffic.origin}/traces/{call.row.trace_id.hex()}")  # type: ignore[union-attr]
    await page.wait("document.querySelector('.decision code') !== null")
    shown = await page.text(".attributes")
    assert "\u202e" not in shown
    assert "it's a\\u202eb" in shown
    isolated = "getComputedStyle(document.querySelector('.decision code')).unicodeBidi"
    assert await page.run(isolated) == "isolate"
    command = await page.text(".code-block pre")
    assert "\u202e" not in command
    assert (
        json.loads(shlex.split(command.replace("\\\n", ""))[-1])["messages"][1]["content"] == "it's a\u202eb"
    )


async def test_a_refusal_is_said_in_words(traffic: Traffic, page: Page) -> None:
    """Its spans have the status alone; why no model was asked stands with the call."""
    row = row_of(9, model="vm/none", is_error=True, status_code=404, error_type="model_not_found", attempts=0)
    head = span_head(
        trace_id=row.trace_id,
        span_id=row.span_id,
        parent_span_id=b"",
        trace_state="",
        flags=0x101,
        named=span_name("POST /v1/chat/completions", SpanKind.SERVER),
        start_ns=row.start_ns,
        end_ns=row.end_ns,
    )
    span = head + AttributeKey("gateway.model.asked").text("vm/none")
    traffic.store(CallSpans(1, row, [SpanSegments(span, b"")]))
    await page.open(f"{traffic.origin}/traces/{row.trace_id.hex()}")
    await page.wait("document.querySelector('.decision') !== null")
    assert "No model was asked: no model has that name." in await page.text(".decision")
    assert "model_not_found" in await page.text(".facts")


async def test_hostile_text_is_text(traffic: Traffic, page: Page) -> None:
    """Whatever callers and providers write, it is shown and does nothing."""
    call = traced_call(9, HOSTILE)
    assert call.row is not None
    traffic.store(
        call,
        make_call(
            row_of(
                11,
                model=HOSTILE,
                resolved_model=HOSTILE,
                caller=HOSTILE,
                metadata={HOSTILE: HOSTILE, "env": HOSTILE},
                is_error=True,
                error_type=HOSTILE,
                teams=(HOSTILE,),
            ),
            error=HOSTILE,
        ),
    )
    await page.look(width=1440, height=900)
    for path, ready in (
        ("/monitor?split_by=model", "document.querySelectorAll('#groups-table tbody th').length === 2"),
        (
            "/monitor?split_by=metadata.env",
            "document.querySelectorAll('#groups-table tbody th').length === 1",
        ),
        ("/monitor?split_by=team", "document.querySelectorAll('#groups-table tbody th').length === 1"),
        ("/traces", "document.querySelectorAll('#calls tbody tr').length === 2"),
        (f"/traces/{call.row.trace_id.hex()}", "document.querySelectorAll('.span-row').length === 3"),
    ):
        await page.open(traffic.origin + path)
        await page.wait(ready)
        assert "onerror=" in await page.text("#main"), path
        assert await page.run(NO_HARM), path
    escaped = await page.run(f"encodeURIComponent({json.dumps(HOSTILE)})")
    for path in (
        f"/monitor?model={escaped}&split_by={escaped}",
        f"/traces?q={escaped}",
        f"/traces/{escaped}",
    ):
        await page.open(traffic.origin + path)
        await page.wait("document.readyState === 'complete'")
        assert await page.run(NO_HARM), path
