"""Every cell of the matrix in docs/translation.md: what a caller finds behind each kind of account.

One gateway, and behind it providers that say the same in every dialect. Each cell is one call with the
official SDK of the caller's dialect, and beside it the same call at the provider itself. What was seen
has to be what the docs say of the cell; `--golden-rewrite` writes there what was seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import anthropic
import openai
import pytest
from botocore.exceptions import ClientError
from google.genai.errors import APIError as GoogleError

from tests.conformance.matrix_asks import PATHS, PICTURE, QUESTION, SCHEMA, AllClients, Told, all_clients, ask
from tests.rig.behaviours import error_body
from tests.rig.fake_upstream import Exchange, FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.google_cloud import EMAIL, PRIVATE_KEY
from tests.rig.manifests import APP_TOKEN, ENVIRONMENT, virtual_account
from tests.rig.matrix_answers import Said, said
from tests.rig.matrix_dialects import GOOGLES_LIMIT
from tests.rig.matrix_upstream import Providers, kind_of

DOCS: Final = Path(__file__).resolve().parents[2] / "docs" / "translation.md"


@dataclass(frozen=True)
class Account:
    """A column of the docs.

    Attributes:
        name: Of the account.
        model_id: Of its model for texts, as the provider knows it.
        embedder: The same of the one for embeddings; "": the model for texts.
        ranker: The same of the one for ranks.
    """

    name: str
    model_id: str
    embedder: str = ""
    ranker: str = ""

    def id_of(self, model: str) -> str:
        """The provider's name of one of ours."""
        return {"m": self.model_id, "e": self.embedder, "r": self.ranker}[model] or self.model_id


ACCOUNTS: Final = {
    "OpenAI": Account("openai", "gpt-5.1"),
    "Azure OpenAI": Account("azure", "gpt-5.1"),
    "self-hosted": Account("lab", "qwen-3"),
    "Ollama": Account("ollama", "qwen-3"),
    "Mistral AI": Account("mistral", "mistral-medium-3-5"),
    "Anthropic": Account("claude", "claude-sonnet-4-6"),
    "Gemini": Account("gemini", "gemini-3.5-flash", "gemini-embedding-001"),
    "Vertex with Gemini": Account(
        "vertex", "gemini-3.5-flash", "text-embedding-005", "semantic-ranker-default-004"
    ),
    "Vertex with Claude": Account("vertex-claude", "anthropic/claude-sonnet-4-6"),
    "Bedrock": Account(
        "bedrock", "us.anthropic.claude-sonnet-4-6", "amazon.titan-embed-text-v2:0", "amazon.rerank-v1:0"
    ),
    "Cohere": Account("cohere", "command-a-reasoning-08-2025", "embed-v4.0", "rerank-v3.5"),
}
SERVERS: Final = {
    "self-hosted `tei`": Account("lab-tei", "qwen-3"),
    "self-hosted `cohere-rerank-v2`": Account("lab-ranks", "qwen-3"),
}
"""Columns that only the table of ranks has."""

_KEY: Final = {"type": "api-key", "api_key": "env:FAKE_KEY"}
_MODELS: Final = ("m", "e", "r")
_TYPES: Final = ["chat", "completion", "embedding", "rerank"]
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


def accounts_of(name: str) -> tuple[str, ...]:
    """The columns of a path's table."""
    return PATHS[name].accounts or (*ACCOUNTS, *(SERVERS if name == "rerank" else ()))


