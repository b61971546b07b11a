"""The official AWS SDK, pointed at the gateway, finds what it expects of Bedrock, governed and metered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import boto3
import pytest
from anthropic import Anthropic
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from openai import OpenAI

from tests.rig.bedrock_stack import BEDROCK_KEYS, bedrock_account
from tests.rig.bedrock_upstream import (
    API_KEY,
    KEY_ID,
    SECRET,
    SESSION,
    TEXT,
    USAGE,
    BedrockUpstream,
    read_recorded,
    recorded_body,
)
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import APP_TOKEN, NARROW_TOKEN, virtual_account
from tests.rig.requires import requires, shared_folder

NOVA: Final = "amazon.nova-pro-v1:0"
PROFILE: Final = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-x-v1:0"
MESSAGES: Final = [{"role": "user", "content": [{"text": "Say grün."}]}]
CLAUDE: Final = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": []}
PREFIXES: Final = ["", "/v1", "/api/llm", "/api/inference/openai", "/api/llm/api/inference/openai"]
ROLE_KEYS: Final = {
    "AWS_ACCESS_KEY_ID": KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": SESSION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Stack:
    """All that runs."""

    gateway: GatewayProcess
    upstream: BedrockUpstream

    def client(self, *, token: str = APP_TOKEN, prefix: str = "", **headers: str) -> Any:
        """The official client, unsigned, with a key of the gateway as its bearer token."""
        client = self.signing_client(prefix=prefix, signature_version=UNSIGNED)
        given = {"Authorization": f"Bearer {token}", **headers}

        def add(request: Any, **_: Any) -> None:
            for name, value in given.items():
                request.headers[name.replace("_", "-")] = value

        client.meta.events.register("before-send.bedrock-runtime.*", add)
        return client

    def signing_client(self, *, prefix: str = "", scheme: str = "http", **options: Any) -> Any:
        """The same with keys of AWS that are none."""
        return boto3.client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=f"{scheme}://127.0.0.1:{self.gateway.port}{prefix}/bedrock/proxy",
            aws_access_key_id="dummy",
            aws_secret_access_key="dummy",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=30, **options),
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("boto3")
    shared = shared_folder() / "recordings"
    with ExitStack() as running:
        upstream = running.enter_context(BedrockUpstream(shared if shared.is_dir() else None).running())
        recorded = read_recorded(shared) if shared.is_dir() else {}
        ids = sorted({model_in(path) for path in recorded if path.startswith("/model/")})
        models = {"good": "good", "nova": NOVA, "profile": PROFILE}
        models |= {name: name for name in ("throttled", "broken", "failing", "cut")}
        documents = [
            bedrock_account("aws", upstream.base_url, models),
            bedrock_account("recorded", upstream.base_url, {f"m{at}": name for at, name in enumerate(ids)}),
            bedrock_account("twice", upstream.base_url, {"profile": PROFILE, "only": "only-here"}),
            bedrock_account("host", upstream.base_url, {"good": "host-good"}, auth=None),
            bedrock_account(
                "key",
                upstream.base_url,
                {"good": "key-good"},
                auth={"type": "api-key", "api_key": "env:BEDROCK_KEY"},
            ),
            bedrock_account(
                "wrong",
                upstream.base_url,
                {"good": "wrong-good"},
                auth={
                    "type": "access-key-based",
                    "access_key_id": "env:BEDROCK_ID",
                    "secret_access_key": "env:WRONG_SECRET",
                },
            ),
            virtual_account("app", [APP_TOKEN], ["*"]),
            virtual_account("narrow", [NARROW_TOKEN], ["aws/good"]),
        ]
        environment = {
            **BEDROCK_KEYS,
            "BEDROCK_KEY": API_KEY,
            "WRONG_SECRET": "canary-wrong-0104",
            **ROLE_KEYS,
        }
        gateway = running.enter_context(GatewayProcess(folder, documents, workers=1, environment=environment))
        yield Stack(gateway, upstream)


def model_in(path: str) -> str:
    """The id of a path."""
    return unquote(path.split("/")[2])


@pytest.fixture
def stack(running: Stack) -> Stack:
    """With nothing noted yet."""
    running.upstream.forget()
    return running


def words(events: Any) -> str:
    """The text that a stream of Converse says."""
    return " ".join(
        event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event
    )


def converse(stack: Stack, model: str, **more: Any) -> Any:
    return stack.client().converse(modelId=model, messages=MESSAGES, **more)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_converse(stack: Stack, prefix: str) -> None:
    """A whole answer with its usage, under every base URL; the body passes as it was written."""
    client = stack.client(prefix=prefix)
    reply = client.converse(
        modelId="aws/good", messages=MESSAGES, inferenceConfig={"maxTokens": 60, "temperature": 0.5}
    )
    assert reply["output"]["message"] == {"role": "assistant", "content": [{"text": TEXT}]}
    assert (reply["stopReason"], reply["usage"]) == ("end_turn", USAGE)
    assert reply["ResponseMetadata"]["HTTPHeaders"]["x-tfy-resolved-model"] == "aws/good"
    [asked] = stack.upstream.asked
    assert asked.target == "/model/good/converse"
    assert asked.json == {"messages": MESSAGES, "inferenceConfig": {"maxTokens": 60, "temperature": 0.5}}
    [scope] = stack.upstream.scopes
    assert (scope.access_key_id, scope.service, scope.region) == (KEY_ID, "bedrock", "us-east-1")
    assert APP_TOKEN not in str(asked.headers)


def test_converse_stream(stack: Stack) -> None:
    """The same in pieces, whole messages each."""
    reply = stack.client().converse_stream(modelId="aws/good", messages=MESSAGES)
    events = list(reply["stream"])
    assert words(events) == TEXT
    assert [next(iter(event)) for event in events][-2:] == ["messageStop", "metadata"]
    assert events[-1]["metadata"]["usage"] == USAGE
    assert reply["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/vnd.amazon.eventstream"


def test_invoke(stack: Stack) -> None:
    """A model's own shape, and what goes beside it."""
    reply = stack.client().invoke_model(
        modelId="aws/good", body=json.dumps({"prompt": "x"}), trace="ENABLED", guardrailIdentifier="g1"
    )
    assert json.loads(reply["body"].read())["outputs"][0]["text"] == TEXT
    assert reply["contentType"] == "application/json"
    headers = reply["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-output-token-count"] == "5"
    [asked] = stack.upstream.asked
    assert asked.header("x-amzn-bedrock-trace") == "ENABLED"
    assert asked.header("x-amzn-bedrock-guardrailidentifier") == "g1"
    assert asked.json == {"prompt": "x"}


