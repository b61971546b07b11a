"""Every cell of the matrix in docs/translation.md: what a caller finds behind each kind of account.

One gateway, and behind it providers that say the same in every dialect. Each cell is one call with the
official SDK of the caller's dialect, and beside it the same call at the provider itself. What was seen
has to be what the docs say of the cell; `--golden-rewrite` writes there what was seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import anthropic
import openai
import pytest

from tests.conformance.matrix_asks import PATHS, PICTURE, QUESTION, SCHEMA, Clients, Told, ask
from tests.rig.behaviours import error_body
from tests.rig.fake_upstream import Exchange, FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import APP_TOKEN, ENVIRONMENT, virtual_account
from tests.rig.matrix_upstream import Providers, said

DOCS: Final = Path(__file__).resolve().parents[2] / "docs" / "translation.md"
TIMEOUT_S: Final = 30.0
# Column of the docs -> account, and the model as the provider knows it.
ACCOUNTS: Final = {
    "OpenAI": ("openai", "gpt-5.1"),
    "Azure OpenAI": ("azure", "gpt-5.1"),
    "self-hosted": ("lab", "qwen-3"),
    "Ollama": ("ollama", "qwen-3"),
    "Mistral AI": ("mistral", "magistral-medium"),
    "Anthropic": ("claude", "claude-sonnet-4-6"),
}
_KEY: Final = {"type": "api-key", "api_key": "env:FAKE_KEY"}
_SECTION: Final = "## Cell by cell\n"


@dataclass(frozen=True)
class Cell:
    """One cell; whole and streamed are cells of their own here, and share one of the docs."""

    path: str
    account: str
    feature: str
    is_stream: bool

    def __str__(self) -> str:
        """Its id."""
        how = "stream" if self.is_stream else "whole"
        return f"{self.path}-{self.account}-{self.feature}-{how}".replace(" ", "_")


CELLS: Final = [
    Cell(name, account, feature, is_stream)
    for name, path in PATHS.items()
    for account in ACCOUNTS
    for feature in path.features
    for is_stream in ([False, True] if path.can_stream else [False])
]


# -- the docs


def read_docs() -> dict[Cell, str]:
    """What the docs say of each cell."""
    told: dict[Cell, str] = {}
    section = DOCS.read_text(encoding="utf-8").partition(_SECTION)[2].partition("\n## ")[0]
    for part in section.split("\n### ")[1:]:
        name, _, rest = part.partition("\n")
        lines = [line for line in rest.splitlines() if line.startswith("|")]
        rows = [[text.strip() for text in line.strip("|").split("|")] for line in lines]
        for feature, *texts in rows[2:]:
            for account, text in zip(rows[0][1:], texts, strict=True):
                whole, _, streamed = text.partition("; streamed: ")
                told[Cell(name, account, feature, is_stream=False)] = whole
                if PATHS[name].can_stream:
                    told[Cell(name, account, feature, is_stream=True)] = streamed or whole
    return told


def write_docs(seen: dict[Cell, str]) -> None:
    """Put what was seen into the docs."""
    tables = []
    for name, path in PATHS.items():
        lines = [f"| | {' | '.join(ACCOUNTS)} |", "|---" * (len(ACCOUNTS) + 1) + "|"]
        for feature in path.features:
            texts = [_text_of(seen, Cell(name, account, feature, is_stream=False)) for account in ACCOUNTS]
            lines.append(f"| {feature} | {' | '.join(texts)} |")
        tables.append(f"### {name}\n\n" + "\n".join(lines) + "\n")
    text = DOCS.read_text(encoding="utf-8")
    before, _, rest = text.partition(_SECTION)
    section, mark, after = rest.partition("\n## ")
    introduction = section.partition("### ")[0]
    DOCS.write_text(before + _SECTION + introduction + "\n".join(tables) + mark + after, encoding="utf-8")


def _text_of(seen: dict[Cell, str], cell: Cell) -> str:
    whole, streamed = seen[cell], seen.get(replace(cell, is_stream=True))
    return whole if streamed in {None, whole} else f"{whole}; streamed: {streamed}"


# -- what runs


@dataclass(frozen=True)
class Stack:
    """What runs: `direct` are clients of the providers themselves."""

    clients: Clients
    direct: Clients
    providers: Providers


def _account(kind: str, name: str, model: Document | None = None, **members: Any) -> Document:
    model_id = next(model_id for account, model_id in ACCOUNTS.values() if account == name)
    types = ["chat", "completion", "embedding"]
    models = [{"name": "m", "model_id": model_id, "model_types": types, **(model or {})}]
    return {"type": f"provider-account/{kind}", "name": name, "integrations": models, **members}


def _documents(base_url: str) -> list[Document]:
    root = base_url.removesuffix("/v1")
    keyed: dict[str, Any] = {"base_url": base_url, "auth_data": _KEY}
    lab = {"name": "m", "hosted_model_name": "qwen-3", "url": base_url, "model_server": "openai-compatible",
           "model_types": ["chat", "completion", "embedding"],
           "type": "integration/model/self-hosted-model"}  # fmt: skip
    return [
        _account("openai", "openai", **keyed),
        _account("azure-openai", "azure", {"api_version": "2024-10-21"}, azure_endpoint=root, auth_data=_KEY),
        {"type": "provider-account/self-hosted-model", "name": "lab", "integrations": [lab]},
        _account("ollama", "ollama", auth_data={"custom_host": root}),
        _account("mistral-ai", "mistral", **keyed),
        _account("anthropic", "claude", {"model_types": ["chat"]}, **keyed),
        virtual_account("matrix", [APP_TOKEN], ["*"]),
    ]


def _clients(running: ExitStack, url: str) -> Clients:
    of_openai = openai.OpenAI(base_url=f"{url}/v1", api_key=APP_TOKEN, max_retries=0, timeout=TIMEOUT_S)
    of_anthropic = anthropic.Anthropic(base_url=url, api_key=APP_TOKEN, max_retries=0, timeout=TIMEOUT_S)
    return Clients(running.enter_context(of_openai), running.enter_context(of_anthropic))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with ExitStack() as running:
        providers = Providers()
        upstream = running.enter_context(FakeUpstream({}, providers.answer))
        folder = tmp_path_factory.mktemp("matrix")
        gateway = GatewayProcess(folder, _documents(upstream.base_url), workers=1, environment=ENVIRONMENT)
        running.enter_context(gateway)
        through = _clients(running, f"http://127.0.0.1:{gateway.port}")
        direct = _clients(running, upstream.base_url.removesuffix("/v1"))
        yield Stack(through, direct, providers)
        assert upstream.violations == []


@pytest.fixture(scope="module")
def docs(request: pytest.FixtureRequest) -> Iterator[dict[Cell, str]]:
    """What the docs say; where they are rewritten, a place for what is seen."""
    if not request.config.getoption("--golden-rewrite"):
        yield read_docs()
        return
    seen: dict[Cell, str] = {}
    yield seen
    assert seen.keys() == set(CELLS), "a table is written whole: run the whole file"
    write_docs(seen)


# -- what is seen


def look(stack: Stack, cell: Cell) -> str:
    """Call, and say in the words of the docs what became of it."""
    path, (account, model_id) = PATHS[cell.path], ACCOUNTS[cell.account]
    stack.providers.feature = cell.feature
    stack.providers.exchanges.clear()
    told = ask(stack.clients, path, cell.feature, f"{account}/m", is_stream=cell.is_stream)
    arrived = list(stack.providers.exchanges)
    if not arrived:
        return _refusal(told, source="client")
    (exchange,) = arrived
    if cell.feature in {"error inside", "cut"}:
        return _failure(told, is_stream=cell.is_stream)
    if cell.feature == "error status":
        return _error(told, path.dialect, exchange)
    direct = ask(stack.direct, path, cell.feature, model_id, is_stream=cell.is_stream)
    word = _compare(exchange, stack.providers.exchanges[-1])
    assert told.error is None, told.error
    assert path.read(list(told.items), is_stream=cell.is_stream) == _expected(cell), told.items
    if word == "translated":
        _check_carried(exchange, cell.feature, told.left_out)
    else:
        assert told.items == direct.items
    names = ", ".join(f"`{name}`" for name in told.left_out)
    return f"{word}, without {names}" if names else word


def _compare(through: Exchange, direct: Exchange) -> str:
    """How the provider was asked through the gateway, beside how it was asked directly."""
    ends = [exchange.path.partition("?")[0].split("/")[-2:] for exchange in (through, direct)]
    if ends[0][-1] != ends[1][-1] or ("chat" in ends[0]) != ("chat" in ends[1]):
        return "translated"
    return "unchanged" if through.json == direct.json else "adapted"


def _expected(cell: Cell) -> Any:
    answer = said(cell.feature)
    if cell.path == "embeddings":
        return replace(answer, text="", usage=(answer.usage[0], 0))
    return answer


def _refusal(told: Told, *, source: str) -> str:
    error = told.error
    assert isinstance(error, openai.APIStatusError | anthropic.APIStatusError), told
    assert told.headers["x-tfy-error-source"] == source
    code = _inner(error)["code"]
    return f"{error.status_code} `{code}`"


def _inner(error: openai.APIStatusError | anthropic.APIStatusError) -> dict[str, Any]:
    """The error object: the OpenAI SDK has unwrapped it already."""
    body: Any = error.body
    inner: dict[str, Any] = body["error"] if isinstance(error, anthropic.APIStatusError) else body
    return inner


def _failure(told: Told, *, is_stream: bool) -> str:
    """An answer that fails is never taken for a whole one."""
    if not is_stream:
        return _refusal(told, source="upstream")
    assert told.items, "the beginning of the answer has not come"
    assert told.error is not None or _has_failed(told), told.items
    return "error event"


def _has_failed(told: Told) -> bool:
    """The event that says so is one of the stream's own, which the SDK passes on."""
    return told.items[-1].get("type") in {"error", "response.failed"}