CELLS: Final = [
    Cell(name, account, feature, is_stream)
    for name, path in PATHS.items()
    for account in accounts_of(name)
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
        accounts = accounts_of(name)
        lines = [f"| | {' | '.join(accounts)} |", "|---" * (len(accounts) + 1) + "|"]
        for feature in path.features:
            texts = [_text_of(seen, Cell(name, account, feature, is_stream=False)) for account in accounts]
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

    clients: AllClients
    direct: AllClients
    providers: Providers


def _models(kind: str, account: Account, **more: Any) -> list[Document]:
    return [
        {
            "type": f"integration/model/{kind.removeprefix('google-').removeprefix('aws-')}",
            "name": name,
            "model_id": account.id_of(name),
            "model_types": _TYPES,
            **more,
        }
        for name in _MODELS
    ]


def _account(kind: str, column: str, model: Document | None = None, **members: Any) -> Document:
    account = ACCOUNTS[column]
    models = _models(kind, account, **(model or {}))
    return {"type": f"provider-account/{kind}", "name": account.name, "integrations": models, **members}


def _lab(account: Account, url: str, server: str) -> Document:
    models = [
        {
            "type": "integration/model/self-hosted-model",
            "name": name,
            "hosted_model_name": account.id_of(name),
            "url": url,
            "model_server": server,
            "model_types": _TYPES,
        }
        for name in _MODELS
    ]
    return {"type": "provider-account/self-hosted-model", "name": account.name, "integrations": models}


def _documents(base_url: str) -> list[Document]:
    root = base_url.removesuffix("/v1")
    keyed: dict[str, Any] = {"base_url": base_url, "auth_data": _KEY}
    google_key = {
        "type": "service_account",
        "project_id": "proj",
        "private_key_id": "canary-key-id",
        "private_key": PRIVATE_KEY,
        "client_email": EMAIL,
        "token_uri": f"{root}/token",
    }
    vertex: dict[str, Any] = {
        "project_id": "proj",
        "region": "europe-west4",
        "base_url": root,
        "auth_data": {"type": "key-file", "key_file_content": google_key},
    }
    return [
        _account("openai", "OpenAI", **keyed),
        _account(
            "azure-openai", "Azure OpenAI", {"api_version": "2024-10-21"}, azure_endpoint=root, auth_data=_KEY
        ),
        _lab(ACCOUNTS["self-hosted"], base_url, "openai-compatible"),
        _lab(SERVERS["self-hosted `tei`"], f"{root}/tei", "tei"),
        _lab(SERVERS["self-hosted `cohere-rerank-v2`"], root, "cohere-rerank-v2"),
        _account("ollama", "Ollama", auth_data={"custom_host": root}),
        _account("mistral-ai", "Mistral AI", **keyed),
        _account("anthropic", "Anthropic", **keyed),
        _account(
            "google-gemini", "Gemini", base_url=root, auth_data={"type": "api-key", "apiKey": "env:FAKE_KEY"}
        ),
        _account("google-vertex", "Vertex with Gemini", **vertex),
        _account("google-vertex", "Vertex with Claude", **vertex),
        _account("aws-bedrock", "Bedrock", region="us-east-1", base_url=root, auth_data=_KEY),
        _account("cohere", "Cohere", base_url=root, auth_data=_KEY),
        virtual_account("matrix", [APP_TOKEN], ["*"]),
    ]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with ExitStack() as running:
        providers = Providers()
        upstream = running.enter_context(FakeUpstream({}, providers.answer))
        folder = tmp_path_factory.mktemp("matrix")
        gateway = GatewayProcess(folder, _documents(upstream.base_url), workers=1, environment=ENVIRONMENT)
        running.enter_context(gateway)
        url, root = f"http://127.0.0.1:{gateway.port}", upstream.base_url.removesuffix("/v1")
        through = all_clients(running, url, url + "/gemini/{account}/proxy", "/bedrock/proxy")
        direct = all_clients(running, root, root)
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
    path, account = PATHS[cell.path], (ACCOUNTS | SERVERS)[cell.account]
    stack.providers.feature = cell.feature
    stack.providers.exchanges.clear()
    told = ask(stack.clients, path, cell.feature, f"{account.name}/{path.model}", is_stream=cell.is_stream)
    arrived = list(stack.providers.exchanges)
    if not arrived:
        return _refusal(told, source="client")
    (exchange,) = arrived
    if cell.feature == "error inside" and path.is_opaque and not cell.is_stream:
        assert told.error is None
        return "unchanged"
    if cell.feature in {"error inside", "cut"}:
        return _failure(told, is_stream=cell.is_stream)
    if cell.feature == "error status":
        return _error(told, path.dialect, exchange)
    direct = ask(stack.direct, path, cell.feature, account.id_of(path.model), is_stream=cell.is_stream)
    word = _compare(exchange, stack.providers.exchanges[-1])
    assert told.error is None, told.error
    found = path.read(list(told.items), is_stream=cell.is_stream)
    if cell.feature == "JSON schema":
        found = replace(found, text=json.dumps(json.loads(found.text), separators=(",", ":")))
    assert found == _expected(cell), told.items
    if word == "translated":
        _check_carried(exchange, cell.feature, told.left_out)
    else:
        assert told.items == direct.items
    names = ", ".join(f"`{name}`" for name in told.left_out)
    return f"{word}, without {names}" if names else word


def _compare(through: Exchange, direct: Exchange) -> str:
    """How the provider was asked through the gateway, beside how it was asked directly."""
    if kind_of(through) != kind_of(direct):
        return "translated"
    return "unchanged" if through.json == direct.json else "adapted"


def _expected(cell: Cell) -> Any:
    answer = said(cell.feature)
    match cell.path:
        case "embeddings":
            return replace(answer, text="", usage=(answer.usage[0], 0))
        case "rerank":
            return Said()
    return answer


def _refusal(told: Told, *, source: str) -> str:
    assert told.error is not None, told
    assert told.headers["x-tfy-error-source"] == source
    status, code, _ = _read_error(told.error)
    return f"{status} `{code}`"


def _read_error(error: Exception) -> tuple[int, str, str]:
    """Status, code and message of what an SDK raised."""
    match error:
        case ClientError():
            about: Any = error.response
            status = about["ResponseMetadata"]["HTTPStatusCode"]
            return status, about["Error"]["Code"], about["Error"]["Message"]
        case GoogleError():
            inner = error.details["error"]
            reasons = [each["reason"].lower() for each in inner.get("details", []) if "reason" in each]
            return error.code, [*reasons, inner["status"]][0], inner["message"]
        case openai.APIStatusError() | anthropic.APIStatusError():
            body: Any = error.body
            # OpenAI's SDK has unwrapped it already.
            inner = body["error"] if isinstance(error, anthropic.APIStatusError) else body
            return error.status_code, inner.get("code", ""), inner["message"]
    raise AssertionError(error)


def _failure(told: Told, *, is_stream: bool) -> str:
    """An answer that fails is never taken for a whole one."""
    if not is_stream:
        return _refusal(told, source="upstream")
    assert told.items, "the beginning of the answer has not come"
    assert told.has_failed, told.items
    return "error event"


# Who is meant when a caller of a dialect is told to wait.
_IS_LIMIT: Final[dict[str, Callable[[Any], bool]]] = {
    "openai": lambda error: isinstance(error, openai.RateLimitError),
    "anthropic": lambda error: (
        isinstance(error, anthropic.RateLimitError) and "'rate_limit_error'" in str(error.body)
    ),
    "gemini": lambda error: isinstance(error, GoogleError) and error.status == "RESOURCE_EXHAUSTED",
    "converse": lambda error: error.response["Error"]["Code"] == "ThrottlingException",
}
_DIALECTS: Final = {"messages": "anthropic", "gemini": "gemini", "converse": "converse", "invoke": "converse"}
_OPENAIS: Final = frozenset({"chat", "completions", "responses", "embeddings", "ranks"})


def _error(told: Told, dialect: str, exchange: Exchange) -> str:
    """A provider's error keeps its status and what to wait for; its words are the caller's."""
    error = told.error
    assert error is not None
    assert _IS_LIMIT[dialect](error), error
    status, _, message = _read_error(error)
    assert (status, told.headers["x-tfy-error-source"]) == (429, "upstream")
    kind = kind_of(exchange)
    is_vertex = "rawPredict" in exchange.path or "streamRawPredict" in exchange.path
    spoken = "gemini" if is_vertex else "openai" if kind in _OPENAIS else _DIALECTS.get(kind)
    assert ("canary" if spoken == "anthropic" else "the provider says 429") in message
    assert dialect == "gemini" or told.headers["retry-after"] == "7"
    if spoken == dialect == "openai":
        assert isinstance(error, openai.APIStatusError)
        assert error.body == error_body(429)["error"]
    if spoken == dialect == "gemini":
        assert isinstance(error, GoogleError)
        assert error.details == GOOGLES_LIMIT
    return "unchanged" if spoken == dialect else "translated"


def _schema_for_claude(body: Any) -> Any:
    """That of the answer, or of the tool whose arguments are the answer."""
    if "output_config" in body:
        return body["output_config"]["format"]["schema"]
    (tool,) = (tool for tool in body["tools"] if tool["name"] == body["tool_choice"]["name"])
    return tool["input_schema"]


# What was asked for, by the kind of path it went to, as it has to be there.
_CARRIED: Final[dict[str, dict[str, Callable[[Any], Any]]]] = {
    "chat": {
        "tools": lambda body: [tool["function"]["name"] for tool in body["tools"]],
        "image": lambda body: body["messages"][-1]["content"][-1]["image_url"]["url"],
        "JSON schema": lambda body: body["response_format"]["json_schema"]["schema"],
        "reasoning": lambda body: body["reasoning_effort"],
    },
    "messages": {
        "tools": lambda body: [tool["name"] for tool in body["tools"]],
        "image": lambda body: body["messages"][-1]["content"][-1]["source"]["data"],
        "JSON schema": _schema_for_claude,
        "reasoning": lambda body: body["thinking"],
    },
    "gemini": {
        "tools": lambda body: [tool["name"] for tool in body["tools"][0]["functionDeclarations"]],
        "image": lambda body: body["contents"][-1]["parts"][-1]["inlineData"]["data"],
        "JSON schema": lambda body: body["generationConfig"]["responseJsonSchema"],
        "reasoning": lambda body: body["generationConfig"]["thinkingConfig"]["thinkingLevel"],
    },
    "converse": {
        "tools": lambda body: [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]],
        "image": lambda body: body["messages"][-1]["content"][-1]["image"]["source"]["bytes"],
        "JSON schema": lambda body: json.loads(
            body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]
        ),
        "reasoning": lambda body: body["additionalModelRequestFields"]["thinking"],
    },
    "cohere": {
        "tools": lambda body: [tool["function"]["name"] for tool in body["tools"]],
        "image": lambda body: body["messages"][-1]["content"][-1]["image_url"]["url"],
        "JSON schema": lambda body: body["response_format"]["json_schema"],
        "reasoning": lambda body: body["thinking"],
    },
}
_HELD: Final[dict[str, Callable[[Any], bool]]] = {
    "tools": lambda value: value == ["get_weather", "get_time"],
    "image": lambda value: value.endswith(PICTURE),
    "JSON schema": lambda value: value == SCHEMA,
    "reasoning": bool,
}


