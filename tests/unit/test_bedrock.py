"""Calls of AWS's SDKs, between doubles: which model is meant, and what is refused before anything is read."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from gateway.bedrock import Bedrock
from gateway.edge.paths import find_bedrock
from gateway.endpoints.bedrock_catalogue import PREFIX
from gateway.errors import UpstreamUnreachable
from gateway.identity.tokens import Identity
from gateway.limits.limiter import Limiter
from gateway.limits.permit import LimitPolicy
from gateway.model import AttemptObserver, AwsSigning, Caller, CallFacts, Target
from gateway.pass_through import PassThrough
from gateway.pipeline import CurrentSnapshot, Pipeline
from gateway.routing.accounts import Accounts
from gateway.routing.direct import Routing, Rules
from gateway.routing.route import Route
from gateway.snapshot import Snapshot
from gateway.store.counter_table import counters_in_memory
from gateway.telemetry.call_trace import CallTrace
from tests.rig.bedrock_upstream import converse_body
from tests.unit.doubles import FakeClient, FakeObserver, FakeReply, FakeUpstream
from tests.unit.limits.limits import limit_of, policy_of
from tests.unit.makers import TOKEN, make_credential, make_route, make_routes, make_target

BEARER = ("authorization", f"Bearer {TOKEN}")
SIGNED = ("authorization", "AWS4-HMAC-SHA256 Credential=AKIADUMMY/20260101/us-east-1/bedrock/aws4_request")
JSON = {"content-type": "application/json"}
SIGNING = AwsSigning("bedrock", "us-east-1")
ARN = "arn:aws:bedrock:us-east-1:1:inference-profile/us.x-v1:0"


def target(name: str, model_id: str, **changes: Any) -> Target:
    return make_target(
        name,
        model_id=model_id,
        dialect="converse",
        signing=SIGNING,
        headers=(),
        base_url="https://b.test",
        **changes,
    )


TARGETS = (
    target("aws/nova", "amazon.nova-lite-v1:0"),
    target("aws/profile", ARN),
    target("other/profile", ARN),
    target("keyless/claude", "anthropic.claude-x", missing_secret="no key"),
    target("aws/claude", "anthropic.claude-x"),
    target("aws/embed", "amazon.titan-embed", model_types=frozenset({"embedding"})),
    make_target("acct/gpt", model_id="amazon.nova-lite-v1:0"),
)
BY_NAME = {each.name: each for each in TARGETS}
CHAT = make_route("vm/nova", BY_NAME["acct/gpt"], BY_NAME["aws/nova"], BY_NAME["aws/claude"])
ROUTES = make_routes(
    CHAT,
    **{"fast": CHAT, "anthropic.claude-x": CHAT},
)
EVERY = (*BY_NAME, "vm/nova")


class Rig:
    """A front of Bedrock's between doubles, and what it recorded."""

    def __init__(
        self,
        *script: FakeReply | Exception,
        models: tuple[str, ...] = EVERY,
        rules: Rules | None = None,
        limits: LimitPolicy | None = None,
        health: AttemptObserver | None = None,
    ) -> None:
        self.upstream = FakeUpstream(*script)
        self.records: list[CallTrace] = []
        caller = Caller("app", frozenset(models), frozenset({"aws"}), tags={"team": "ml"})
        snapshot = Snapshot(
            "v1",
            1,
            Identity([make_credential(TOKEN, caller)]),
            Routing(TARGETS, ROUTES, rules),
            limits=limits,
            accounts=Accounts(TARGETS),
        )
        pipeline = Pipeline(
            CurrentSnapshot(snapshot),
            self.upstream,
            self.records.append,
            max_body_bytes=1000,
            random=Random(7),
            limiter=Limiter(counters_in_memory()),
            health=health,
        )
        passing = PassThrough(pipeline, self.upstream, max_body_bytes=1000, max_upload_bytes=2000)
        self.front = Bedrock(pipeline, passing)

    async def call(
        self, path: str, *headers: tuple[str, str], body: bytes = b"{}", method: str = "POST"
    ) -> FakeClient:
        asked = find_bedrock(f"/bedrock/proxy{path}")
        assert asked is not None
        client = FakeClient(
            *headers, body=body, path=PREFIX + path, route=asked.endpoint.route, method=method
        )
        await self.front.serve(client, asked)
        return client


