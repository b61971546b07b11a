"""Every resource method of the installed `openai` SDK behaves through the gateway as it does directly.

Each method is called twice with the same made-up arguments, once at a recording provider and once through the
gateway at the same provider. What arrives must be the same method, path, query and body, and the SDK must
make the same of the answer. The methods are found by looking, so a new one of a new SDK is called too; what
is left out is listed with its reason, and a name there that no longer exists fails.
"""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

import pytest
from openai import OpenAI
from openai._resource import SyncAPIResource

from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import APP_TOKEN, ENVIRONMENT, PROVIDER_KEY, openai_account, virtual_account
from tests.rig.path_upstream import Asked, PathUpstream

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
BINARY: Final = frozenset(
    {"file", "image", "data", "audio", "audio_sample", "recording", "video", "input_reference"}
)


def methods(client: OpenAI) -> Iterator[tuple[str, Any]]:
    """Every public method of every resource, by its dotted name."""
    roots = [(name, getattr(client, name)) for name in _resources(client)]
    while roots:
        prefix, resource = roots.pop()
        for name in sorted(_members(type(resource))):
            member = inspect.getattr_static(type(resource), name)
            if callable(member) and not isinstance(member, cached_property):
                yield f"{prefix}.{name}", getattr(resource, name)
        roots += [(f"{prefix}.{name}", getattr(resource, name)) for name in _resources(resource)]


def _members(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith(("_", "with_"))}


def _resources(owner: object) -> list[str]:
    found = []
    for name in _members(type(owner)):
        member = inspect.getattr_static(type(owner), name)
        is_lazy = isinstance(member, property | cached_property) or hasattr(member, "attrname")
        if is_lazy and isinstance(getattr(owner, name, None), SyncAPIResource):
            found.append(name)
    return sorted(found)


def _names() -> list[str]:
    client = OpenAI(api_key="x", admin_api_key="x")
    return sorted({name for name, _ in methods(client)})


NAMES: Final = _names()
CALLED: Final = [name for name in NAMES if not any(left.fullmatch(name) for left in LEFT_OUT)]


def _arguments(method: Any, *, model: str) -> dict[str, Any]:
    """Something for each argument that must be given, and for a few that need not."""
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(method).parameters.items():
        is_required = parameter.default is inspect.Parameter.empty and parameter.kind in {
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            inspect.Parameter.KEYWORD_ONLY,
        }
        # Generated overloads make some arguments optional that the API wants.
        if not is_required and name not in {"model", "after", "limit"}:
            continue
        if name == "model":
            found[name] = model
        elif name in BINARY and "File" in str(parameter.annotation):
            found[name] = ("f.bin", io.BytesIO(b"\x00\r\n--" * 500), "application/octet-stream")
        elif name == "limit":
            found[name] = 3
        elif name in VALUES:
            found[name] = VALUES[name]
        elif "SequenceNotStr" in str(parameter.annotation) or "Iterable" in str(parameter.annotation):
            found[name] = []
        else:
            found[name] = f"{name.replace('_', '-')}_1"
    return found


def _seen(asked: Asked) -> tuple[str, str, bytes, str]:
    """What arrived, without what is made anew each time."""
    kind = asked.header("content-type") or ""
    body = asked.body
    if "boundary=" in kind:
        boundary = kind.partition("boundary=")[2]
        kind, body = kind.replace(boundary, "b"), body.replace(boundary.encode(), b"b")
    return asked.method, asked.target, body, kind


def _made(result: Any) -> Any:
    """What the SDK made of the answer, comparable."""
    if hasattr(result, "model_dump"):
        return type(result).__name__, result.model_dump()
    if hasattr(result, "read"):
        return type(result).__name__, result.read()
    return result


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


def _call(client: OpenAI, provider: PathUpstream, name: str, model: str) -> tuple[Any, Any]:
    provider.forget()
    method = dict(methods(client))[name]
    more = {key: _again(value) for key, value in MORE.get(name, {}).items()}
    result = _made(method(**_arguments(method, model=model) | more))
    (asked,) = provider.asked
    return _seen(asked), result


def _again(value: Any) -> Any:
    """A file is read once."""
    return (value[0], io.BytesIO(value[1].getvalue())) if isinstance(value, tuple) else value


def _client(base_url: str, key: str) -> OpenAI:
    return OpenAI(base_url=base_url, api_key=key, admin_api_key=key, max_retries=0, timeout=30.0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning:pydantic")
@pytest.mark.parametrize("name", CALLED)
def test_method(gateway: GatewayProcess, provider: PathUpstream, name: str) -> None:
    """The provider hears the same, and the SDK gives its caller the same."""
    with _client(provider.base_url, PROVIDER_KEY) as client:
        direct = _call(client, provider, name, "normal")
    with _client(gateway.base_url, APP_TOKEN) as client:
        through = _call(client, provider, name, "fake/normal")
    # The gateway writes JSON bodies anew when it changes the model; members and order stay.
    assert through[0] == direct[0]
    assert through[1] == direct[1]
    assert provider.asked[0].header("authorization") == f"Bearer {PROVIDER_KEY}"
    assert APP_TOKEN not in str(provider.asked[0].headers)


def test_left_out_methods_exist() -> None:
    """A reason that is for nothing any more goes away."""
    assert [left.pattern for left in LEFT_OUT if not any(map(left.fullmatch, NAMES))] == []
    assert len(CALLED) > 380