def _check_carried(exchange: Exchange, feature: str, left_out: tuple[str, ...]) -> None:
    """What was asked has arrived in the words of the provider's dialect."""
    body, kind = exchange.json, kind_of(exchange)
    assert QUESTION in json.dumps(body)
    is_anthropic = kind == "messages" and "Predict" not in exchange.path
    assert bool(exchange.header("anthropic-version")) is is_anthropic
    if left_out or feature not in _HELD:
        return
    found = _CARRIED[kind][feature](body)
    assert _HELD[feature](found), found


# -- the tests


def test_docs_have_every_cell() -> None:
    """Each cell of the matrix is in the docs, and nothing else is."""
    assert read_docs().keys() == set(CELLS)


def test_words() -> None:
    """A cell of the docs says one of few things, which their introduction explains."""
    words = re.compile(
        r"unchanged|(adapted|translated)(, without `[a-z_.]+`(, `[a-z_.]+`)*)?|\d{3} `[A-Za-z_]+`|error event"
    )
    assert [text for text in read_docs().values() if not words.fullmatch(text)] == []


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_cell(stack: Stack, docs: dict[Cell, str], cell: Cell, *, golden_rewrite: bool) -> None:
    """What is seen is what the docs say."""
    seen = look(stack, cell)
    if golden_rewrite:
        docs[cell] = seen
    assert seen == docs.get(cell)
