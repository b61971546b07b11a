"""What the Responses pairs give is what OpenAI's own SDK and OpenAI's own specification take."""

from __future__ import annotations

import json
import lzma
from functools import cache
from typing import Any, Final

import httpx2
import jsonschema
import pytest
import yaml
from openai import OpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from tests.golden.responses_cases import Case, all_cases
from tests.rig.requires import requires, shared_folder

CASES = all_cases()
BY_ID = {f"{case.pair_name}/{case.name}": case for case in CASES}
REPLIES = [pytest.param(case, id=name) for name, case in BY_ID.items() if case.reply]
STREAMS = [pytest.param(case, id=name) for name, case in BY_ID.items() if case.stream]
FAILED = [each for each in STREAMS if str(each.id).endswith("/error_in_stream")]
ENDED = [each for each in STREAMS if each not in FAILED]

# Null in OpenAI's real answers, where its specification has them absent or of a type.
_NULLABLE: Final = ("usage", "user")
_EVENTS: Final[TypeAdapter[Any]] = TypeAdapter(ResponseStreamEvent)


class City(BaseModel):
    """What the cases of `json_schema` answer."""

    city: str


def client_for(body: bytes, content_type: str) -> OpenAI:
    """The SDK, whatever it asks answered with *body*."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    return OpenAI(
        api_key="k",
        base_url="http://gateway.test/v1",
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )


@cache
def specification() -> dict[str, Any]:
    """OpenAI's specification."""
    data = lzma.decompress((shared_folder() / "openapi" / "openai.yml.xz").read_bytes())
    loaded: dict[str, Any] = yaml.load(data, Loader=yaml.CSafeLoader)
    return loaded


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": specification()["components"]}
    return jsonschema.Draft202012Validator(schema)


def complaints(name: str, value: dict[str, Any]) -> list[str]:
    """What the specification has against *value*."""
    return [error.message for error in validator(name).iter_errors(_without_nulls(value))]


def _without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = {
        name: _without_nulls(each) if name == "response" else each for name, each in value.items()
    }
    if "tools" in inner:
        # Newer than the specification; the SDK has a type for it.
        inner["tools"] = [tool for tool in inner["tools"] if tool["type"] != "namespace"]
    return {name: each for name, each in inner.items() if each is not None or name not in _NULLABLE}


@pytest.mark.parametrize("case", REPLIES)
def test_sdk_takes_each_reply(case: Case) -> None:
    """Every member has the type that the SDK's own types demand."""
    Response.model_validate(case.whole(), strict=True)


@pytest.mark.parametrize("case", STREAMS)
def test_sdk_takes_each_event(case: Case) -> None:
    """So has every event."""
    for event in case.streamed():
        read = _EVENTS.validate_python(event, strict=True)
        assert read.type == event["type"]


@requires("openapi")
@pytest.mark.parametrize("case", REPLIES)
def test_specification_takes_each_reply(case: Case) -> None:
    """Every member that OpenAI's specification demands is there, with its type."""
    assert complaints("Response", case.whole()) == []


@requires("openapi")
@pytest.mark.parametrize("case", STREAMS)
def test_specification_takes_each_event(case: Case) -> None:
    """So has every event, by the schema of its own type."""
    for event in case.streamed():
        assert complaints(_schema_of(event["type"]), event) == [], event["type"]


@requires("openapi")
def test_the_specification_can_complain() -> None:
    """The check is one: what is missing or of another type is found."""
    case = next(case for case in CASES if case.reply)
    whole = case.whole()
    del whole["parallel_tool_calls"]
    assert complaints("Response", whole) == ["'parallel_tool_calls' is a required property"]
    assert complaints("ResponseTextDoneEvent", {"type": "response.output_text.done", "text": 1}) != []


@cache
def _schema_of(kind: str) -> str:
    """The name of the schema of an event of this type."""
    schemas = specification()["components"]["schemas"]
    names: list[str] = [
        option["$ref"].rpartition("/")[2] for option in schemas["ResponseStreamEvent"]["anyOf"]
    ]
    return next(name for name in names if kind in schemas[name]["properties"]["type"]["enum"])


@pytest.mark.parametrize("case", REPLIES)
def test_create(case: Case) -> None:
    """`responses.create` gives the text of the answer."""
    body = json.dumps(case.whole()).encode()
    response = client_for(body, "application/json").responses.create(model="acct/small", input="x")
    texts = [
        part["text"]
        for item in case.whole()["output"]
        for part in item.get("content", [])
        if part["type"] == "output_text"
    ]
    assert response.output_text == "".join(texts)


@pytest.mark.parametrize("case", ENDED)
def test_stream(case: Case) -> None:
    """`responses.stream` follows every event, and what it put together itself is the response at the end."""
    client = client_for(case.streamed_bytes(), "text/event-stream")
    with client.responses.stream(model="acct/small", input="x") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response() if "response.completed" in kinds else None
    assert kinds == [event["type"] for event in case.streamed()]
    last = case.streamed()[-1]["response"]
    if final is not None:
        assert [item.type for item in final.output] == [item["type"] for item in last["output"]]
        assert final.output_text == Response.model_validate(last).output_text
        assert final.usage is None or final.usage.total_tokens == last["usage"]["total_tokens"]


@pytest.mark.parametrize("case", FAILED)
def test_failed_stream_is_told(case: Case) -> None:
    """A target that fails in the middle is told as OpenAI does: an error, then the response that failed."""
    client = client_for(case.streamed_bytes(), "text/event-stream")
    events = list(client.responses.create(model="acct/small", input="x", stream=True))
    assert [event.type for event in events][-2:] == ["error", "response.failed"]


def test_parse() -> None:
    """`responses.parse` finds the shape that was asked for."""
    case = next(case for case in CASES if case.name == "json_schema" and case.reply)
    client = client_for(json.dumps(case.whole()).encode(), "application/json")
    parsed = client.responses.parse(model="acct/small", input="x", text_format=City)
    assert parsed.output_parsed == City(city="Oslo")
