"""What operators write: manifests in YAML or JSON, read, checked as a whole, and given on as a `Config`.

`check.check(path, ...)` is the way in; `accepted.dump` and `accepted.load` carry a checked set to other
processes. The names of types and fields are TrueFoundry's, with the extensions that docs/configuration.md
lists.
"""

from gateway.config import accepted, check, loader
from gateway.config.check import Checked
from gateway.config.config import Config
from gateway.config.document import Document
from gateway.config.manifests.global_settings import GlobalSettings, RetrySettings
from gateway.config.manifests.otel_config import HttpTracesExporter, OtelConfig
from gateway.config.manifests.part import Source
from gateway.config.manifests.provider_account import (
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    OpenAIAccount,
    OpenAIIntegration,
    ProviderAccount,
    SelfHostedAccount,
    SelfHostedIntegration,
)
from gateway.config.manifests.role import ModelGrant
from gateway.config.manifests.virtual_account import VirtualAccount
from gateway.config.problem import Problem, Severity
from gateway.config.secrets import SecretKind, SecretMissing, SecretReference, SecretSource

__all__ = [
    "ApiKeyAuth",
    "BasicAuth",
    "BearerAuth",
    "Checked",
    "Config",
    "Document",
    "GlobalSettings",
    "HttpTracesExporter",
    "ModelGrant",
    "OpenAIAccount",
    "OpenAIIntegration",
    "OtelConfig",
    "Problem",
    "ProviderAccount",
    "RetrySettings",
    "SecretKind",
    "SecretMissing",
    "SecretReference",
    "SecretSource",
    "SelfHostedAccount",
    "SelfHostedIntegration",
    "Severity",
    "Source",
    "VirtualAccount",
    "accepted",
    "check",
    "loader",
]