def _error(told: Told, dialect: str, exchange: Exchange) -> str:
    """A provider's error keeps its status and what to wait for; its words are the caller's."""
    error = told.error
    assert isinstance(error, openai.RateLimitError if dialect == "openai" else anthropic.RateLimitError)
    assert (error.status_code, told.headers["retry-after"]) == (429, "7")
    assert told.headers["x-tfy-error-source"] == "upstream"
    inner = _inner(error)
    is_claude = exchange.path.endswith("/messages")
    assert ("canary" if is_claude else "the provider says 429") in inner["message"]
    if is_claude is (dialect == "anthropic"):
        assert is_claude or inner == error_body(429)["error"]
        return "unchanged"
    assert inner["type"] == "rate_limit_error"
    return "translated"


def _check_carried(exchange: Exchange, feature: str, left_out: tuple[str, ...]) -> None:
    """What was asked has arrived in the words of the provider's dialect."""
    body, is_claude = exchange.json, exchange.path.endswith("/messages")
    text = json.dumps(body)
    assert QUESTION in text
    assert bool(exchange.header("anthropic-version")) is is_claude
    if left_out:
        return
    match feature:
        case "tools":
            names = [tool["name"] if is_claude else tool["function"]["name"] for tool in body["tools"]]
            assert names == ["get_weather", "get_time"]
        case "image":
            part = body["messages"][-1]["content"][-1]
            assert part["type"] == ("image" if is_claude else "image_url")
            assert PICTURE in json.dumps(part)
        case "JSON schema" if is_claude:
            assert body["output_config"]["format"] == {"type": "json_schema", "schema": SCHEMA}
        case "JSON schema":
            assert body["response_format"]["json_schema"]["schema"] == SCHEMA
        case "reasoning":
            assert body.get("thinking" if is_claude else "reasoning_effort")


# -- the tests


def test_docs_have_every_cell() -> None:
    """Each cell of the matrix is in the docs, and nothing else is."""
    assert read_docs().keys() == set(CELLS)


def test_words() -> None:
    """A cell of the docs says one of few things, which their introduction explains."""
    words = re.compile(
        r"unchanged|(adapted|translated)(, without `[a-z_.]+`(, `[a-z_.]+`)*)?|\d{3} `[a-z_]+`|error event"
    )
    assert [text for text in read_docs().values() if not words.fullmatch(text)] == []


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_cell(stack: Stack, docs: dict[Cell, str], cell: Cell, *, golden_rewrite: bool) -> None:
    """What is seen is what the docs say."""
    seen = look(stack, cell)
    if golden_rewrite:
        docs[cell] = seen
    assert seen == docs.get(cell)
