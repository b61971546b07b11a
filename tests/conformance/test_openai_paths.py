"""Every resource method of the installed `openai` SDK behaves through the gateway as it does directly.

Each method is called twice with the same made-up arguments, once at a recording provider and once through the
gateway at the same provider. What arrives must be the same method, path, query and body, and the SDK must
make the same of the answer. The methods are found by looking, so a new one of a new SDK is called too; what
is left out is listed with its reason, and a name there that no longer exists fails.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from openai import OpenAI
from openai._resource import SyncAPIResource

from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import APP_TOKEN, ENVIRONMENT, PROVIDER_KEY, openai_account, virtual_account
from tests.rig.path_upstream import PathUpstream
from tests.rig.sdk_methods import arguments, made, methods, seen

_SOCKET = "a WebSocket, not HTTP"
_LOCAL = "computed in the SDK, asks nobody"
_COMPOSED = "made of other methods of this table"
_OURS = "answered by the gateway itself, from what the caller may use (tests/conformance/test_openai_sdk.py)"
LEFT_OUT: Final = {
    re.compile(r".*\bconnect"): _SOCKET,
    re.compile(r"webhooks\.(unwrap|verify_signature)"): _LOCAL,
    re.compile(r".*\.environments\.files\.prepare(_directory)?"): _LOCAL,
    re.compile(r".*\.artifacts\.for_result"): _LOCAL,
    re.compile(
        r".*\.(create_and_(poll|run|run_poll|run_stream|stream)|poll|submit_tool_outputs_(and_poll|stream))"
    ): _COMPOSED,
    re.compile(r".*\.(upload|upload_and_poll|upload_file_chunked|wait_for_processing)"): _COMPOSED,
    re.compile(r".*\.(parse|stream)"): _COMPOSED,
    re.compile(r"models\.(list|retrieve)"): _OURS,
}
# A string would be refused by the SDK itself, or is no right value for the gateway.
VALUES: Final[dict[str, Any]] = {
    "messages": [{"role": "user", "content": "x"}],
    "model": "normal",
    "prompt": "x",
    "input": "x",
    "n": 1,
    "stream": False,
    "background": False,
    "include": ["x"],
    "items": [{"type": "message", "role": "user", "content": "x"}],
    "tool_outputs": [{"tool_call_id": "x", "output": "x"}],
}
# Of methods that take one of several sets of arguments: one set.
MORE: Final[dict[str, dict[str, Any]]] = {
    "admin.organization.external_keys.create": {
        "external_id": "x", "kms_arn": "x", "name": "x", "role_arn": "x", "type": "aws",
    },
    "audio.voices.create": {"name": "x", "prompt": "x", "type": "x"},
    "beta.agents.automations.create": {"name": "x", "run_at": "x", "target": {}, "type": "once"},
    "beta.agents.environments.files.create": {"file_id": "x", "path": "x", "type": "file"},
    "videos.edit": {"video": ("f.mp4", io.BytesIO(b"\x00" * 99))},
    "videos.extend": {"video": ("f.mp4", io.BytesIO(b"\x00" * 99))},
}  # fmt: skip


def _names() -> list[str]:
    client = OpenAI(api_key="x", admin_api_key="x")
    return sorted({name for name, _ in methods(client, SyncAPIResource)})


NAMES: Final = _names()
CALLED: Final = [name for name in NAMES if not any(left.fullmatch(name) for left in LEFT_OUT)]


@pytest.fixture(scope="module")
def provider() -> Iterator[PathUpstream]:
    with PathUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(provider: PathUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    documents = [
        openai_account("fake", provider.base_url, ["normal"]),
        virtual_account("app", ["env:APP_TOKEN"], ["fake/*"]),
    ]
    folder = tmp_path_factory.mktemp("paths")
    with GatewayProcess(folder, documents, workers=1, environment=ENVIRONMENT) as process:
        yield process


def _methods(base_url: str, key: str) -> Iterator[dict[str, Any]]:
    """Of one client for all tests: it, and looking for them, takes longer than a call."""
    with OpenAI(base_url=base_url, api_key=key, admin_api_key=key, max_retries=0, timeout=60.0) as client:
        yield dict(methods(client, SyncAPIResource))


@pytest.fixture(scope="module")
def direct_methods(provider: PathUpstream) -> Iterator[dict[str, Any]]:
    yield from _methods(provider.base_url, PROVIDER_KEY)


@pytest.fixture(scope="module")
def methods_through(gateway: GatewayProcess) -> Iterator[dict[str, Any]]:
    yield from _methods(gateway.base_url, APP_TOKEN)


def _call(available: dict[str, Any], provider: PathUpstream, name: str, model: str) -> tuple[Any, Any]:
    provider.forget()
    method = available[name]
    more = {key: _again(value) for key, value in MORE.get(name, {}).items()}
    result = made(method(**arguments(method, model=model, values=VALUES) | more))
    (asked,) = provider.asked
    return seen(asked), result


def _again(value: Any) -> Any:
    """A file is read once."""
    return (value[0], io.BytesIO(value[1].getvalue())) if isinstance(value, tuple) else value


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:pydantic")
@pytest.mark.parametrize("name", CALLED)
def test_method(
    direct_methods: dict[str, Any], methods_through: dict[str, Any], provider: PathUpstream, name: str
) -> None:
    """The provider hears the same, and the SDK gives its caller the same."""
    direct = _call(direct_methods, provider, name, "normal")
    through = _call(methods_through, provider, name, "fake/normal")
    # The gateway writes JSON bodies anew when it changes the model; members and order stay.
    assert through[0] == direct[0]
    assert through[1] == direct[1]
    assert provider.asked[0].header("authorization") == f"Bearer {PROVIDER_KEY}"
    assert APP_TOKEN not in str(provider.asked[0].headers)


def test_left_out_methods_exist() -> None:
    """A reason that is for nothing any more goes away."""
    assert [left.pattern for left in LEFT_OUT if not any(map(left.fullmatch, NAMES))] == []
    assert len(CALLED) > 380
