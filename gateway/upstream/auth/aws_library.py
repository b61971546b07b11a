"""What botocore, AWS's library, does for us: find credentials, take on roles, sign.

To import this takes a quarter of a second, so `aws.py` does it in a thread, when the first account needs it.
Credentials wait for files, machines and services: they are got in threads, and every wait is bounded. Needs
the extra `aws`.

What it can do: https://docs.aws.amazon.com/boto3/latest/guide/credentials.html
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from gateway.errors import UpstreamUnreachable
from gateway.model import AwsSigning
from gateway.upstream.auth.aws_credentials import FOREVER_S, NOT_SIGNED_IN, Credentials, Fetched

CONNECT_WITHIN_S: Final = 5.0
READ_WITHIN_S: Final = 5.0
"""How long AWS's token service may take to be reached, and to answer; it is tried twice."""

_ROLE_LIFE_S: Final = 3600
"""The longest that every role allows."""

_ROLE_SESSION: Final = "tfy-llm-gateway"
_RENEWED_AFTER: Final = 0.8
_MARGIN_S: Final = 60.0
# The library renews what ends within 15 minutes, and refuses to give what ends within 10. So what it gave
# works for ten minutes, and to be asked each minute costs it a look at its clock.
_HOST_RENEWED_S: Final = 60.0
_HOST_LIFE_S: Final = 600.0

# Its own errors, and what comes through it: an endpoint that is no URL, credentials that are expired when
# they come, an answer that lacks what it must have or is none, a file or a program that is not there.
_FOREIGN: Final = (
    *(BotoCoreError, ClientError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, OSError),
)

# What it writes at DEBUG are requests and answers, credentials included.
logging.getLogger("botocore").setLevel(logging.INFO)


class CredentialSource:
    """Where the credentials of one worker come from. Its one method blocks: it is for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # The library's own view of this host, kept because it knows what it has found.
        self._host = Session()

    def fetch(self, signing: AwsSigning) -> Fetched:
        """Credentials for *signing*.

        Raises:
            UpstreamUnreachable: There are none; why is for the operator.
        """
        try:
            if signing.role_arn:
                return self._take_on_role(signing)
            if signing.access_key_id:
                return Fetched(_written(signing), FOREVER_S, FOREVER_S)
            return Fetched(self._of_the_host(), _HOST_RENEWED_S, _HOST_LIFE_S)
        except _FOREIGN as error:
            raise UpstreamUnreachable(NOT_SIGNED_IN, detail=f"{type(error).__name__}: {error}") from error

    def _of_the_host(self) -> Credentials:
        with self._lock:
            found = self._host.get_credentials()
        if found is None:
            detail = (
                "no credentials of AWS: none in the environment, its files, a workload's identity or the "
                "machine's metadata"
            )
            raise UpstreamUnreachable(NOT_SIGNED_IN, detail=detail)
        frozen = found.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    def _take_on_role(self, signing: AwsSigning) -> Fetched:
        asked: dict[str, Any] = {
            "RoleArn": signing.role_arn,
            "RoleSessionName": _ROLE_SESSION,
            "DurationSeconds": _ROLE_LIFE_S,
        }
        if signing.external_id:
            asked["ExternalId"] = signing.external_id
        with self._lock:
            client = self._host.create_client(
                "sts",
                region_name=signing.region,
                endpoint_url=signing.sts_url or None,
                config=Config(
                    connect_timeout=CONNECT_WITHIN_S,
                    read_timeout=READ_WITHIN_S,
                    retries={"total_max_attempts": 2, "mode": "standard"},
                ),
            )
        try:
            given = client.assume_role(**asked)["Credentials"]
        finally:
            client.close()
        taken = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        return Fetched(taken, _ROLE_LIFE_S * _RENEWED_AFTER, _ROLE_LIFE_S - _MARGIN_S)


def signature(
    signing: AwsSigning, credentials: Credentials, method: str, url: str, signed: dict[str, str], body: bytes
) -> list[tuple[str, str]]:
    """The headers that a request gets by being signed.

    Args:
        signing: Whose service and region.
        credentials: Of whom.
        method: Of the request; *url* and *body* likewise, as they are sent.
        signed: The headers that the signature covers, beside the host and its own; names in lower case.
    """
    request = AWSRequest(method=method, url=url, data=body, headers=signed)
    SigV4Auth(credentials, signing.service, signing.region).add_auth(request)
    return [(name.lower(), value) for name, value in request.headers.items() if name not in signed]


def _written(signing: AwsSigning) -> Credentials:
    return Credentials(signing.access_key_id, signing.secret_access_key, signing.session_token or None)
