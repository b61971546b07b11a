"""Paths and queries that callers write and providers get: what may pass, and what is ours in them.

Pure. A path is passed on as it was written, so it must not be able to mean another one to whoever reads it
next: nothing in it may lead up, be taken for a slash only after decoding, or be left out as empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus, unquote, unquote_plus, urlsplit

from gateway.errors import InvalidPath

MODEL_PARAMETER: Final = "tfyModelName"
ACCOUNT_PARAMETER: Final = "tfyProviderName"

_VISIBLE: Final = re.compile(r"[\x21-\x7e]*")
_DOTS: Final = frozenset({".", ".."})
_SLASHES: Final = re.compile(r"[/\\]")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_DECODINGS: Final = 3


@dataclass(frozen=True, slots=True)
class OwnParameters:
    """What a query says to the gateway, and what is left of it for the provider.

    Attributes:
        rest: As it was written, without our parameters.
        account: `tfyProviderName`, "" when not given; `model` likewise.
    """

    rest: str
    account: str = ""
    model: str = ""


def check_path(path: str) -> None:
    """Check a path below a base URL, escapes as they were written.

    Raises:
        InvalidPath: It could lead elsewhere than it says.
    """
    if not _VISIBLE.fullmatch(path) or not path.startswith("/") or "#" in path or "?" in path:
        raise InvalidPath("The path has characters that a path cannot have. Escape them.")
    segments = path[1:].split("/")
    if "" in segments[:-1]:
        raise InvalidPath("The path has an empty segment (//). Remove it.")
    for segment in segments:
        _check_segment(segment)


def _check_segment(segment: str) -> None:
    # A server behind may decode more than once.
    for _ in range(_DECODINGS):
        # Some servers cut off what follows a semicolon before they look for dots.
        if segment.partition(";")[0] in _DOTS:
            raise InvalidPath("The path has a dot segment (. or ..). Write it without.")
        if _SLASHES.search(segment):
            raise InvalidPath("The path has an escaped slash or a backslash in a segment.")
        if _CONTROLS.search(segment):
            raise InvalidPath("The path has an escaped control character.")
        decoded = unquote(segment)
        if decoded == segment:
            return
        segment = decoded
    raise InvalidPath("The path is escaped several times over.")


def words_in(path: str) -> Iterator[str]:
    """What the segments of a path may be to whoever reads them: ids, by which it is known whose they are.

    First as they are meant; then as servers read them that decode more than once, or cut off a semicolon and
    what follows it, or a blank.
    """
    segments = [unquote(segment) for segment in path.split("/")]
    yield from segments
    for segment in segments:
        word = segment
        for _ in range(_DECODINGS):
            if (meant := word.partition(";")[0].strip()) != segment:
                yield meant
            if (decoded := unquote(word)) == word:
                break
            word = decoded


def read_query(query: str) -> OwnParameters:
    """Take our parameters out of a query.

    Raises:
        InvalidPath: It has characters that a query cannot have.
    """
    if not _VISIBLE.fullmatch(query) or "#" in query:
        raise InvalidPath("The query has characters that a query cannot have. Escape them.")
    if "tfy" not in query.lower() and "%" not in query:
        return OwnParameters(query)
    found = {ACCOUNT_PARAMETER: "", MODEL_PARAMETER: ""}
    rest = []
    for item in query.split("&"):
        name, _, value = item.partition("=")
        name = unquote_plus(name)
        if name in found:
            found[name] = unquote_plus(value)
        else:
            rest.append(item)
    return OwnParameters("&".join(rest), found[ACCOUNT_PARAMETER], found[MODEL_PARAMETER])


def with_query(url: str, query: str) -> str:
    """*url*, which may have a query, with *query* too."""
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


def without_parameters(query: str, names: frozenset[str]) -> str:
    """*query* without *names*: with `model`, which the body names, a server that read both might take it."""
    if not query:
        return query
    return "&".join([item for item in query.split("&") if unquote_plus(item.partition("=")[0]) not in names])


def models_in_query(query: str) -> list[str]:
    """Each `model` that *query* names, in order."""
    if "model" not in query and "%" not in query:
        return []
    items = [item.partition("=") for item in query.split("&")]
    return [unquote_plus(value) for name, _, value in items if unquote_plus(name) == "model" and value]


def rename_in_query(query: str, rename: Callable[[str], str]) -> str:
    """*query* with another `model`, where it has one."""
    items = query.split("&")
    for number, item in enumerate(items):
        name, _, value = item.partition("=")
        if unquote_plus(name) == "model" and (model := unquote_plus(value)):
            renamed = rename(model)
            if renamed != model:
                items[number] = f"{name}={quote_plus(renamed)}"
    return "&".join(items)


def join_url(base_url: str, path: str, query: str) -> str:
    """The provider's URL for *path*, which `check_path` has passed.

    A first segment that repeats the last one of the base URL stands for it: `/v1/files` below
    `https://host/v1` is `https://host/v1/files`, so that an SDK's base URL may end in `/v1` here too.
    """
    last = base_url.rpartition("/")[2]
    if last and (path == f"/{last}" or path.startswith(f"/{last}/")):
        path = path[len(last) + 1 :]
    url = base_url + path
    return f"{url}?{query}" if query else url


def own_location(location: str, *, base_url: str, prefix: str) -> str | None:
    """Where a redirect of the provider leads on our side; None when it leads away from the account.

    A client follows with the gateway's key in its headers, so it must not be sent to anybody else.

    Args:
        location: As the provider gave it.
        base_url: Of the account.
        prefix: What stands here for the base URL, such as `/v1`.
    """
    try:
        base, target = urlsplit(base_url), urlsplit(location)
    except ValueError:
        return None
    is_here = target.netloc == base.netloc and target.scheme == base.scheme
    if target.netloc or target.scheme:
        if not is_here:
            return None
    elif not location.startswith("/"):
        return None
    path = target.path
    if not path.startswith(base.path + "/"):
        return None
    below = path[len(base.path) :]
    try:
        check_path(below)
    except InvalidPath:
        return None
    query = f"?{target.query}" if target.query else ""
    return prefix + below + query if _VISIBLE.fullmatch(query) else None
