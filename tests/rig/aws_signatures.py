"""Checks Signature Version 4 as AWS's services do: from the request as it came, by the published rules alone.

Nothing here is the gateway's or botocore's. Held to AWS's own test vectors by
`tests/unit/upstream/auth/test_aws_library.py`.

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

MAX_SKEW_S: Final = 300
_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_AUTHORIZATION: Final = re.compile(
    rf"{_ALGORITHM} Credential=([^/]+)/(\d{{8}})/([^/]+)/([^/]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


class SignatureError(Exception):
    """The request is not signed as it must be.

    Attributes:
        kind: AWS's name for that.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Keys:
    """What a service knows of its callers.

    Attributes:
        secrets: The secret key of each access key id.
        tokens: The session token of those that have one.
    """

    secrets: Mapping[str, str]
    tokens: Mapping[str, str]


@dataclass(frozen=True)
class Scope:
    """What a good signature was made for."""

    access_key_id: str
    region: str
    service: str
    signed_headers: tuple[str, ...]


def verify(
    method: str,
    target: str,
    headers: list[tuple[str, str]],
    body: bytes,
    keys: Keys,
    *,
    now: datetime | None = None,
) -> Scope:
    """Check a request.

    Args:
        method: As it came; *target*, path and query, too.
        headers: Names in lower case.
        body: As it came.
        keys: Of the callers.
        now: None: what the clock says.

    Raises:
        SignatureError: It is not signed, or not well.
    """
    found = _AUTHORIZATION.fullmatch(_one(headers, "authorization"))
    if found is None:
        raise SignatureError("MissingAuthenticationTokenException", "Missing Authentication Token")
    key_id, day, region, service, listed, given = found.groups()
    secret = keys.secrets.get(key_id)
    token = _one(headers, "x-amz-security-token")
    if secret is None or token != keys.tokens.get(key_id, ""):
        message = "The security token included in the request is invalid."
        raise SignatureError("UnrecognizedClientException", message)
    stamp = _one(headers, "x-amz-date")
    signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if (
        not stamp.startswith(day)
        or abs(((now or datetime.now(UTC)) - signed_at).total_seconds()) > MAX_SKEW_S
    ):
        raise SignatureError("InvalidSignatureException", f"Signature expired: {stamp} is too far away")
    names = listed.split(";")
    must = {name for name, _ in headers if name in ("host", "content-type") or name.startswith("x-amz")}
    if missing := must - set(names):
        raise SignatureError("InvalidSignatureException", f"not signed: {sorted(missing)}")
    canonical = "\n".join(
        (
            method,
            _canonical_path(target.partition("?")[0]),
            "&".join(sorted(filter(None, target.partition("?")[2].split("&")))),
            *(f"{name}:{_joined(headers, name)}" for name in names),
            "",
            listed,
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), given):
        message = f"The request signature we calculated does not match. The Canonical String is '{canonical}'"
        raise SignatureError("InvalidSignatureException", message)
    return Scope(key_id, region, service, tuple(names))


def _canonical_path(path: str) -> str:
    """What is escaped on the wire is escaped once more."""
    return quote(path, safe="/~")


def _joined(headers: list[tuple[str, str]], name: str) -> str:
    return ",".join(" ".join(value.split()) for key, value in headers if key == name)


def _one(headers: list[tuple[str, str]], name: str) -> str:
    return next((value for key, value in headers if key == name), "")
