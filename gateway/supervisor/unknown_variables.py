"""`GATEWAY_*` variables that the gateway does not know: one misspelt leaves its setting as it was.

None is an error. Others may name theirs so too, and a newer gateway's environment must not stop an older one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gateway.config.document import Document
from gateway.config.plain_words import nearest
from gateway.settings import ADMIN_TOKEN_VARIABLE, OPTIONS, is_service_link

_PREFIX: Final = "GATEWAY_"
KNOWN: Final = frozenset({ADMIN_TOKEN_VARIABLE, *(option.variable for option in OPTIONS)})
"""Those that `gateway serve` reads."""

OF_OTHERS: Final = frozenset(
    {
        "GATEWAY_DEMO_PORT",
        "GATEWAY_EMBEDDING_MODEL",
        "GATEWAY_IMAGE",
        "GATEWAY_KEY",
        "GATEWAY_MODEL",
        "GATEWAY_PATH_PREFIX",
        "GATEWAY_PUBLISHED_PORT",
        "GATEWAY_TOKEN",
        "GATEWAY_URL",
    }
)
"""What reads them stands beside the gateway: `make run`, Compose, load tests, examples of the dashboard."""

_OF_TESTS: Final = "GATEWAY_TEST_"
# Of Services whose name is `gateway`, or begins so: https://kubernetes.io/docs/concepts/services-networking/service/
_OF_SERVICES: Final = re.compile(
    r"GATEWAY_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)",
    re.ASCII,
)
_REFERENCE: Final = re.compile(r"(?:[!-~]+ )?env:([A-Za-z_][A-Za-z0-9_]*)")


def warnings_of(environ: Mapping[str, str], documents: Iterable[Document]) -> Iterator[str]:
    """A line for each variable in *environ* that nobody is known to read, the *documents* included."""
    strange = [name for name in environ if name.startswith(_PREFIX) and not _is_known(name, environ[name])]
    if not strange:
        return
    referenced = {name for document in documents for name in _references(document.body)}
    for name in sorted(set(strange) - referenced):
        question = nearest(name.upper(), KNOWN)
        yield f"{name} is no setting of the gateway and does nothing. {question}".rstrip()


def _is_known(name: str, value: str) -> bool:
    return (
        name in KNOWN
        or name in OF_OTHERS
        or name.startswith(_OF_TESTS)
        or is_service_link(name, value)
        or _OF_SERVICES.fullmatch(name) is not None
    )


def _references(body: Any) -> Iterator[str]:
    """Names of the variables that a manifest's secrets are in."""
    if isinstance(body, str):
        if (match := _REFERENCE.fullmatch(body)) is not None:
            yield match[1]
    elif isinstance(body, Mapping):
        for value in body.values():
            yield from _references(value)
    elif isinstance(body, list):
        for value in body:
            yield from _references(value)
