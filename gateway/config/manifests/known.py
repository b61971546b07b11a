"""The types of manifest: those in force, and those that load and wait for their feature."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.config.manifests.access_token import PersonalAccessToken
from gateway.config.manifests.aws_account import BedrockAccount, SagemakerAccount
from gateway.config.manifests.azure_account import (
    AzureFoundryAccount,
    AzureOpenAIAccount,
    MicrosoftFoundryAccount,
)
from gateway.config.manifests.budgets import BudgetConfig, TeamBudgetConfig, TenantBudgetConfig
from gateway.config.manifests.data_platform import ClouderaAccount, DatabricksAccount, SnowflakeAccount
from gateway.config.manifests.global_settings import GlobalSettings
from gateway.config.manifests.google_account import GoogleGeminiAccount, GoogleVertexAccount
from gateway.config.manifests.identity_provider import IdentityProvider
from gateway.config.manifests.load_balancing import LoadBalancingConfig
from gateway.config.manifests.logging_config import LoggingConfig
from gateway.config.manifests.metadata_config import MetadataConfig
from gateway.config.manifests.nomic_account import NomicAccount
from gateway.config.manifests.ollama_account import OllamaAccount
from gateway.config.manifests.otel_config import OtelConfig
from gateway.config.manifests.part import Manifest
from gateway.config.manifests.provider_account import AnthropicAccount, OpenAIAccount, SelfHostedAccount
from gateway.config.manifests.rate_limits import RateLimitingConfig, TenantRateLimitConfig
from gateway.config.manifests.role import Role
from gateway.config.manifests.role_binding import RoleBinding
from gateway.config.manifests.team import Team
from gateway.config.manifests.vendors import VENDOR_ACCOUNTS
from gateway.config.manifests.virtual_account import VirtualAccount
from gateway.config.manifests.virtual_model import VirtualModelAccount

VIRTUAL_MODELS: Final = "provider-account/virtual-model"
"""Accounts of names alone."""

IN_FORCE: Final[Mapping[str, type[Manifest]]] = MappingProxyType(
    {
        "provider-account/anthropic": AnthropicAccount,
        "provider-account/openai": OpenAIAccount,
        "provider-account/self-hosted-model": SelfHostedAccount,
        "provider-account/aws-bedrock": BedrockAccount,
        "provider-account/aws-sagemaker": SagemakerAccount,
        "provider-account/azure-openai": AzureOpenAIAccount,
        "provider-account/azure-foundry": AzureFoundryAccount,
        "provider-account/microsoft-foundry": MicrosoftFoundryAccount,
        "provider-account/nomic": NomicAccount,
        "provider-account/google-gemini": GoogleGeminiAccount,
        "provider-account/google-vertex": GoogleVertexAccount,
        "provider-account/ollama": OllamaAccount,
        "provider-account/databricks": DatabricksAccount,
        "provider-account/snowflake-cortex": SnowflakeAccount,
        "provider-account/cloudera": ClouderaAccount,
        **VENDOR_ACCOUNTS,
        VIRTUAL_MODELS: VirtualModelAccount,
        "virtual-account": VirtualAccount,
        "team": Team,
        "pat": PersonalAccessToken,
        "role": Role,
        "role-binding": RoleBinding,
        "external-identity-provider": IdentityProvider,
        "gateway-otel-config": OtelConfig,
        "gateway-global-settings": GlobalSettings,
        "gateway-load-balancing-config": LoadBalancingConfig,
        "gateway-logging-config": LoggingConfig,
        "gateway-metadata-config": MetadataConfig,
        "gateway-rate-limiting-config": RateLimitingConfig,
        "tenant-rate-limit-config/model": TenantRateLimitConfig,
        "gateway-budget-config": BudgetConfig,
        "tenant-budget-config": TenantBudgetConfig,
        "team-budget-config": TeamBudgetConfig,
    }
)

CALLERS: Final = frozenset({"virtual-account", "pat", "external-identity-provider"})
"""Of what tokens sign in."""

# Accounts whose name is the first half of a model's name, so that no two of them may share one.
MODEL_ACCOUNTS: Final = frozenset(
    f"provider-account/{provider}"
    for provider in (
        *("ai21", "anthropic", "aws-bedrock", "aws-bedrock-mantle", "aws-claude-platform", "aws-sagemaker"),
        *("azure-foundry", "azure-openai", "baseten", "cartesia", "cerebras", "cloudera", "cohere"),
        *("custom-endpoint", "databricks", "deepgram", "deepinfra", "elevenlabs", "google-gemini"),
        *(
            "google-vertex",
            "groq",
            "microsoft-foundry",
            "mistral-ai",
            "nomic",
            "ollama",
            "openai",
            "openrouter",
        ),
        *("palm", "perplexity-ai", "sambanova", "self-hosted-model", "smallest-ai", "snowflake-cortex"),
        *("together-ai", "virtual-model", "wafer", "xai"),
    )
)

_OF_THE_GATEWAY: Final = frozenset(
    {
        *("gateway-budget-config", "gateway-data-access-config", "gateway-data-routing-config"),
        *("gateway-guardrails-config", "gateway-load-balancing-config", "gateway-logging-config"),
        *("gateway-metadata-config", "gateway-rate-limiting-config", "tenant-budget-config"),
        *("team-budget-config", "tenant-rate-limit-config/model", "tenant-rate-limit-config/mcp"),
        *("provider-account/guardrail-config-group", "provider-account/mcp-server-group"),
        *("mcp-server/remote", "mcp-server/virtual", "mcp-server/openapi", "mcp-server/stdio"),
        *("mcp-server/tfy-managed", "team", "pat", "role", "role-binding", "policy"),
        *("agent", "agent-identity", "agent-channel", "agent-skill", "truefoundry-agent"),
        *("remote-agent/self-hosted", "hosted-a2a-agent", "chat_prompt", "prompt", "tracing-project"),
        *("alert-config", "secret-group", "settings/common-tools", "settings/ai-features"),
    }
)
# The rest of what their `apply` takes, because one folder often holds a whole platform.
_OF_THE_PLATFORM: Final = frozenset(
    {
        *(
            f"provider-account/{provider}"
            for provider in (
                *(
                    "aws",
                    "azure",
                    "gcp",
                    "dockerhub",
                    "bitbucket",
                    "custom",
                    "github",
                    "gitlab",
                    "jfrog",
                    "ttl",
                ),
                *("truefoundry", "quay", "slack", "webhook", "pagerduty", "ms-teams", "hashicorp"),
            )
        ),
        *(
            "ml-repo",
            "artifact-version",
            "model-version",
            "data-dir",
            "service",
            "application-set",
            "cluster",
        ),
        *("workspace", "environment", "job", "helm", "volume", "notebook", "rstudio", "workflow"),
        *("async-service", "ssh-server", "spark-job"),
    }
)

NOT_IN_FORCE: Final = (MODEL_ACCOUNTS | _OF_THE_GATEWAY | _OF_THE_PLATFORM) - set(IN_FORCE)
