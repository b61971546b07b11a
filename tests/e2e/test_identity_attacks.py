"""Ways to be somebody else, or to reach a model that one has no right to."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import APP_TOKEN, EXPIRED_TOKEN, NARROW_TOKEN, bearer, chat, chat_body
from tests.rig.raw_http import Reply

CHAT = "/v1/chat/completions"
JSON = ("content-type", "application/json")
OTHERS = "fake/tools"
"""A model that `narrow` has no right to and `app` has."""


def post(gateway: GatewayProcess, path: str, headers: list[tuple[str, str]], model: str = OTHERS) -> Reply:
    with gateway.connect() as connection:
        return connection.exchange("POST", path, [JSON, *headers], chat_body(model))


@pytest.mark.parametrize(
    "query",
    [
        "key",
        "api_key",
        "api-key",
        "apikey",
        "token",
        "access_token",
        "x-api-key",
        "x-tfy-api-key",
        "authorization",
    ],
)
def test_tokens_in_a_query(gateway: GatewayProcess, upstream: FakeUpstream, query: str) -> None:
    """They stand in logs and histories, so none counts; nor does it help one in a header."""
    for value in (APP_TOKEN, f"Bearer%20{APP_TOKEN}"):
        assert post(gateway, f"{CHAT}?{query}={value}", []).status == 401
        assert post(gateway, f"{CHAT}?{query}={value}", [bearer(NARROW_TOKEN)]).status == 403
    assert upstream.exchanges == []


@pytest.mark.parametrize(
    "headers",
    [
        [bearer(NARROW_TOKEN), bearer(APP_TOKEN)],
        [bearer(APP_TOKEN), bearer(NARROW_TOKEN)],
        [("x-tfy-api-key", NARROW_TOKEN), ("x-tfy-api-key", APP_TOKEN)],
        [("x-api-key", NARROW_TOKEN), ("x-api-key", APP_TOKEN)],
        [("authorization", f"Bearer {NARROW_TOKEN}, Bearer {APP_TOKEN}")],
        [("x-tfy-api-key", NARROW_TOKEN), bearer(APP_TOKEN)],
        [bearer(APP_TOKEN), ("x-tfy-api-key", NARROW_TOKEN), ("x-api-key", APP_TOKEN)],
        [bearer(NARROW_TOKEN), ("x-api-key", APP_TOKEN)],
        [("x-tfy-api-key", "wrong"), bearer(APP_TOKEN)],
        [bearer("wrong"), ("x-api-key", APP_TOKEN)],
        [bearer(EXPIRED_TOKEN), ("x-api-key", APP_TOKEN)],
        [("cookie", f"token={APP_TOKEN}"), bearer(NARROW_TOKEN)],
        [("x_tfy_api_key", APP_TOKEN), bearer(NARROW_TOKEN)],
        [("X_API_KEY", APP_TOKEN)],
        [("proxy-authorization", f"Bearer {APP_TOKEN}")],
        [("x-forwarded-authorization", f"Bearer {APP_TOKEN}"), bearer(NARROW_TOKEN)],
    ],
    ids=lambda headers: "+".join(name for name, _ in headers),
)
def test_credentials_that_disagree(
    gateway: GatewayProcess, upstream: FakeUpstream, headers: list[tuple[str, str]]
) -> None:
    """One header decides, whatever the others say: x-tfy-api-key, then Authorization, then x-api-key.

    Two of one name are none.
    """
    assert post(gateway, CHAT, headers).status in (401, 403)
    assert upstream.exchanges == []


@pytest.mark.parametrize(
    "header",
    [
        ("x-tfy-subject", "virtualaccount:app"),
        ("x-tfy-subject-type", "virtualaccount"),
        ("x-tfy-user", "app"),
        ("x-tfy-username", "app"),
        ("x-tfy-tenant", "other"),
        ("x-tfy-virtual-account", "app"),
        ("x-tfy-teams", "everyone"),
        ("x_tfy_subject", "virtualaccount:app"),
        ("x-user-id", "app"),
        ("x-forwarded-user", "app"),
        ("x-remote-user", "app"),
        ("x-auth-request-email", "app"),
        ("x-amz-security-token", APP_TOKEN),
        ("x-goog-api-key", APP_TOKEN),
        ("openai-organization", "app"),
        ("tfy-subject", "app"),
    ],
    ids=lambda header: header[0],
)
def test_who_one_says_to_be(gateway: GatewayProcess, upstream: FakeUpstream, header: tuple[str, str]) -> None:
    """No header but the three makes anybody somebody, and none is passed on as if it were true."""
    assert post(gateway, CHAT, [header]).status == 401
    assert post(gateway, CHAT, [bearer(NARROW_TOKEN), header]).status == 403
    assert upstream.exchanges == []


@pytest.mark.parametrize(
    "path",
    [
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/v1/chat/completions/",
        "/V1/CHAT/COMPLETIONS",
        "/v1/%63hat/completions",
        "/v1%2fchat%2fcompletions",
        "/v1/./chat/completions",
        "/v1/%2e/chat/completions",
        "/v1/models/../chat/completions",
        "/v1/models/%2e%2e/chat/completions",
        "/v1/chat/completions;x=y",
        "/v1/chat/completions%00",
        "/v1/chat/completions?model=fake/normal",
        "/api/llm/v1/chat/completions",
        "/api/llm//chat/completions",
        "/proxy/fake/chat/completions",
        "/proxy/fake/v1/chat/completions",
        "/proxy/FAKE/chat/completions",
        "/proxy/%66ake/chat/completions",
        "/proxy/fake/%2e%2e/chat/completions",
        "/proxy/../proxy/fake/chat/completions",
        "/proxy//fake/chat/completions",
        "/gemini/v1beta/models/fake%2ftools:generateContent",
        "/gemini/v1beta/models/fake/tools:generateContent",
        "/bedrock/proxy/model/fake%2Ftools/converse",
        "/bedrock/proxy/model/fake/tools/invoke",
        "/v1/responses",
        "/v1/messages",
        "/v1/embeddings",
        "/v1/completions",
        "/v1/audio/speech",
    ],
)
def test_paths_around_a_right(gateway: GatewayProcess, upstream: FakeUpstream, path: str) -> None:
    """However it is written, nothing is asked of the provider."""
    for headers in ([bearer(NARROW_TOKEN)], [bearer(NARROW_TOKEN), ("x-tfy-provider-name", "fake")], []):
        reply = post(gateway, path, headers)
        assert reply.status in (400, 401, 403, 404, 405), (path, headers, reply.body)
    assert upstream.exchanges == []


@pytest.mark.parametrize(
    "model",
    [
        "fake/Tools",
        "FAKE/tools",
        "fake//tools",
        "fake/./tools",
        "fake/normal/../tools",
        "fake%2ftools",
        " fake/tools",
        "fake/tools ",
        "fake/tools\u0000",
        "fake/*",
        "fake/t*",
        "fake/[t]ools",
        "*",
        "lab/tools",
        "openai/tools",
        "fake/\uff54ools",
        "fake\u2215tools",
    ],
    ids=ascii,
)
def test_names_around_a_right(gateway: GatewayProcess, upstream: FakeUpstream, model: str) -> None:
    """A model has its names letter by letter, and a right to one is none to what looks like it."""
    assert chat(gateway, model, token=NARROW_TOKEN).status in (400, 403, 404)
    headers = [bearer(NARROW_TOKEN), ("x-tfy-provider-name", "fake")]
    assert post(gateway, CHAT, headers, model.rpartition("/")[2] or model).status in (400, 403, 404)
    assert upstream.exchanges == []


def test_a_model_that_is_named_twice(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """What is checked is what is sent, whichever of two members counts."""
    for pair in (("fake/normal", OTHERS), (OTHERS, "fake/normal")):
        body = f'{{"model":"{pair[0]}","messages":[{{"role":"user","content":"x"}}],"model":"{pair[1]}"}}'
        with gateway.connect() as connection:
            connection.exchange("POST", CHAT, [JSON, bearer(NARROW_TOKEN)], body.encode())
    assert all(json.loads(exchange.body)["model"] == "normal" for exchange in upstream.exchanges)


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (CHAT, {"Model": "tools"}),
        (CHAT, {"models": ["tools"]}),
        (CHAT, {"fallbacks": ["tools"]}),
        (CHAT, {"preset": "any"}),
        (CHAT, {"user_config": {"model_list": [{"model_name": "a", "litellm_params": {"model": "tools"}}]}}),
        (CHAT, {"tools": [{"type": "openrouter:fusion", "parameters": {"analysis_models": ["tools"]}}]}),
        (CHAT, {"tools": [{"type": "openrouter:advisor"}]}),
        (CHAT, {"plugins": [{"id": "fusion"}]}),
        ("/v1/embeddings", {"input": "x", "models": ["normal", "tools"]}),
        ("/v1/responses", {"input": "x", "models": ["tools"]}),
        ("/v1/responses", {"input": "x", "tools": [{"type": "image_generation", "model": "tools"}]}),
    ],
    ids=str,
)
def test_further_models(
    gateway: GatewayProcess, upstream: FakeUpstream, path: str, more: dict[str, Any]
) -> None:
    """The right to one model is none to others that a call names for the provider to take."""
    for order in (("model", *more), (*more, "model")):
        said = {"model": "fake/normal", "messages": [{"role": "user", "content": "x"}], **more}
        body = json.dumps({**{name: said[name] for name in order}, **said}).encode()
        with gateway.connect() as connection:
            reply = connection.exchange("POST", path, [JSON, bearer(NARROW_TOKEN)], body)
        assert reply.status in (400, 403), reply.body
    assert upstream.exchanges == []
    allowed = {**said, "models": ["normal"], "tools": []}
    for name in ("Model", "preset", "user_config", "plugins"):
        allowed.pop(name, None)
    with gateway.connect() as connection:
        body = json.dumps(allowed | {"fallbacks": "default"}).encode()
        assert connection.exchange("POST", CHAT, [JSON, bearer(NARROW_TOKEN)], body).status == 200


def test_what_is_not_the_token(gateway: GatewayProcess) -> None:
    """Its hash, which may be read in a manifest, its parts, and it with more, sign nobody in."""
    digest = hashlib.sha256(APP_TOKEN.encode())
    near = [digest.hexdigest(), f"sha256:{digest.hexdigest()}", digest.digest()[:8].hex(), "env:APP_TOKEN"]
    near += [APP_TOKEN[:-1], f"{APP_TOKEN} {APP_TOKEN}", f"{APP_TOKEN}\u00a0", f"Bearer {APP_TOKEN}"]
    near += [APP_TOKEN.upper(), f"{APP_TOKEN}\u0085", f"{APP_TOKEN}%20"]
    for token in near:
        assert post(gateway, CHAT, [("x-api-key", token)], "fake/normal").status == 401, token
