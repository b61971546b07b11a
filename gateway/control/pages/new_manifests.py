"""What a new manifest of each type begins with: whole as far as it can be known, and blank where it cannot.

Keys are in the variables that the providers' own programs read. Models are what a provider is known for; the
page lets anybody write others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.config.manifests.known import VIRTUAL_MODELS

_ACCOUNT: Final = "provider-account/"
_CHAT: Final = ("chat",)


def _account(kind: str, key: str, *models: str, **more: Any) -> dict[str, Any]:
    """An account that wants a key, in the environment variable *key*, and nothing else."""
    return {
        "type": f"{_ACCOUNT}{kind}",
        "name": kind,
        "auth_data": {"type": "api-key", "api_key": f"env:{key}"},
        **more,
        "integrations": [_model(model) for model in models],
    }


def _model(model_id: str, **more: Any) -> dict[str, Any]:
    return {"name": model_id.rpartition("/")[2], "model_id": model_id, "model_types": list(_CHAT), **more}


_ACCOUNTS: Final = (
    _account("openai", "OPENAI_API_KEY", "gpt-4o"),
    _account("anthropic", "ANTHROPIC_API_KEY", "claude-sonnet-4-5"),
    _account("ai21", "AI21_API_KEY", "jamba-large"),
    _account("baseten", "BASETEN_API_KEY", "deepseek-ai/DeepSeek-V3.1"),
    _account("cerebras", "CEREBRAS_API_KEY", "llama3.1-8b"),
    _account("cohere", "CO_API_KEY", "command-a-03-2025"),
    _account("deepinfra", "DEEPINFRA_API_KEY", "meta-llama/Llama-3.3-70B-Instruct"),
    _account("groq", "GROQ_API_KEY", "llama-3.3-70b-versatile"),
    _account("mistral-ai", "MISTRAL_API_KEY", "mistral-large-latest"),
    _account("openrouter", "OPENROUTER_API_KEY", "openai/gpt-4o"),
    _account("perplexity-ai", "PERPLEXITY_API_KEY", "sonar"),
    _account("sambanova", "SAMBANOVA_API_KEY", "Meta-Llama-3.3-70B-Instruct"),
    _account("together-ai", "TOGETHER_API_KEY", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    _account("wafer", "WAFER_API_KEY", ""),
    _account("xai", "XAI_API_KEY", "grok-4"),
    {
        **_account("nomic", "NOMIC_API_KEY"),
        "integrations": [_model("nomic-embed-text-v1.5", model_types=["embedding"])],
    },
    {
        **_account("google-gemini", "GEMINI_API_KEY", "gemini-2.5-flash"),
        "auth_data": {"type": "api-key", "apiKey": "env:GEMINI_API_KEY"},
    },
    _account(
        "azure-openai",
        "AZURE_OPENAI_API_KEY",
        azure_endpoint="",
    )
    | {"integrations": [_model("gpt-4o", api_version="2024-10-21")]},
    {
        "type": f"{_ACCOUNT}azure-foundry",
        "name": "azure-foundry",
        "integrations": [
            _model(
                "Llama-3.3-70B-Instruct",
                azure_endpoint="",
                auth_data={"type": "api-key", "api_key": "env:AZURE_AI_API_KEY"},
            )
        ],
    },
    _account("microsoft-foundry", "AZURE_AI_API_KEY", openai_endpoint="")
    | {"integrations": [_model("gpt-4o", publisher="OpenAI")]},
    {
        "type": f"{_ACCOUNT}aws-bedrock",
        "name": "bedrock",
        "region": "us-east-1",
        "integrations": [_model("us.anthropic.claude-sonnet-4-5-20250929-v1:0", name="claude-sonnet-4-5")],
    },
    {
        "type": f"{_ACCOUNT}aws-sagemaker",
        "name": "sagemaker",
        "region": "us-east-1",
        "integrations": [_model("", name="")],
    },
    {
        "type": f"{_ACCOUNT}google-vertex",
        "name": "vertex",
        "project_id": "",
        "region": "global",
        "integrations": [_model("gemini-2.5-flash")],
    },
    {
        "type": f"{_ACCOUNT}ollama",
        "name": "ollama",
        "auth_data": {"custom_host": "http://127.0.0.1:11434"},
        "integrations": [_model("llama3.2")],
    },
    {
        "type": f"{_ACCOUNT}self-hosted-model",
        "name": "local",
        "integrations": [
            {
                "name": "qwen",
                "hosted_model_name": "qwen3",
                "url": "http://127.0.0.1:8000/v1",
                "model_server": "vllm-openai",
                "model_types": list(_CHAT),
            }
        ],
    },
    _account(
        "databricks",
        "DATABRICKS_TOKEN",
        "databricks-claude-sonnet-4-5",
        base_url="",
    ),
    {
        "type": f"{_ACCOUNT}snowflake-cortex",
        "name": "snowflake",
        "account_identifier": "",
        "auth_data": {"type": "pat-token", "pat_token": "env:SNOWFLAKE_PAT"},
        "integrations": [_model("claude-4-sonnet")],
    },
    {
        "type": f"{_ACCOUNT}cloudera",
        "name": "cloudera",
        "auth_data": {"type": "token", "api_token": "env:CDP_TOKEN"},
        "integrations": [_model("", name="", base_url="")],
    },
    {
        "type": VIRTUAL_MODELS,
        "name": "vm",
        "integrations": [
            {
                "name": "chat",
                "model_types": list(_CHAT),
                "routing_config": {
                    "type": "weight-based-routing",
                    "load_balance_targets": [{"target": "", "weight": 100}],
                },
            }
        ],
    },
)

_OTHERS: Final = (
    {
        "type": "gateway-rate-limiting-config",
        "name": "rate-limits",
        "rules": [
            {
                "id": "each-user",
                "when": {},
                "limit_to": 60,
                "unit": "requests_per_minute",
                "rate_limit_applies_per": ["user"],
            }
        ],
    },
    {
        "type": "tenant-rate-limit-config/model",
        "name": "tokens-of-models",
        "limits": {"tokens_per_minute": 100_000},
        "applies_to": {"type": "per-model"},
    },
    {
        "type": "tenant-budget-config",
        "name": "each-user",
        "limits": {"cost_per_month": 100},
        "applies_to": {"type": "per-user"},
        "mode": "enforce",
    },
    {
        "type": "team-budget-config",
        "name": "team-budget",
        "team_name": "",
        "limits": {"cost_per_month": 500},
        "applies_to": {"type": "aggregate"},
        "mode": "enforce",
    },
    {
        "type": "gateway-budget-config",
        "name": "budgets",
        "rules": [{"id": "all", "when": {}, "limit_to": 1000, "unit": "cost_per_month"}],
    },
    {
        "type": "gateway-global-settings",
        "logging_settings": {"type": "header_controlled", "log_body_by_default": False},
    },
    {
        "type": "gateway-logging-config",
        "name": "mask-emails",
        "log": True,
        "redact_with": {"presets": ["email"]},
    },
    {
        "type": "gateway-metadata-config",
        "name": "metadata",
        "rules": [
            {
                "id": "team",
                "when": {"subjects": ["team:ml"]},
                "metadata_override": {"cost_center": "ml"},
            }
        ],
    },
    {"type": "virtual-account", "name": "my-app", "models": ["*"], "tokens": []},
    {"type": "pat", "name": "ada", "user_fqn": "", "models": ["*"], "tokens": []},
    {"type": "team", "name": "search", "members": [], "models": ["*"]},
    {
        "type": "role-binding",
        "name": "search",
        "subjects": [{"type": "team", "name": ""}],
        "permissions": [
            {
                "resourceType": "provider-account",
                "resourceFqn": "tenant:openai:openai",
                "role": "provider-account-access",
            }
        ],
    },
    {"type": "role", "name": "caller", "resourceType": "provider-account", "permissions": []},
    {
        "type": "external-identity-provider",
        "name": "entra",
        "issuer": "",
        "audiences": [""],
        "jwks_uri": "",
    },
    {
        "type": "gateway-otel-config",
        "name": "elastic",
        "otel_traces_exporter_config": {
            "type": "http",
            "encoding": "proto",
            "endpoint": "",
            "headers": {"Authorization": "ApiKey env:ELASTIC_API_KEY"},
        },
    },
    {
        "type": "gateway-load-balancing-config",
        "name": "load-balancing",
        "rules": [
            {
                "id": "spread",
                "type": "weight-based-routing",
                "when": {"models": [""]},
                "load_balance_targets": [{"target": "", "weight": 100}],
            }
        ],
    },
)

NEW: Final[Mapping[str, Mapping[str, Any]]] = {str(one["type"]): one for one in (*_ACCOUNTS, *_OTHERS)}
"""By type, all that are in force."""
