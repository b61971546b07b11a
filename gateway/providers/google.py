"""Models of Google: the Gemini API, and Vertex AI with what others publish there.

Vertex has a publisher's models below its name. Google's own speak Gemini's API, Anthropic's their own, for
which Vertex passes bodies on (`rawPredict`), Mistral's likewise; all others answer to OpenAI's API.

Paths of an account and no model are below the host: there Google's clients write the version themselves.

Models that rank documents are at a host of their own, Vertex AI Search's, which has places and no regions.

Hosts: https://docs.cloud.google.com/vertex-ai/docs/generative-ai/learn/locations ,
https://docs.cloud.google.com/generative-ai-app-builder/docs/locations
Claude: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude
OpenAI's API: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/migrate/openai/overview
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.config import SecretMissing
from gateway.config.extras import GOOGLE
from gateway.config.google_file import KIND_OF, read_credential_file
from gateway.config.manifests.google_account import (
    FederationFileAuth,
    GoogleGeminiAccount,
    GoogleVertexAccount,
    KeyFileAuth,
    VertexIntegration,
)
from gateway.config.manifests.vendors import VENDOR_OF
from gateway.model import GoogleTokenRequest, HeaderLines, RetryPolicy, Target
from gateway.providers.addressing import OwnHeaders, Resolve, Service, make_target, own_headers, own_token
from gateway.providers.anthropic import with_overloaded
from gateway.providers.headers import fixed_lines

GEMINI_PROVIDER: Final = "gcp.gemini"
VERTEX_PROVIDER: Final = "gcp.vertex_ai"
WITHOUT_LIBRARY: Final = f"{GOOGLE.absence}. {GOOGLE.fix}"

_GEMINI_VERSION: Final = "v1beta"
_VERTEX_VERSION: Final = "v1"
_VERSION: Final = re.compile(r"(.*)/(v\d+(?:(?:alpha|beta)\d*)?)")
# Places of several regions have hosts of their own, and what is everywhere has none.
_PLACES: Final = {
    "global": "aiplatform.googleapis.com",
    "eu": "aiplatform.eu.rep.googleapis.com",
    "us": "aiplatform.us.rep.googleapis.com",
}
_RESOURCE: Final = re.compile(
    r"(?P<tuned>google/)?(?:projects/(?P<project>[^/]+)/locations/(?P<region>[^/]+)/)?"
    r"(?:publishers/(?P<publisher>[^/]+)/models/(?P<model>.+)|endpoints/(?P<endpoint>[^/]+))"
)
_GOOGLE: Final = "google"
_ANTHROPIC: Final = "anthropic"
_MISTRAL: Final = "mistralai"
_CLAUDE: Final = "claude-"
_RANKER: Final = "semantic-ranker-"
_RANKING: Final = "rankingConfigs/default_ranking_config"
_SEARCH_HOST: Final = "discoveryengine.googleapis.com"
# By the beginning of a region's name, so that what is to stay on a continent does.
_SEARCH_PLACES: Final = {"eu": "eu", "europe": "eu", "us": "us"}
_ENDPOINT: Final = "endpoints/"
# How long an answer may take, which Google's SDKs send; at Vertex also how its tokens are paid for.
_GEMINI_FORWARDED: Final = ("x-server-timeout",)
_VERTEX_FORWARDED: Final = (
    *_GEMINI_FORWARDED,
    "x-vertex-ai-llm-request-type",
    "x-vertex-ai-llm-shared-request-type",
)
# All of Anthropic's that Vertex knows; the version is in the body there. It answers 400 to a beta that it has
# not, so those of Anthropic's own platform, which its clients send by themselves, stay away.
_CLAUDE_FORWARDED: Final = ("anthropic-beta",)
_CLAUDE_BETAS: Final = {
    "advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19",
    **dict.fromkeys(
        (
            *("advisor-tool-2026-03-01", "code-execution-2025-08-25", "effort-2025-11-24"),
            *("fast-mode-2026-02-01", "files-api-2025-04-14", "fine-grained-tool-streaming-2025-05-14"),
            *("mcp-client-2025-04-04", "mcp-client-2025-11-20", "mcp-servers-2025-12-04"),
            *("oauth-2025-04-20", "output-128k-2025-02-19", "prompt-caching-scope-2026-01-05"),
            *("skills-2025-10-02", "structured-outputs-2025-11-13", "token-efficient-tools-2025-02-19"),
            "web-fetch-2025-09-10",
        ),
        "",
    ),
}
_MISTRAL_QUIRKS: Final = VENDOR_OF["provider-account/mistral-ai"].quirks
_MAX_IDENTITY: Final = 256
_SECRETS: Final = ("private_key", "client_secret", "refresh_token")


def gemini_targets(account: GoogleGeminiAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The account's models."""
    root, version = _root_and_version(account.base_url, _GEMINI_VERSION)
    service = Service(
        provider=GEMINI_PROVIDER,
        peer=GEMINI_PROVIDER,
        base_url=f"{root}/{version}",
        own=own_headers(lambda: (("x-goog-api-key", resolve(account.auth_data.api_key)),), _gemini_lines),
        account_url=root,
        dialect="gemini",
    )
    return [
        make_target(
            account, integration, service, retry, model_id=integration.model_id.removeprefix("models/")
        )
        for integration in account.integrations
    ]