def test_invoke_stream(stack: Stack) -> None:
    """In pieces."""
    reply = stack.client().invoke_model_with_response_stream(modelId="aws/good", body=json.dumps(CLAUDE))
    pieces = [json.loads(event["chunk"]["bytes"]) for event in reply["body"]]
    assert [piece["type"] for piece in pieces][-1] == "message_stop"
    assert pieces[2]["delta"]["text"] == TEXT


def test_count_tokens(stack: Stack) -> None:
    """Costs nothing, and is a call of the model all the same."""
    reply = stack.client().count_tokens(modelId="aws/good", input={"converse": {"messages": MESSAGES}})
    assert reply["inputTokens"] == 9


@pytest.mark.parametrize(
    ("model", "headers", "resolved"),
    [
        ("aws/nova", {}, "aws/nova"),
        (NOVA, {}, "aws/nova"),
        (f"aws/{NOVA}", {}, "aws/nova"),
        ("nova", {"x_tfy_provider_name": "aws"}, "aws/nova"),
        (PROFILE, {"x_tfy_provider_name": "twice"}, "twice/profile"),
        (f"twice/{PROFILE}", {}, "twice/profile"),
        ("twice/profile", {}, "twice/profile"),
        (PROFILE, {"x_tfy_model_name": "aws/profile"}, "aws/profile"),
    ],
)
def test_names_of_models(stack: Stack, model: str, headers: dict[str, str], resolved: str) -> None:
    """By the name here, by Bedrock's id, with an account or without, as a profile's ARN."""
    reply = stack.client(**headers).converse(modelId=model, messages=MESSAGES)
    assert reply["ResponseMetadata"]["HTTPHeaders"]["x-tfy-resolved-model"] == resolved
    assert stack.upstream.refused == []


