"""Vendors that want nothing but a key: a row each, and the manifests made from it.

Most speak OpenAI's API.

A row is all there is of a vendor: its types of account and model, its address, what spans call it, and how
its dialect differs from OpenAI's (`gateway.model.Quirks`, each with the page that says so). The names of
types and fields are TrueFoundry's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import Field, create_model

from gateway.config.manifests.part import BaseUrl, Flag, Text
from gateway.config.manifests.provider_account import ApiKeyAuth, Integration, ProviderAccount
from gateway.model import Dialect, EndpointQuirks, Quirks


@dataclass(frozen=True, slots=True)
class Switch:
    """A field of a vendor's manifest that sends a header while it is true, which is the default."""

    field: str
    header: tuple[str, str]
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One row.

    Attributes:
        title: As the vendor writes its name.
        kind: What follows `provider-account/` and `integration/model/` in a manifest.
        provider: `gen_ai.provider.name`: OpenTelemetry's word where it has one.
        base_url: Where the API is, unless the account says otherwise.
        is_base_url_theirs: TrueFoundry's manifest has `base_url` too, so that it is no extension here.
        has_responses: The vendor has a Responses API beside chat completions.
        dialect: What it speaks at that address.
        version: How its address ends; added where an account's does not, as the vendor's SDKs have it.
        openai_path: What base URLs have in them behind which it speaks OpenAI's API all the same.
        switches: What else the manifest has.
    """

    title: str
    kind: str
    provider: str
    base_url: str
    quirks: EndpointQuirks = field(default_factory=dict)
    is_base_url_theirs: bool = False
    has_responses: bool = False
    dialect: Dialect = "openai"
    version: str = ""
    openai_path: str = ""
    switches: tuple[Switch, ...] = ()


# Where only `max_tokens` is documented, the newer name would be refused, or ignored and cost money.
_OLD_LIMIT: Final = {"max_completion_tokens": "max_tokens"}

# https://docs.mistral.ai/inference/conversations/reasoning ; any other effort is answered with 400, and every
# one where none is taken. What is not known here is held to think, as the newest do, which all take "high".
_WITHOUT_EFFORT: Final = (
    r"codestral|devstral|mistral-code|ministral|pixtral|voxtral|nemo|open-|magistral-(?:medium|small-2)"
    r"|mistral-(?:small|medium|large)-2[345]|mistral-large-(?:3|latest)|mistral-medium-3$"
)
_EFFORTS_AT_MISTRAL: Final = (
    (_WITHOUT_EFFORT, ()),
    ("mistral-large", ("none", "low", "medium", "high")),
    ("glm", ("low", "high", "max")),
    ("", ("none", "high")),
)

VENDORS: Final = (
    # https://docs.ai21.com/reference/jamba-1-6-api-ref
    Vendor(
        title="AI21 Labs",
        kind="ai21",
        provider="ai21",
        base_url="https://api.ai21.com/studio/v1",
        quirks={"chat": Quirks(renamed=_OLD_LIMIT)},
    ),
    # https://docs.baseten.co/development/model-apis/overview
    Vendor(
        title="Baseten",
        kind="baseten",
        provider="baseten",
        base_url="https://inference.baseten.co/v1",
    ),
    # https://inference-docs.cerebras.ai/resources/openai
    Vendor(
        title="Cerebras",
        kind="cerebras",
        provider="cerebras",
        base_url="https://api.cerebras.ai/v1",
        quirks={
            "chat": Quirks(
                refused=(
                    "frequency_penalty",
                    "logit_bias",
                    "presence_penalty",
                    "parallel_tool_calls",
                    "service_tier",
                ),
                refused_in_messages=("reasoning_content",),
                roles={"developer": "system"},
            )
        },
    ),
    # https://docs.cohere.com/reference/about , https://docs.cohere.com/docs/compatibility-api
    Vendor(
        title="Cohere",
        kind="cohere",
        provider="cohere",
        base_url="https://api.cohere.com/v2",
        dialect="cohere",
        version="/v2",
        openai_path="/compatibility/",
    ),
    # https://deepinfra.com/docs/openai_api
    Vendor(
        title="DeepInfra",
        kind="deepinfra",
        provider="deepinfra",
        base_url="https://api.deepinfra.com/v1/openai",
    ),
    # https://console.groq.com/docs/openai , https://console.groq.com/docs/responses-api
    Vendor(
        title="Groq",
        kind="groq",
        provider="groq",
        base_url="https://api.groq.com/openai/v1",
        has_responses=True,
        quirks={
            "chat": Quirks(
                refused=("logprobs", "logit_bias", "top_logprobs"),
                refused_in_messages=("name", "reasoning_content"),
            )
        },
    ),
    # https://docs.mistral.ai/api ; unknown fields are answered with 422, and usage comes unasked:
    # https://github.com/mistralai/platform-docs-public/issues/7 ; of messages its rules are those of
    # https://github.com/mistralai/mistral-common
    Vendor(
        title="Mistral AI",
        kind="mistral-ai",
        provider="mistral_ai",
        base_url="https://api.mistral.ai/v1",
        quirks={
            "chat": Quirks(
                renamed={**_OLD_LIMIT, "seed": "random_seed"},
                refused=(
                    "stream_options",
                    "logit_bias",
                    "logprobs",
                    "top_logprobs",
                    "service_tier",
                    "store",
                    "user",
                ),
                # But for the name all of them are in answers of others, which go back with the next turn.
                refused_in_messages=(
                    *("name", "reasoning_content", "thinking_blocks", "refusal", "annotations", "audio"),
                    *("function_call", "images", "extra_content"),
                ),
                roles={"developer": "system"},
                call_id_length=9,
                answers_results=True,
                efforts=_EFFORTS_AT_MISTRAL,
            ),
            "embedding": Quirks(renamed={"dimensions": "output_dimension"}, refused=("user",)),
        },
    ),
    # https://openrouter.ai/docs/api-reference/overview , its Responses API among the beta endpoints
    Vendor(
        title="OpenRouter",
        kind="openrouter",
        provider="openrouter",
        base_url="https://openrouter.ai/api/v1",
        has_responses=True,
    ),
    # https://docs.perplexity.ai/api-reference/chat-completions-post
    Vendor(
        title="Perplexity",
        kind="perplexity-ai",
        provider="perplexity",
        base_url="https://api.perplexity.ai",
        quirks={"chat": Quirks(renamed=_OLD_LIMIT)},
    ),
    # https://docs.sambanova.ai/docs/en/features/openai-compatibility
    Vendor(
        title="SambaNova",
        kind="sambanova",
        provider="sambanova",
        base_url="https://api.sambanova.ai/v1",
    ),
    # https://github.com/togethercomputer/openapi/blob/main/openapi.yaml
    Vendor(
        title="Together AI",
        kind="together-ai",
        provider="together_ai",
        base_url="https://api.together.xyz/v1",
        quirks={"chat": Quirks(renamed=_OLD_LIMIT)},
    ),
    # https://docs.wafer.ai/serverless ; https://www.truefoundry.com/docs/ai-gateway/wafer
    Vendor(
        title="Wafer",
        kind="wafer",
        provider="wafer",
        base_url="https://pass.wafer.ai/v1",
        is_base_url_theirs=True,
        switches=(
            Switch(
                "zero_data_retention",
                ("wafer-zdr", "required"),
                "Whether the vendor is asked to keep nothing of a call.",
            ),
        ),
    ),
    # https://docs.x.ai/docs/api-reference , https://docs.x.ai/developers/model-capabilities/text/generate-text
    Vendor(title="xAI", kind="xai", provider="x_ai", base_url="https://api.x.ai/v1", has_responses=True),
)


class VendorIntegration(Integration):
    """A model of a vendor."""

    type: str
    model_id: Text
    """The name that the vendor knows the model by."""


class VendorAccount(ProviderAccount):
    """An account with a vendor."""

    auth_data: ApiKeyAuth
    """How to sign in."""
    base_url: BaseUrl
    integrations: tuple[VendorIntegration, ...] = ()
    """The models that may be called."""


def account_type(vendor: Vendor) -> type[VendorAccount]:
    """The manifest of *vendor*."""
    name = re.sub(r"\W", "", vendor.title)
    model = f"integration/model/{vendor.kind}"
    tag: Any = Literal[model]
    integration: type[VendorIntegration] = create_model(
        f"{name}Integration",
        __base__=VendorIntegration,
        __module__=__name__,
        __doc__=f"A model of {vendor.title}.",
        type=(tag, model),
    )
    where = "Where the API is, up to what stands before `/chat`."
    fields: dict[str, Any] = {
        "type": (Literal[f"provider-account/{vendor.kind}"], ...),
        "base_url": (
            BaseUrl,
            Field(
                default=vendor.base_url,
                description=where if vendor.is_base_url_theirs else f"{where} Extension.",
            ),
        ),
        "integrations": (
            tuple[integration, ...],
            Field(default=(), description="The models that may be called."),
        ),
        **{
            switch.field: (Flag, Field(default=True, description=switch.meaning))
            for switch in vendor.switches
        },
    }
    made: type[VendorAccount] = create_model(
        f"{name}Account",
        __base__=VendorAccount,
        __module__=__name__,
        __doc__=f"An account with {vendor.title}.",
        **fields,
    )
    return made


VENDOR_OF: Final[Mapping[str, Vendor]] = {f"provider-account/{vendor.kind}": vendor for vendor in VENDORS}
"""Each row by its type of account."""

VENDOR_ACCOUNTS: Final[Mapping[str, type[VendorAccount]]] = {
    kind: account_type(vendor) for kind, vendor in VENDOR_OF.items()
}
"""The manifest of each type."""
