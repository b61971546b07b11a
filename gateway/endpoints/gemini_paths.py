"""Paths of Google's two APIs, and what stands for them at an account.

Pure. The Gemini API has `/v1beta/models/{model}:generateContent`; Vertex has the same below a project and a
region, `/v1/projects/{project}/locations/{region}/publishers/google/models/{model}:generateContent`, or below
neither. A caller may write either for an account of either: what is asked is found by the end of the path,
and project and region are never the caller's: they are the account's, of a model those of its integration.

Paths: https://ai.google.dev/api and https://cloud.google.com/vertex-ai/docs/reference/rest
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, unquote_plus

from gateway.endpoints.gemini_catalogue import AREAS, ARRAY, CALLS, MODEL, MODELS, PASSED, STREAM
from gateway.model import Endpoint, Target

CREDENTIALS: Final = frozenset({"key", "access_token", "oauth_token"})
"""Parameters of a query in which Google takes a credential: a caller's is the gateway's, and stays here."""

SIGNED_PARAMETER: Final = "tfySigned"
"""Of the address of an upload: stands for the key of the caller who began it."""

_PATH: Final = re.compile(
    r"(?P<service>/(?:upload|download|resumable/upload))?"
    r"(?P<version>/v[0-9]+(?:(?:alpha|beta)[0-9]*)?)?"
    r"(?P<project>/projects/[^/]+(?:/locations/[^/]+)?)?"
    r"(?P<rest>/.*)?"
)
_CALLED: Final = re.compile(
    r"/(?:(?:publishers/(?P<publisher>[^/]+)/)?models/(?P<model>.+)|(?P<tuned>(?:tunedModels|endpoints)/[^/]+))"
    r"(?::|%3[aA])(?P<verb>[A-Za-z]+)"
)
_SHOWN: Final = re.compile(r"/(?:publishers/(?P<publisher>[^/]+)/)?models(?:/(?P<model>[^:]+))?")
_IN_A_COLLECTION: Final = re.compile(r"(?:models|tunedModels|endpoints|publishers/[\w-]+/models)/")
_GEMINI_BASE: Final = re.compile(r"(?P<root>.*?)/(?P<version>v[0-9]+(?:(?:alpha|beta)[0-9]*)?)")
_VERTEX_BASE: Final = re.compile(
    r"(?P<root>.*?)/(?P<version>v[0-9]+(?:beta[0-9]*)?)"
    r"(?P<project>/projects/[^/]+/locations/[^/]+)(?:/(?:publishers|endpoints)/[^/]+)?"
)
_VERSIONS_OF_GEMINI: Final = frozenset({"v1", "v1alpha", "v1beta"})
_VERSIONS_OF_VERTEX: Final = frozenset({"v1", "v1beta1"})
_OURS: Final = CREDENTIALS | {SIGNED_PARAMETER}
_PUBLISHERS: Final = "/publishers/"
_GOOGLES: Final = _PUBLISHERS + "google"
_HOSTS: Final = ".googleapis.com"


@dataclass(frozen=True, slots=True)
class GeminiPath:
    """What a path below `/gemini/{account}/proxy` asks for.

    Attributes:
        account: As the path names it.
        prefix: What stood before the path here, such as `/gemini/main/proxy`.
        path: Below that, as it was written.
        service: `/upload` and its like, "" for most.
        version: Of the API, "" when the path has none.
        project: `/projects/{project}/locations/{region}` of the caller, "" when it named none.
        rest: What follows, with a leading slash.
        model: The model that is called or asked about, unescaped, "" when none is.
        publisher: Whose it is by the path, "" when that does not say.
        verb: What is wanted of it where that is no call, such as `batchGenerateContent`; "" for nothing.
    """

    account: str
    prefix: str
    path: str
    endpoint: Endpoint
    service: str = ""
    version: str = ""
    project: str = ""
    rest: str = ""
    model: str = ""
    publisher: str = ""
    verb: str = ""

    @property
    def is_call(self) -> bool:
        """A model is called, so that the right to it is enough."""
        return self.endpoint.reply != "bytes"

    def names(self) -> Iterator[str]:
        """What the model may be known by, what is most exact first."""
        name = self.model
        if self.publisher == self.account:
            # How an SDK for Vertex writes the model `<account>/<name>`.
            yield name
        elif self.publisher:
            yield f"{self.publisher}/{name}"
            yield name
        else:
            yield name
            if name.startswith(self.account + "/"):
                yield name[len(self.account) + 1 :]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is at an account.

    Attributes:
        root: Base URL of all that the account can be asked for.
        path: Below it, with a leading slash.
    """

    root: str
    path: str