def vertex_targets(account: GoogleVertexAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The account's models, each where its publisher has it."""
    own = _vertex_own(account, resolve)
    return [_vertex_target(account, integration, own, retry) for integration in account.integrations]


def _vertex_target(
    account: GoogleVertexAccount, integration: VertexIntegration, own: OwnHeaders, retry: RetryPolicy
) -> Target:
    place = _find_place(account, integration)
    root, version = _root_and_version(account.base_url or f"https://{host_of(place.region)}", _VERTEX_VERSION)
    location = f"{root}/{version}/projects/{place.project}/locations/{place.region}"
    if place.publisher == _ANTHROPIC:
        retry = with_overloaded(retry)
        lines = fixed_lines(own.headers, forwarded=_CLAUDE_FORWARDED)
        own = replace(own, lines=replace(lines, words={"anthropic-beta": _CLAUDE_BETAS}))
    elif place.publisher == _GOOGLE:
        own = replace(own, lines=fixed_lines(own.headers, forwarded=_VERTEX_FORWARDED))
    service = _service(place, location, own)
    if place.is_ranker:
        service = replace(service, base_url=_ranking_url(account, place), rerank_api="vertex")
    target = make_target(
        account,
        integration,
        replace(service, account_url=root),
        retry,
        model_id=place.model,
    )
    if place.publisher == _GOOGLE:
        # Older models have no path for contents.
        return replace(target, embeds_by="content" if "gemini" in place.model else "predict")
    return replace(target, is_predicted=place.publisher in (_ANTHROPIC, _MISTRAL))


def _service(place: _Place, location: str, own: OwnHeaders) -> Service:
    published = f"{location}/publishers/{place.publisher}"
    service = Service(provider=VERTEX_PROVIDER, peer=VERTEX_PROVIDER, base_url=published, own=own)
    match place.publisher:
        case "google":
            # A tuned model is no publisher's any more.
            is_tuned = place.model.startswith(_ENDPOINT)
            return replace(service, dialect="gemini", base_url=location if is_tuned else published)
        case "anthropic":
            return replace(service, dialect="anthropic")
        case "mistralai":
            return replace(service, quirks=_MISTRAL_QUIRKS)
        case "":
            # A model that the project has deployed itself.
            return replace(service, base_url=f"{location}/endpoints/{place.model}")
    return replace(service, base_url=f"{location}/endpoints/openapi")


def _gemini_lines(own: tuple[tuple[str, str], ...]) -> HeaderLines:
    return fixed_lines(own, forwarded=_GEMINI_FORWARDED)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a model is.

    Attributes:
        publisher: "" for an endpoint of the project's own, which *model* is the id of then.
        model: As the body, or the path below the publisher, has it.
    """

    project: str
    region: str
    publisher: str
    model: str

    @property
    def is_ranker(self) -> bool:
        """It ranks documents and does nothing else."""
        return self.publisher == _GOOGLE and self.model.startswith(_RANKER)


def _ranking_url(account: GoogleVertexAccount, place: _Place) -> str:
    region = _SEARCH_PLACES.get(place.region.partition("-")[0], "global")
    host = _SEARCH_HOST if region == "global" else f"{region}-{_SEARCH_HOST}"
    root, version = _root_and_version(account.base_url or f"https://{host}", _VERTEX_VERSION)
    return f"{root}/{version}/projects/{place.project}/locations/{region}/{_RANKING}"


def _find_place(account: GoogleVertexAccount, integration: VertexIntegration) -> _Place:
    """Where the model is that `model_id` names, however much of its full name that is."""
    project, region = account.project_id, integration.region or account.region
    resource = _RESOURCE.fullmatch(integration.model_id)
    if resource is None:
        publisher, _, model = integration.model_id.rpartition("/")
        if publisher in ("", "models"):
            publisher = _ANTHROPIC if model.startswith(_CLAUDE) else _GOOGLE
    else:
        project, region = resource["project"] or project, resource["region"] or region
        publisher, model = resource["publisher"] or "", resource["model"] or resource["endpoint"]
        if resource["tuned"] and resource["endpoint"]:
            publisher, model = _GOOGLE, f"{_ENDPOINT}{model}"
    if publisher not in ("", _GOOGLE, _ANTHROPIC, _MISTRAL):
        model = f"{publisher}/{model}"
    return _Place(project, region, publisher, model)


def host_of(region: str) -> str:
    """Vertex's host for a region or a place of several."""
    return _PLACES.get(region) or f"{region}-aiplatform.googleapis.com"


def _root_and_version(base_url: str, version: str) -> tuple[str, str]:
    """A base URL without the version at its end, and that version, or *version* where it has none."""
    found = _VERSION.fullmatch(base_url)
    return (found[1], found[2]) if found else (base_url, version)


def _vertex_own(account: GoogleVertexAccount, resolve: Resolve) -> OwnHeaders:
    if not GOOGLE.is_installed:
        return OwnHeaders(missing_secret=WITHOUT_LIBRARY)
    auth = account.auth_data
    if auth is None:
        return own_token(lambda: GoogleTokenRequest("default"))
    return own_token(lambda: _token_request(auth, resolve))


def _token_request(auth: KeyFileAuth | FederationFileAuth, resolve: Resolve) -> GoogleTokenRequest:
    kind = KIND_OF[auth.type]
    text = resolve(auth.key_file_content)
    try:
        content = read_credential_file(text, kind)
    except SecretMissing as error:
        raise SecretMissing(f"auth_data.key_file_content {error.what}", error.fix) from None
    secrets = tuple(content[name] for name in _SECRETS if isinstance(content.get(name), str))
    return GoogleTokenRequest(kind, text, secrets, _identity(content))


def _identity(content: Mapping[str, Any]) -> str:
    """Whose file it is, in one line; of the names in it the two that are no secret."""
    name = content.get("client_email") or content.get("audience")
    return name if isinstance(name, str) and name.isprintable() and len(name) <= _MAX_IDENTITY else ""