def answer() -> FakeReply:
    return FakeReply(200, JSON, json.dumps(converse_body()).encode())


@pytest.mark.parametrize(
    ("model", "headers", "name"),
    [
        ("aws%2Fnova", (), "aws/nova"),
        ("aws/nova", (), "aws/nova"),
        ("amazon.nova-lite-v1%3A0", (), "aws/nova"),
        ("aws%2Famazon.nova-lite-v1%3A0", (), "aws/nova"),
        ("nova", (("x-tfy-provider-name", "aws"),), "aws/nova"),
        ("aws%2Famazon.nova-lite-v1%3A0", (("x-tfy-provider-name", "aws"),), "aws/nova"),
        (ARN, (("x-tfy-provider-name", "other"),), "other/profile"),
        (ARN, (("x-tfy-model-name", "other/profile"),), "other/profile"),
        (ARN, (("x-tfy-provider-name", "other"), ("x-tfy-model-name", "profile")), "other/profile"),
        ("anthropic.claude-x", (), "aws/claude"),
    ],
)
async def test_which_model(model: str, headers: tuple[tuple[str, str], ...], name: str) -> None:
    """Its name, Bedrock's id of it, an account beside it; one that can be used before one that cannot."""
    rig = Rig(answer(), models=tuple(BY_NAME))
    client = await rig.call(f"/model/{model}/converse", BEARER, *headers)
    assert (client.status, client.header("x-tfy-resolved-model")) == (200, name)
    [request] = rig.upstream.requests
    assert (request.signing, request.body) == (SIGNING, b"{}")
    [trace] = rig.records
    assert trace.call is not None
    assert trace.call.model == name


@pytest.mark.parametrize(
    ("model", "headers", "name"),
    [
        ("vm%2Fnova", (), "vm/nova"),
        ("vm/nova", (), "vm/nova"),
        ("nova", (("x-tfy-provider-name", "vm"),), "vm/nova"),
        ("fast", (), "fast"),
        ("fast", (("x-tfy-model-name", "vm/nova"), ("x-tfy-provider-name", "vm")), None),
        ("vm%2Fnova", (("x-tfy-model-name", "vm/nova"),), "vm/nova"),
        ("anthropic.claude-x", (("x-tfy-model-name", "vm/nova"),), "vm/nova"),
        (ARN, (("x-tfy-model-name", "vm/nova"),), None),
        ("fast", (("x-tfy-provider-name", "aws"),), None),
    ],
)
async def test_virtual_model(model: str, headers: tuple[tuple[str, str], ...], name: str | None) -> None:
    """Any of its names, its group beside it, the id of one of its targets where a header names it."""
    rig = Rig(answer(), models=("vm/nova",))
    client = await rig.call(f"/model/{model}/converse", BEARER, *headers)
    [trace] = rig.records
    if name is None:
        assert client.status in (400, 404)
        return
    assert (client.status, client.header("x-tfy-resolved-model")) == (200, "aws/nova")
    assert rig.upstream.requests[0].url == "https://b.test/model/amazon.nova-lite-v1%3A0/converse"
    assert trace.call is not None
    assert trace.call.model == name


async def test_virtual_model_whose_first_target_fails() -> None:
    """The next one is asked under its own id."""
    rig = Rig(UpstreamUnreachable("no"), answer())
    client = await rig.call("/model/vm%2Fnova/converse", BEARER)
    assert (client.status, client.header("x-tfy-resolved-model")) == (200, "aws/claude")
    assert rig.upstream.requests[1].url == "https://b.test/model/anthropic.claude-x/converse"