def test_an_id_that_several_accounts_have(stack: Stack) -> None:
    """Which is meant must be said; the error lists them."""
    with pytest.raises(ClientError, match="aws/profile, twice/profile") as caught:
        converse(stack, PROFILE)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_an_id_that_one_account_of_the_callers_has(stack: Stack) -> None:
    """Accounts that the caller may not use do not make it ambiguous."""
    reply = stack.client(token=NARROW_TOKEN).converse(modelId="good", messages=MESSAGES)
    assert reply["ResponseMetadata"]["HTTPHeaders"]["x-tfy-resolved-model"] == "aws/good"


@pytest.mark.parametrize("name", ["bearer variable", "own header"])
def test_keys(stack: Stack, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Bedrock's own bearer token, or beside a signature that says nothing."""
    if name == "bearer variable":
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", APP_TOKEN)
        client = stack.signing_client(scheme="https")

        def undo(request: Any, **_: Any) -> None:
            # The SDK gives such a token to nobody without TLS, which a proxy would end here.
            request.url = request.url.replace("https:", "http:")

        client.meta.events.register("before-send.bedrock-runtime.*", undo)
    else:
        client = stack.signing_client()

        def add(request: Any, **_: Any) -> None:
            request.headers["x-tfy-api-key"] = APP_TOKEN

        client.meta.events.register("before-sign.bedrock-runtime.*", add)
    assert client.converse(modelId="aws/good", messages=MESSAGES)["usage"] == USAGE
    assert len(stack.upstream.scopes) == 1


def test_a_signature_alone_is_no_key(stack: Stack) -> None:
    """It is refused before anything is asked, and says what to do."""
    client = stack.signing_client()
    with pytest.raises(client.exceptions.AccessDeniedException, match="AWS_BEARER_TOKEN_BEDROCK"):
        client.converse(modelId="aws/good", messages=MESSAGES)
    with pytest.raises(client.exceptions.AccessDeniedException, match="x-tfy-api-key"):
        client.list_async_invokes()
    assert stack.upstream.asked == []


def test_accounts_that_sign_in_otherwise(stack: Stack) -> None:
    """With the credentials of the host, and with a Bedrock API key."""
    assert converse(stack, "host/good")["usage"] == USAGE
    assert len(stack.upstream.scopes) == 1
    assert converse(stack, "key/good")["usage"] == USAGE
    assert stack.upstream.asked[-1].header("authorization") == f"Bearer {API_KEY}"


def test_a_signature_of_ours_that_is_refused(stack: Stack) -> None:
    """Is no fault of the caller's: a 502 without AWS's words, which the log has in ours."""
    with pytest.raises(ClientError) as caught:
        converse(stack, "wrong/good")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 502
    assert "Canonical" not in str(caught.value.response)
    assert "AWS refused the signature (UnrecognizedClientException)" in stack.gateway.log
    assert "canary" not in stack.gateway.log


@pytest.mark.parametrize(
    ("model", "kind", "status"),
    [
        ("aws/absent", "ResourceNotFoundException", 404),
        ("no-such-model", "ResourceNotFoundException", 404),
        ("aws/throttled", "ThrottlingException", 429),
    ],
)
def test_errors_are_typed(stack: Stack, model: str, kind: str, status: int) -> None:
    """The SDK raises its own exceptions, for ours and for Bedrock's."""
    client = stack.client()
    with pytest.raises(getattr(client.exceptions, kind)) as caught:
        client.converse(modelId=model, messages=MESSAGES)
    metadata = caught.value.response["ResponseMetadata"]
    assert metadata["HTTPStatusCode"] == status
    assert metadata["RequestId"]
    with pytest.raises(getattr(client.exceptions, kind)):
        client.invoke_model_with_response_stream(modelId=model, body=b"{}")


def test_rights(stack: Stack) -> None:
    """A caller without the right, and one without a good key."""
    narrow = stack.client(token=NARROW_TOKEN)
    with pytest.raises(narrow.exceptions.AccessDeniedException, match="may not use"):
        narrow.converse(modelId="aws/nova", messages=MESSAGES)
    with pytest.raises(narrow.exceptions.AccessDeniedException):
        narrow.list_async_invokes()
    unknown = stack.client(token="unknown")
    with pytest.raises(unknown.exceptions.AccessDeniedException, match="not known"):
        unknown.converse(modelId="aws/good", messages=MESSAGES)
    assert stack.upstream.asked == []


def test_an_error_within_a_stream(stack: Stack) -> None:
    """What came before it stands, then the SDK raises it."""
    client = stack.client()
    with closing(client.converse_stream(modelId="aws/broken", messages=MESSAGES)["stream"]) as stream:
        events = iter(stream)
        said = [next(events), next(events)]
        stack.upstream.let_end()
        with pytest.raises(EventStreamError, match="Too many tokens") as caught:
            next(events)
    assert caught.value.response["Error"]["Code"] == "throttlingException"
    assert words(said) == TEXT.split(" ", maxsplit=1)[0]


def test_an_error_that_is_all_of_a_stream(stack: Stack) -> None:
    """Nothing has gone out, so it is an answer with a status."""
    with pytest.raises(ClientError) as caught:
        stack.client().converse_stream(modelId="aws/failing", messages=MESSAGES)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 502


@pytest.mark.parametrize("action", ["converse", "invoke"])
def test_a_stream_that_is_cut_short(stack: Stack, action: str) -> None:
    """Ends with an exception, never as if it were whole."""
    client = stack.client()
    if action == "converse":
        events = client.converse_stream(modelId="aws/cut", messages=MESSAGES)["stream"]
    else:
        events = client.invoke_model_with_response_stream(modelId="aws/cut", body=b"{}")["body"]
    stack.upstream.let_end()
    with closing(events), pytest.raises(EventStreamError, match="before it was complete") as caught:
        list(events)
    assert caught.value.response["Error"]["Code"] == "modelStreamErrorException"


def test_other_paths(stack: Stack) -> None:
    """Guardrails and asynchronous invocations are passed on for an account, signed anew."""
    client = stack.client(x_tfy_provider_name="aws")
    client.apply_guardrail(
        guardrailIdentifier="g1", guardrailVersion="1", source="INPUT", content=[{"text": {"text": "x"}}]
    )
    client.list_async_invokes(maxResults=3, statusEquals="Completed")
    client.get_async_invoke(invocationArn="arn:aws:bedrock:us-east-1:123456789012:async-invoke/abcdefghij12")
    guardrail, listing, one = stack.upstream.asked
    assert guardrail.target == "/guardrail/g1/version/1/apply"
    assert listing.target == "/async-invoke?maxResults=3&statusEquals=Completed"
    assert one.target.endswith("%3Aasync-invoke%2Fabcdefghij12")
    assert (stack.upstream.refused, len(stack.upstream.scopes)) == ([], 3)


def test_what_no_body_can_be(stack: Stack) -> None:
    """Bytes that are no JSON are refused here for Converse, in AWS's words."""
    with stack.gateway.connect() as connection:
        reply = connection.exchange(
            "POST",
            "/bedrock/proxy/model/aws%2Fgood/converse",
            [("authorization", f"Bearer {APP_TOKEN}"), ("content-type", "application/json")],
            b"{",
        )
    assert reply.status == 400
    assert dict(reply.headers)["x-amzn-errortype"] == "ValidationException"
    assert "not JSON" in json.loads(reply.body)["message"]


@pytest.mark.parametrize("action", ["converse", "converse_stream", "invoke_model", "invoke_stream"])
def test_metered(stack: Stack, action: str) -> None:
    """Each is a call of a model: tokens, why it ended, and what was asked for."""
    client = stack.client()
    if action == "converse":
        config = {"maxTokens": 60, "topP": 0.5}
        reply = client.converse(modelId="aws/nova", messages=MESSAGES, inferenceConfig=config)
    elif action == "converse_stream":
        reply = client.converse_stream(modelId="aws/nova", messages=MESSAGES)
        assert list(reply["stream"])
    elif action == "invoke_model":
        reply = client.invoke_model(modelId="aws/nova", body=b"{}")
        assert reply["body"].read()
    else:
        reply = client.invoke_model_with_response_stream(modelId="aws/nova", body=b"{}")
        assert list(reply["body"])
    trace_id = reply["ResponseMetadata"]["HTTPHeaders"]["traceparent"].split("-")[1]
    [span] = [each for each in stack.gateway.trace(trace_id)["spans"] if each["name"].startswith("chat")]
    found = span["attributes"]
    assert span["name"] == f"chat {NOVA}"
    assert found["gen_ai.provider.name"] == "aws.bedrock"
    assert found["gen_ai.usage.output_tokens"] == 5
    assert found["gen_ai.usage.input_tokens"] == (7 if action == "invoke_model" else 11)
    assert found["gen_ai.response.finish_reasons"] in (["end_turn"], ["stop"])
    if action == "converse":
        assert found["gen_ai.request.max_tokens"] == 60
        assert found["gen_ai.request.top_p"] == 0.5


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_other_sdks(stack: Stack, *, is_stream: bool) -> None:
    """Callers of OpenAI's and Anthropic's API reach the same models, by requests that are signed as well."""
    url = f"http://127.0.0.1:{stack.gateway.port}"
    with OpenAI(base_url=f"{url}/v1", api_key=APP_TOKEN, max_retries=0, timeout=60) as openai:
        asked: dict[str, Any] = {"model": "aws/nova", "messages": [{"role": "user", "content": "Hi"}]}
        if is_stream:
            chunks = list(openai.chat.completions.create(**asked, stream=True))
            said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        else:
            said = [openai.chat.completions.create(**asked).choices[0].message.content or ""]
    with Anthropic(base_url=url, api_key=APP_TOKEN, max_retries=0, timeout=60) as claude:
        if is_stream:
            with claude.messages.stream(**asked, max_tokens=60) as stream:
                message: Any = stream.get_final_message()
        else:
            message = claude.messages.create(**asked, max_tokens=60)
    for text in ("".join(said), message.content[0].text):
        assert text.replace(" ", "") == TEXT.replace(" ", "")
    assert (message.usage.output_tokens, message.usage.cache_read_input_tokens) == (5, 4)
    action = "converse-stream" if is_stream else "converse"
    assert {each.target for each in stack.upstream.asked} == {f"/model/{NOVA.replace(':', '%3A')}/{action}"}
    assert (len(stack.upstream.scopes), stack.upstream.refused) == (2, [])


@requires("recordings")
def test_recorded_answers(stack: Stack, recordings: Path) -> None:
    """Whatever Bedrock really answered arrives byte for byte, each under its own id, all signed."""
    count = 0
    for path, item in read_recorded(recordings).items():
        action = path.rpartition("/")[2]
        if not path.startswith("/model/") or action not in ("converse", "invoke", "converse-stream"):
            continue
        with stack.gateway.connect() as connection:
            reply = connection.exchange(
                "POST",
                f"/bedrock/proxy{path}",
                [
                    ("authorization", f"Bearer {APP_TOKEN}"),
                    ("content-type", "application/json"),
                    ("x-tfy-provider-name", "recorded"),
                ],
                json.dumps(item["request_json"] or {}).encode(),
            )
        assert reply.status == item["status"], path
        assert reply.body == recorded_body(item), path
        count += 1
    assert count > 10
    assert stack.upstream.refused == []
