"""Which file makes the targets of which account type: one line each, and one for the vendors' table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.config.manifests.provider_account import ProviderAccount
from gateway.config.manifests.vendors import VENDOR_ACCOUNTS
from gateway.model import RetryPolicy, Target
from gateway.providers.addressing import Resolve
from gateway.providers.anthropic import anthropic_targets
from gateway.providers.aws import bedrock_targets, sagemaker_targets
from gateway.providers.azure import azure_foundry_targets, azure_openai_targets, microsoft_foundry_targets
from gateway.providers.data_platforms import cloudera_targets, databricks_targets, snowflake_targets
from gateway.providers.nomic import nomic_targets
from gateway.providers.ollama import ollama_targets
from gateway.providers.openai import openai_targets
from gateway.providers.openai_vendors import vendor_targets
from gateway.providers.self_hosted import self_hosted_targets

# Any: each function takes its own account type, which its key names.
_MAKERS: Final[dict[str, Callable[[Any, Resolve, RetryPolicy], list[Target]]]] = {
    **dict.fromkeys(VENDOR_ACCOUNTS, vendor_targets),
    "provider-account/aws-bedrock": bedrock_targets,
    "provider-account/aws-sagemaker": sagemaker_targets,
    "provider-account/azure-foundry": azure_foundry_targets,
    "provider-account/azure-openai": azure_openai_targets,
    "provider-account/cloudera": cloudera_targets,
    "provider-account/databricks": databricks_targets,
    "provider-account/microsoft-foundry": microsoft_foundry_targets,
    "provider-account/nomic": nomic_targets,
    "provider-account/ollama": ollama_targets,
    "provider-account/anthropic": anthropic_targets,
    "provider-account/openai": openai_targets,
    "provider-account/self-hosted-model": self_hosted_targets,
    "provider-account/snowflake-cortex": snowflake_targets,
}


def make_targets(account: ProviderAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The models of *account*; one whose secret is missing says so in `missing_secret`."""
    return _MAKERS[account.type](account, resolve, retry)