@pytest.mark.parametrize("status", [408, 424])
async def test_a_model_that_failed_counts_as_it_does_for_others(status: int) -> None:
    """Bedrock says it with a 4xx, which callers of chat get as a 5xx: another may answer, and it is sick."""
    health = FakeObserver()
    refused = FakeReply(status, JSON, b'{"message":"no"}')
    rig = Rig(refused, answer(), health=health)
    client = await rig.call("/model/vm%2Fnova/converse", BEARER)
    assert (client.status, client.header("x-tfy-resolved-model")) == (200, "aws/claude")
    assert health.outcomes == [("aws/nova", "sick", status), ("aws/claude", "good", 200)]


@pytest.mark.parametrize(
    ("models", "headers", "name"),
    [
        (EVERY, (), "aws/nova"),
        (EVERY, (("x-tfy-provider-name", "aws"),), "aws/claude"),
        (tuple(BY_NAME), (), "aws/claude"),
    ],
    ids=["alias", "with an account", "without the right to it"],
)
async def test_alias_like_an_id(
    models: tuple[str, ...], headers: tuple[tuple[str, str], ...], name: str
) -> None:
    """The operator's name goes before Bedrock's, for who may use it."""
    client = await Rig(answer(), models=models).call("/model/anthropic.claude-x/converse", BEARER, *headers)
    assert client.header("x-tfy-resolved-model") == name


async def test_plan_knows_the_call_and_its_metadata() -> None:
    """What strategies and rules go by is there when the plan is made, with what the caller is given."""
    seen: list[CallFacts] = []

    class Watching:
        def find(self, _: str, facts: CallFacts) -> Route | None:
            seen.append(facts)
            return None

    rig = Rig(answer(), rules=Watching())
    body = b'{"inferenceConfig": {"maxTokens": 5}}'
    await rig.call(
        "/model/aws%2Fnova/converse", BEARER, ("x-tfy-metadata", '{"env":"dev","team":"mine"}'), body=body
    )
    assert seen[0].metadata == {"team": "ml", "env": "dev"}
    assert seen[0].call is not None
    assert seen[0].call.body == body


@pytest.mark.parametrize(
    ("model", "headers", "kind", "said"),
    [
        (ARN, (), "ValidationException", "aws/profile, other/profile"),
        ("absent", (), "ResourceNotFoundException", "no model absent"),
        ("aws%2Fabsent", (), "ResourceNotFoundException", "no model aws/absent"),
        ("aws%2Fnova", (("x-tfy-model-name", "aws/claude"),), "ValidationException", "another"),
        ("keyless%2Fclaude", (), "ServiceUnavailableException", "no credential"),
    ],
)
async def test_no_model(model: str, headers: tuple[tuple[str, str], ...], kind: str, said: str) -> None:
    """Each mistake has its own error, in AWS's words."""
    rig = Rig()
    client = await rig.call(f"/model/{model}/converse", BEARER, *headers)
    assert client.header("x-amzn-errortype") == kind
    assert said in json.loads(client.received)["message"]
    assert client.header("x-amzn-requestid")


async def test_models_of_the_caller_alone() -> None:
    """What others have does not make an id ambiguous, and is not told."""
    rig = Rig(answer(), models=("other/profile",))
    client = await rig.call(f"/model/{ARN}/converse", BEARER)
    assert client.header("x-tfy-resolved-model") == "other/profile"
    client = await Rig(models=("other/profile",)).call("/model/amazon.nova-lite-v1:0/converse", BEARER)
    assert client.header("x-amzn-errortype") == "ResourceNotFoundException"
    assert "aws" not in client.received.decode()