def read_gemini_path(account: str, prefix: str, path: str, query: str) -> GeminiPath:
    """Take a path apart.

    Args:
        account: Unescaped.
        prefix: What stood before *path*.
        path: As it was written.
        query: Says whether a stream comes as events.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        return GeminiPath(account, prefix, path, PASSED)
    service, version, project, rest = (match[name] or "" for name in _PATH.groupindex)
    called = None if service else _CALLED.fullmatch(rest)
    endpoint = CALLS.get(called["verb"]) if called is not None else None
    if called is not None and endpoint is not None:
        return GeminiPath(
            account,
            prefix,
            path,
            ARRAY if endpoint is STREAM and not _asks_for_events(query) else endpoint,
            version=version[1:],
            project=project,
            rest=rest,
            model=unquote(called["model"] or called["tuned"]),
            publisher=unquote(called["publisher"] or ""),
        )
    shown = None if service else _SHOWN.fullmatch(rest)
    verb = ""
    if shown is not None:
        endpoint = MODEL if shown["model"] else MODELS
    else:
        if called is not None and called["model"]:
            shown, verb = called, called["verb"]
        # `files:register` is of the files too.
        endpoint = AREAS.get(re.split("[/:]", rest[1:], maxsplit=1)[0], PASSED)
    return GeminiPath(
        account,
        prefix,
        path,
        endpoint,
        service=service,
        version=version[1:],
        project=project,
        rest=rest,
        model=unquote(shown["model"] or "") if shown is not None else "",
        publisher=unquote(shown["publisher"] or "") if shown is not None else "",
        verb=verb,
    )


def _asks_for_events(query: str) -> bool:
    items = parse_qsl(query) if "alt" in query or "%" in query else []
    return any(name in ("alt", "$alt") and value == "sse" for name, value in items)


def find_key(query: str) -> str:
    """The key in a query, "" when it has none."""
    for item in query.split("&"):
        name, _, value = item.partition("=")
        if unquote_plus(name) == "key" and value:
            return unquote_plus(value)
    return ""


def find_signature(query: str) -> str:
    """What the address of an upload has in place of a key, "" when it is none that the gateway gave."""
    for item in query.split("&"):
        name, _, value = item.partition("=")
        if name == SIGNED_PARAMETER:
            return value
    return ""


def without_credentials(query: str) -> str:
    """*query* without what signs a caller in here."""
    kept = [item for item in query.split("&") if unquote_plus(item.partition("=")[0]) not in _OURS]
    return "&".join(kept)


def place(asked: GeminiPath, base_url: str) -> Place:
    """Where what is *asked* is, for an account with models at *base_url*."""
    vertex = _VERTEX_BASE.fullmatch(base_url)
    if vertex is not None:
        version = asked.version if asked.version in _VERSIONS_OF_VERTEX else vertex["version"]
        rest = asked.rest
        if rest == "/models" or rest.startswith("/models/"):
            rest = _GOOGLES + rest
        # What Google publishes is nobody's; all else is of a project.
        is_public = not asked.project and asked.endpoint in (MODELS, MODEL) and rest.startswith(_PUBLISHERS)
        project = "" if is_public else vertex["project"]
        if asked.project and "/locations/" not in asked.project:
            project = project.partition("/locations/")[0]
        return Place(vertex["root"], f"{asked.service}/{version}{project}{rest}")
    gemini = _GEMINI_BASE.fullmatch(base_url)
    if gemini is None:
        return Place(base_url, f"{asked.service}{asked.rest}")
    version = asked.version if asked.version in _VERSIONS_OF_GEMINI else gemini["version"]
    return Place(gemini["root"], f"{asked.service}/{version}{asked.rest.removeprefix(_GOOGLES)}")


def place_of_model(asked: GeminiPath, model_id: str, base_url: str) -> Place:
    """Where the model that is asked about is, with models at *base_url* and by the provider's id."""
    written = quote(model_id, safe="/@") + (f":{asked.verb}" if asked.verb else "")
    publisher, is_there, _ = asked.rest.partition("/models/")
    rest = f"/{written}" if _IN_A_COLLECTION.match(model_id) else f"{publisher}{is_there}{written}"
    return place(replace(asked, rest=rest), base_url)


def base_of(asked: GeminiPath, base_url: str) -> str:
    """*base_url* of a model in the version that the caller asks for, where the API has it."""
    vertex = _VERTEX_BASE.fullmatch(base_url)
    if vertex is not None:
        if asked.version in _VERSIONS_OF_VERTEX:
            return vertex["root"] + "/" + asked.version + base_url[vertex.end("version") :]
        return base_url
    gemini = _GEMINI_BASE.fullmatch(base_url)
    if gemini is not None and asked.version in _VERSIONS_OF_GEMINI:
        return f"{gemini['root']}/{asked.version}"
    return base_url


def base_of_unlisted(asked: GeminiPath, base_url: str) -> str:
    """Base URL of a model that no integration lists, for an account with models at *base_url*."""
    found = place(asked, base_url)
    for collection in ("/models/", "/tunedModels/", "/endpoints/"):
        before, is_there, _ = found.path.partition(collection)
        if is_there:
            return found.root + before
    return base_url


def model_path(endpoint: Endpoint, model_id: str) -> str:
    """Where a model is called, below the base URL of its target."""
    collection = "" if _IN_A_COLLECTION.match(model_id) else "models/"
    return f"/{collection}{quote(model_id, safe='/@')}:{endpoint.path.rpartition(':')[2]}"


def speaks_google(target: Target) -> bool:
    """Whether a target is at one of Google's APIs, whatever its model speaks."""
    return target.dialect == "gemini" or _VERTEX_BASE.fullmatch(target.base_url) is not None


def is_googles(host: str) -> bool:
    """Whether a host is one of Google's APIs."""
    return host.endswith(_HOSTS)
