"""Models at AWS: Bedrock by its Converse API, and endpoints of SageMaker whose containers speak OpenAI's.

Requests are signed (`gateway.upstream.auth.aws`), but for those of Bedrock's API keys.

Bedrock: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html
SageMaker: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import quote

from gateway.config import SecretMissing
from gateway.config.extras import AWS
from gateway.config.manifests.aws_account import (
    AccessKeyAuth,
    AssumedRoleAuth,
    BedrockAccount,
    BedrockAuth,
    SagemakerAccount,
    SagemakerAuth,
)
from gateway.config.manifests.provider_account import ApiKeyAuth
from gateway.model import AwsSigning, EndpointQuirks, HeaderLines, OnePath, Quirks, RetryPolicy, Target
from gateway.providers.addressing import OwnHeaders, Resolve, Service, bearer, make_target, own_headers
from gateway.providers.headers import fixed_lines

BEDROCK_PROVIDER: Final = "aws.bedrock"
SAGEMAKER_PROVIDER: Final = "aws.sagemaker"
WITHOUT_LIBRARY: Final = f"{AWS.absence}. {AWS.fix}"

EVENT_STREAM: Final = "application/vnd.amazon.eventstream"

_BEDROCK_SERVICE: Final = "bedrock"
_SAGEMAKER_SERVICE: Final = "sagemaker"
# What an `InvokeModel` says beside its body.
_BEDROCK_FORWARDED: Final = tuple(
    f"x-amzn-bedrock-{name}"
    for name in (
        *("accept", "trace", "guardrailidentifier", "guardrailversion", "performanceconfig-latency"),
        *("service-tier", "request-metadata", "projectidentifier"),
    )
)
# None that would choose another model than the one that the caller has the right to.
_SAGEMAKER_FORWARDED: Final = tuple(
    f"x-amzn-sagemaker-{name}" for name in ("custom-attributes", "inference-id", "session-id")
)
_INVOCATIONS: Final = OnePath(whole="/invocations", stream="/invocations-response-stream")
# A container serves one model, under a name that is not the endpoint's, and some refuse any other.
_NAMELESS: Final[EndpointQuirks] = {
    name: Quirks(is_nameless=True) for name in ("chat", "completion", "embedding")
}


def bedrock_targets(account: BedrockAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The account's models, each in its region."""
    own = _bedrock_own(account.auth_data, resolve)
    return [
        make_target(
            account,
            integration,
            Service(
                provider=BEDROCK_PROVIDER,
                peer=BEDROCK_PROVIDER,
                base_url=account.base_url or _host("bedrock-runtime", region),
                own=_in_region(own, region),
                dialect="converse",
            ),
            retry,
            model_id=integration.model_id,
        )
        for integration in account.integrations
        for region in (integration.region or account.region,)
    ]


def sagemaker_targets(account: SagemakerAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The account's endpoints, each in its region."""
    own = _signed(account.auth_data, resolve, _SAGEMAKER_SERVICE, _sagemaker_lines(()))
    targets = []
    for integration in account.integrations:
        region = integration.region or account.region
        own_here = _in_region(own, region)
        if integration.inference_component is not None:
            headers = (("x-amzn-sagemaker-inference-component", integration.inference_component),)
            own_here = replace(own_here, headers=headers, lines=_sagemaker_lines(headers))
        root = account.base_url or _host("runtime.sagemaker", region)
        service = Service(
            provider=SAGEMAKER_PROVIDER,
            peer=SAGEMAKER_PROVIDER,
            base_url=f"{root}/endpoints/{quote(integration.model_id, safe='')}",
            own=own_here,
            account_url=root,
            one_path=_INVOCATIONS,
            quirks=_NAMELESS,
        )
        targets.append(make_target(account, integration, service, retry, model_id=integration.model_id))
    return targets


def _bedrock_own(auth: BedrockAuth | None, resolve: Resolve) -> OwnHeaders:
    if isinstance(auth, ApiKeyAuth):
        return own_headers(lambda: (bearer(resolve(auth.api_key)),), _bedrock_lines)
    return _signed(auth, resolve, _BEDROCK_SERVICE, _bedrock_lines(()))


def _bedrock_lines(own: tuple[tuple[str, str], ...]) -> HeaderLines:
    return fixed_lines(own, forwarded=_BEDROCK_FORWARDED, stream_type=EVENT_STREAM)


def _sagemaker_lines(own: tuple[tuple[str, str], ...]) -> HeaderLines:
    return fixed_lines(own, forwarded=_SAGEMAKER_FORWARDED, stream_type="*/*")


def _signed(auth: SagemakerAuth | None, resolve: Resolve, service: str, lines: HeaderLines) -> OwnHeaders:
    if not AWS.is_installed:
        return OwnHeaders(missing_secret=WITHOUT_LIBRARY)
    try:
        signing = _signing(auth, resolve, service)
    except SecretMissing as error:
        return OwnHeaders(missing_secret=str(error))
    return OwnHeaders(lines=lines, signing=signing)


def _signing(auth: SagemakerAuth | None, resolve: Resolve, service: str) -> AwsSigning:
    """What to sign with, the region still open."""
    match auth:
        case AccessKeyAuth():
            token = auth.session_token
            return AwsSigning(
                service,
                "",
                access_key_id=resolve(auth.access_key_id),
                secret_access_key=resolve(auth.secret_access_key),
                session_token="" if token is None else resolve(token),
            )
        case AssumedRoleAuth():
            return AwsSigning(
                service,
                "",
                role_arn=auth.assumed_role_arn,
                external_id=auth.external_id or "",
                sts_url=auth.sts_url or "",
            )
        case None:
            return AwsSigning(service, "")


def _in_region(own: OwnHeaders, region: str) -> OwnHeaders:
    return own if own.signing is None else replace(own, signing=replace(own.signing, region=region))


def _host(name: str, region: str) -> str:
    """Where a service is; of the regions in China under a name of their own."""
    ending = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{name}.{region}.{ending}"