@pytest.mark.parametrize("path", ["/model/aws%2Fnova/converse", "/async-invoke"])
async def test_a_signature_is_no_key(path: str) -> None:
    """It says what to do, and nothing is read; a key beside it is one."""
    client = await Rig().call(path, SIGNED)
    assert (client.status, client.header("x-amzn-errortype")) == (401, "AccessDeniedException")
    assert "AWS_BEARER_TOKEN_BEDROCK" in json.loads(client.received)["message"]
    assert not client.was_read
    client = await Rig(answer()).call(path, SIGNED, ("x-tfy-api-key", TOKEN), ("x-tfy-provider-name", "aws"))
    assert client.status == 200


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/model/aws%2Fnova/converse", "ValidationException"),
        ("HEAD", "/async-invoke", "ValidationException"),
        ("POST", "/model/aws%2Fnova/invoke-with-bidirectional-stream", "ValidationException"),
    ],
)
async def test_what_cannot_be(method: str, path: str, kind: str) -> None:
    """Other methods, and what needs HTTP/2."""
    client = await Rig().call(path, BEARER, method=method)
    assert client.header("x-amzn-errortype") == kind


async def test_embeddings() -> None:
    """A model that embeds is called for that, which the path does not tell."""
    rig = Rig(FakeReply(200, JSON, b'{"embedding":[1],"inputTextTokenCount":3}'))
    await rig.call("/model/aws%2Fembed/invoke", BEARER)
    [trace] = rig.records
    assert trace.call is not None
    assert trace.call.endpoint.operation == "embeddings"


async def test_what_an_embedding_may_use() -> None:
    """It writes nothing, so a limit with room for what it reads lets it in."""
    reply = FakeReply(200, JSON, b'{"embedding":[1],"inputTextTokenCount":3}')
    rig = Rig(reply, limits=policy_of(limit_of("tokens", 500)))
    client = await rig.call("/model/aws%2Fembed/invoke", BEARER, body=b'{"inputText":"hello"}')
    assert client.status == 200
    assert client.header("x-ratelimit-remaining-tokens") == "498"


async def test_counts_beside_a_reply() -> None:
    """Where the body has none they are in Bedrock's headers, which the caller gets too."""
    headers = {
        **JSON,
        "x-amzn-bedrock-input-token-count": "7",
        "x-amzn-bedrock-output-token-count": "5",
        "x-amzn-requestid": "r-1",
    }
    rig = Rig(FakeReply(200, headers, b'{"generation":"x"}'))
    client = await rig.call("/model/aws%2Fnova/invoke", BEARER, body=b"no JSON")
    usage = rig.records[0].attempts[0].usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (7, 5, "provider")
    assert client.header("x-amzn-bedrock-input-token-count") == "7"
    assert client.header("x-upstream-request-id") == "r-1"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/async-invoke/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aasync-invoke%2Fabc", 200),
        ("/async-invoke/arn%2F..%2Fmodel", 400),
        ("/async-invoke/%2F%2Fevil", 400),
        ("/async-invoke/a%252F..%252Fb", 400),
    ],
)
async def test_ids_with_slashes(path: str, status: int) -> None:
    """ARNs pass as they are written, and lead nowhere else."""
    rig = Rig(FakeReply(200, JSON, b"{}"))
    client = await rig.call(path, BEARER, ("x-tfy-provider-name", "aws"), method="GET", body=b"")
    assert client.status == status
    assert [passage.url for passage in rig.upstream.passages] == (
        [f"https://b.test{path}"] if status == 200 else []
    )


async def test_another_path() -> None:
    """Is passed on for the account, and signed."""
    rig = Rig(FakeReply(200, JSON, b"{}"))
    client = await rig.call(
        "/guardrail/g/version/1/apply",
        BEARER,
        ("x-tfy-provider-name", "aws"),
        ("content-type", "application/json"),
    )
    assert client.status == 200
    [passage] = rig.upstream.passages
    assert (passage.url, passage.signing) == ("https://b.test/guardrail/g/version/1/apply", SIGNING)
