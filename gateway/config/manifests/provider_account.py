"""Provider accounts: where models are, and with what key."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from gateway.config.manifests.client_tls import ClientTls
from gateway.config.manifests.cost import Cost
from gateway.config.manifests.part import (
    AccountName,
    Amount,
    BaseUrl,
    Flag,
    Headers,
    IntegrationName,
    Manifest,
    Part,
    Secret,
    Text,
    wrong,
)
from gateway.config.manifests.role import CallingRoles

OPENAI_BASE_URL: Final = "https://api.openai.com/v1"
ANTHROPIC_BASE_URL: Final = "https://api.anthropic.com/v1"
# New kinds of model appear more often than gateways are upgraded, so an unknown one is only a warning.
MODEL_TYPES: Final = (
    "chat",
    "completion",
    "embedding",
    "realtime",
    "rerank",
    "audio_transcription",
    "audio_translation",
    "text_to_speech",
    "moderation",
    "image",
    "responses",
    "ocr",
)


class Collaborator(Part):
    """Who may use or manage an account."""

    subject: Text
    """`user:<email>`, `team:<name>` or `virtualaccount:<name>`."""
    role_id: Text
    """The role: `provider-account-access`, `provider-account-manager` or one of `role` lets it call."""

    def may_call(self, roles: CallingRoles) -> bool:
        """Whether the role lets the subject call every model of the account."""
        return self.role_id in roles.of_accounts


class AccountOwner(Part):
    """Which account owns a resource."""

    account: Text
    """Name of the owning account."""


class Integration(Part):
    """What one model of any provider has."""

    name: IntegrationName
    """The second half of the model's name."""
    model_types: tuple[str, ...] = ()
    """What the model can do: chat, completion, embedding and others."""
    cost: Cost | None = None
    """What the model costs."""
    authorized_subjects: tuple[Text, ...] | None = None
    """Who alone may use this model: `user:<email>`, `team:<name>` or `virtualaccount:<name>`.

    Whoever is meant needs the right to it all the same.
    """


class ProviderAccount(Manifest):
    """What the accounts of all providers share."""

    type: str
    name: AccountName
    """The first half of the model names: `<name>/<integration>`."""
    collaborators: tuple[Collaborator, ...] = ()
    """Who may use or manage the account."""
    owned_by: AccountOwner | None = Field(default=None, alias="ownedBy")
    """Which account owns this one."""
    discount_percent: Annotated[Amount, Field(le=100)] = 0
    """Discount on the provider's list price, in percent."""
    integrations: tuple[Integration, ...]
    """The models that may be called."""
    propagate_trace: Flag = False
    """Whether the provider gets our `traceparent`. Extension."""
    tls: ClientTls = ClientTls()
    """Certificates of the connections to it. Extension."""


class ApiKeyAuth(Part):
    """A provider's API key."""

    type: Literal["api-key"]
    api_key: Secret
    """The key: a secret reference."""


class OpenAIIntegration(Integration):
    """A model of OpenAI, or of a server that speaks its API behind `base_url`."""

    type: Literal["integration/model/openai"] = "integration/model/openai"
    model_id: Text
    """The name that the provider knows the model by."""


class OpenAIAccount(ProviderAccount):
    """An account with OpenAI."""

    type: Literal["provider-account/openai"]
    auth_data: ApiKeyAuth | None = None
    """How to sign in. Without it requests carry no credentials."""
    base_url: BaseUrl = OPENAI_BASE_URL
    """Where the API is, up to and with `/v1`."""
    integrations: tuple[OpenAIIntegration, ...]
    """The models that may be called."""


class AnthropicIntegration(Integration):
    """A model of Anthropic, or of a server that speaks its API behind `base_url`."""

    type: Literal["integration/model/anthropic"] = "integration/model/anthropic"
    model_id: Text
    """The name that the provider knows the model by."""


class AnthropicAccount(ProviderAccount):
    """An account with Anthropic."""

    type: Literal["provider-account/anthropic"]
    auth_data: ApiKeyAuth | None = None
    """How to sign in, as `x-api-key`. Without it requests carry no credentials."""
    base_url: BaseUrl = ANTHROPIC_BASE_URL
    """Where the API is; `/v1` is added where it does not end so."""
    integrations: tuple[AnthropicIntegration, ...] = ()
    """The models that may be called."""


class BearerAuth(Part):
    """`Authorization: Bearer`."""

    type: Literal["bearer-auth"]
    bearer_token: Secret
    """The token: a secret reference."""


class BasicAuth(Part):
    """`Authorization: Basic`."""

    type: Literal["basic-auth"]
    username: Text
    """The user's name, as it is."""
    password: Secret
    """The password: a secret reference."""


class TlsTrust(Part):
    """How a server's certificate is checked."""

    reject_unauthorized: Flag = True
    """Whether a certificate that does not verify ends the connection."""
    ca_cert: Text | None = None
    """Certificate authorities to trust, in PEM."""


class SelfHostedIntegration(Integration):
    """A model on a server of your own."""

    type: Literal["integration/model/self-hosted-model"] = "integration/model/self-hosted-model"
    hosted_model_name: Text
    """The name that the server knows the model by."""
    url: BaseUrl
    """Where the server's API is, up to and with `/v1`."""
    model_server: Literal[
        "openai-compatible", "vllm-openai", "tei", "infinity", "nemo-retriever", "cohere-rerank-v2"
    ]
    """What the server speaks."""
    tfy_application_id: str | None = None
    """Set by TrueFoundry's own deployments. Without meaning here."""
    tls_settings: TlsTrust | None = None
    """How the server's certificate is checked."""
    auth_data: Annotated[BearerAuth | BasicAuth, Field(discriminator="type")] | None = None
    """How to sign in. Without it requests carry no credentials."""
    headers: Headers = Field(default_factory=dict)
    """Headers that every request to the server gets; the values may be secret references."""

    @model_validator(mode="after")
    def _has_one_authorization(self) -> SelfHostedIntegration:
        if self.auth_data is not None and any(name.lower() == "authorization" for name in self.headers):
            raise wrong("auth_data and headers both set Authorization", "Keep one of them")
        return self


class SelfHostedAccount(ProviderAccount):
    """Model servers of your own: vLLM, llama.cpp, any server that speaks OpenAI's API."""

    type: Literal["provider-account/self-hosted-model"]
    integrations: tuple[SelfHostedIntegration, ...]
    """The models that may be called, each with its server."""
    propagate_trace: Flag = True
    """Whether the servers get our `traceparent`. Extension."""
