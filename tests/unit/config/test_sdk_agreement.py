"""Our manifests have the fields of TrueFoundry's own, by its official SDK, and say which are ours alone."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Union

import pydantic
from pydantic.fields import FieldInfo
from truefoundry_sdk import types as sdk
from truefoundry_sdk.types.true_foundry_apply_request_manifest import TrueFoundryApplyRequestManifest

from gateway.config.field_meanings import meanings_of
from gateway.config.manifests.azure_account import DeploymentType
from gateway.config.manifests.budgets import BudgetRule, Mode
from gateway.config.manifests.known import IN_FORCE, MODEL_ACCOUNTS, NOT_IN_FORCE, VIRTUAL_MODELS
from gateway.config.manifests.load_balancing import ComplexityTarget, SessionIdentifier, StaticFallback
from gateway.config.manifests.logging_config import Preset
from gateway.config.manifests.part import Part
from gateway.config.manifests.provider_account import MODEL_TYPES
from gateway.config.manifests.rate_limits import RateLimitRule
from gateway.config.manifests.role_binding import BoundSubject
from gateway.config.manifests.vendors import VENDOR_OF

_ENTRA_FIELDS = (
    ("certificate", "authority"),
    ("client-secret", "authority"),
    ("workload-identity", "authority"),
    ("workload-identity", "token_file"),
)


_STRATEGIES = ("weight-based-routing", "priority-based-routing", "latency-based-routing")
_ROUTES = (
    *(
        f"{VIRTUAL_MODELS}: integrations[integration/model/virtual].routing_config[{kind}]"
        for kind in (*_STRATEGIES, "complexity-based-routing")
    ),
    *(f"gateway-load-balancing-config: rules[{kind}]" for kind in _STRATEGIES),
)
_BUDGET_LIMITS = (
    "limits",
    *(
        f"applies_to[{kind}].overrides.limits"
        for kind in ("per-user", "per-virtual-account", "per-model", "metadata")
    ),
)
EXTENSIONS = {
    *(
        f"{kind}: {name}"
        for kind in IN_FORCE
        if kind in MODEL_ACCOUNTS - {VIRTUAL_MODELS}
        for name in ("propagate_trace", "tls")
    ),
    *(f"{route}.{name}" for route in _ROUTES for name in ("hedging", "load_balance_targets.timeouts")),
    "gateway-load-balancing-config: name",
    "gateway-rate-limiting-config: name",
    "gateway-budget-config: name",
    *(
        f"{kind}: {limits}.tokens_per_{period}"
        for kind in ("tenant-budget-config", "team-budget-config")
        for limits in _BUDGET_LIMITS
        for period in ("day", "week", "month", "quarter", "lifetime")
    ),
    *(f"{kind}: base_url" for kind, vendor in VENDOR_OF.items() if not vendor.is_base_url_theirs),
    "provider-account/snowflake-cortex: base_url",
    "provider-account/nomic: base_url",
    "provider-account/google-gemini: base_url",
    "provider-account/ollama: auth_data.api_key",
    *(
        f"provider-account/aws-{kind}: {name}"
        for kind in ("bedrock", "sagemaker")
        for name in ("auth_data[access-key-based].session_token", "auth_data[assumed-role-based].sts_url")
    ),
    "provider-account/aws-sagemaker: base_url",
    "provider-account/aws-sagemaker: integrations[integration/model/sagemaker].inference_component",
    *(
        f"provider-account/{account}-{kind}: auth_data[{auth}].{name}"
        for account, kind in (("azure", "openai"), ("microsoft", "foundry"))
        for auth, name in _ENTRA_FIELDS
    ),
    *(
        "provider-account/azure-foundry: integrations[integration/model/azure-foundry]"
        f".auth_data[{auth}].{name}"
        for auth, name in _ENTRA_FIELDS
    ),
    "virtual-account: tokens",
    "virtual-account: models",
    "pat: tokens",
    "pat: models",
    "team: models",
    # Their apply API asks for a name that their types do not have.
    "gateway-otel-config: name",
    "gateway-global-settings: name",
    "gateway-global-settings: telemetry_settings",
    "gateway-global-settings: translation_settings",
    "gateway-global-settings: routing_settings",
    "gateway-global-settings: timeout_settings",
    "gateway-global-settings: keep_alive_settings",
    "gateway-global-settings: budget_settings",
    "gateway-global-settings: limit_settings",
    "gateway-global-settings: egress_settings",
    "gateway-global-settings: overload_settings",
    *(
        f"gateway-otel-config: otel_{signal}_exporter_config[{kind}].{name}"
        for signal in ("traces", "metrics")
        for kind in ("http", "grpc")
        for name in ("compression", "tls", "batch")
    ),
    *(f"gateway-otel-config: otel_traces_exporter_config[{kind}].sampling" for kind in ("http", "grpc")),
    *(
        f"gateway-otel-config: otel_metrics_exporter_config[{kind}].additional_resource_attributes"
        for kind in ("http", "grpc")
    ),
}
# Taken as they are until their feature is built, so that nothing is known of their fields.
FREE_FORM = {"virtual-account: notification_target", "virtual-account: secret_store_config"}
# Types that SDK 0.6.0 applies by another way, or does not know: the reference for them is the documentation.
NOT_IN_SDK = {
    "tenant-rate-limit-config/model",
    "tenant-rate-limit-config/mcp",
    "pat",
    "agent-skill",
    "prompt",
    "hosted-a2a-agent",
    # A type of resource there, of which they apply no manifest.
    "external-identity-provider",
}


def models_in(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    """Every model that a value of this type may be, or hold."""
    if typing.get_origin(annotation) is Annotated:
        yield from models_in(typing.get_args(annotation)[0])
    elif typing.get_origin(annotation) in (Union, types.UnionType, tuple, list, dict):
        for member in typing.get_args(annotation):
            yield from models_in(member)
    elif isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation


def tag_of(model: type[pydantic.BaseModel]) -> str:
    """What tells a model from those beside it, "" when nothing does."""
    for name in ("type", "metric"):
        if name in model.model_fields:
            literal = typing.get_args(model.model_fields[name].annotation)
            if model in (BoundSubject, sdk.RoleBindingSubject):
                return ""  # a choice like any other
            # Their cost metrics have it in a docstring only.
            return str(literal[0]) if literal else re.findall(r"\+value=(\S+)", inspect.getsource(model))[0]
    return ""


def fields_of(model: type[pydantic.BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def differences(
    ours: type[pydantic.BaseModel], theirs: type[pydantic.BaseModel], place: str
) -> Iterator[tuple[str, str]]:
    """("ours" or "theirs", field) for each field that the other does not have."""
    our_fields, their_fields = fields_of(ours), fields_of(theirs)
    for name in sorted(our_fields.keys() | their_fields.keys()):
        here = f"{place}{name}"
        if name not in their_fields:
            yield "ours", here
        elif name not in our_fields:
            yield "theirs", here
        else:
            yield from inner_differences(our_fields[name].annotation, their_fields[name].annotation, here)


def inner_differences(ours: Any, theirs: Any, place: str) -> Iterator[tuple[str, str]]:
    our_models = {tag_of(model): model for model in models_in(ours)}
    their_models = {tag_of(model): model for model in models_in(theirs)}
    for tag in sorted(our_models.keys() | their_models.keys()):
        here = f"{place}[{tag}]" if tag else place
        if tag not in their_models:
            yield "ours", here
        elif tag not in our_models:
            yield "theirs", here
        else:
            yield from differences(our_models[tag], their_models[tag], f"{here}.")


THEIRS: dict[str, type[pydantic.BaseModel]] = {
    **{tag_of(model): model for model in models_in(sdk.ModelProviderAccount)},
    "virtual-account": sdk.VirtualAccountManifest,
    "gateway-otel-config": sdk.GatewayOtelConfig,
    "gateway-global-settings": sdk.GlobalSettings,
    "gateway-load-balancing-config": sdk.LoadBalancingConfig,
    "gateway-logging-config": sdk.GatewayLoggingConfig,
    "gateway-metadata-config": sdk.GatewayMetadataConfig,
    "gateway-rate-limiting-config": sdk.RateLimitConfig,
    "gateway-budget-config": sdk.BudgetConfig,
    "tenant-budget-config": sdk.TenantBudgetConfig,
    "team-budget-config": sdk.TeamBudgetConfig,
    "team": sdk.TeamManifest,
    "pat": sdk.PersonalAccessTokenManifest,
    "role": sdk.RoleManifest,
    "role-binding": sdk.RoleBindingManifest,
}


def search_costs() -> Iterator[str]:
    """Ours in every model of every account: theirs has no price for searches."""
    for kind in sorted(MODEL_ACCOUNTS & set(IN_FORCE)):
        for model in models_in(IN_FORCE[kind].model_fields["integrations"].annotation):
            if "cost" in model.model_fields:
                yield f"{kind}: integrations[{tag_of(model)}].cost[per_1000_searches]"


def all_differences() -> list[tuple[str, str]]:
    return [
        difference
        for kind, model in IN_FORCE.items()
        if kind in THEIRS
        for difference in differences(model, THEIRS[kind], f"{kind}: ")
    ]


def test_each_of_our_fields_is_theirs_or_a_listed_extension() -> None:
    """A manifest that works here without extensions works there."""
    assert {field for side, field in all_differences() if side == "ours"} == EXTENSIONS | set(search_costs())


def test_each_of_their_fields_is_known_here() -> None:
    """A manifest that is in use there loads here without a warning of an unknown field."""
    theirs = {field.partition("[")[0] for side, field in all_differences() if side == "theirs"}
    assert theirs == FREE_FORM


def extension_marks(model: type[Part], place: str) -> Iterator[str]:
    for name, field in fields_of(model).items():
        meaning = meanings_of(model).get(name, "")
        if "Extension" in meaning or "an extension" in meaning:
            yield f"{place}{name}"
            continue
        for inner in models_in(field.annotation):
            if issubclass(inner, Part):
                tag = tag_of(inner)
                if tag and "Extension" in (inner.__doc__ or ""):
                    yield f"{place}{name}[{tag}]"
                    continue
                yield from extension_marks(inner, f"{place}{name}[{tag}]." if tag else f"{place}{name}.")


def test_extensions_say_so() -> None:
    """In the description, which the schema and the documentation show."""
    marked = {
        mark
        for kind, model in IN_FORCE.items()
        if kind in THEIRS
        for mark in extension_marks(model, f"{kind}: ")
    }
    assert marked == (EXTENSIONS | set(search_costs())) - {
        "gateway-global-settings: name",
        "gateway-load-balancing-config: name",
        "gateway-rate-limiting-config: name",
        "gateway-budget-config: name",
    }


def test_every_type_of_theirs_is_known() -> None:
    """Whatever `tfy apply` takes loads here."""
    applied = {tag_of(model) for model in models_in(TrueFoundryApplyRequestManifest)}
    assert applied - set(IN_FORCE) == NOT_IN_FORCE - NOT_IN_SDK
    assert NOT_IN_FORCE | set(IN_FORCE) > NOT_IN_SDK
    assert set(IN_FORCE) - NOT_IN_SDK <= set(THEIRS)


def test_the_accounts_that_have_models_are_theirs() -> None:
    """Their names share one space."""
    assert {tag_of(model) for model in models_in(sdk.ModelProviderAccount)} == MODEL_ACCOUNTS


def values_of(enumeration: Any) -> Iterator[str]:
    """What theirs lists; its private member stands for what is newer than it."""
    for member in enumeration:
        if not member.name.startswith("_"):
            yield member.value


def test_choices_agree() -> None:
    """Types of model, of model server, of masking, tiers and so on, each as their enumeration has them."""
    assert set(MODEL_TYPES) == set(values_of(sdk.ModelType))
    integration = next(
        models_in(IN_FORCE["provider-account/self-hosted-model"].model_fields["integrations"].annotation)
    )
    servers = typing.get_args(integration.model_fields["model_server"].annotation)
    assert set(servers) == set(values_of(sdk.SelfHostedModelModelServer))
    assert set(typing.get_args(Preset)) == set(values_of(sdk.PresetRegexPatternEnum))
    for deployments in (sdk.AzureOpenAiModelDeploymentType, sdk.MicrosoftFoundryModelDeploymentType):
        assert set(typing.get_args(DeploymentType)) == set(values_of(deployments))
    for part, name, theirs in (
        (ComplexityTarget, "tier", sdk.ComplexityBasedLoadBalanceTargetTier),
        (StaticFallback, "default_tier", sdk.StaticFallbackStrategyDefaultTier),
        (SessionIdentifier, "source", sdk.StickySessionIdentifierSource),
    ):
        assert set(typing.get_args(part.model_fields[name].annotation)) == set(values_of(theirs))
    units = set(typing.get_args(RateLimitRule.model_fields["unit"].annotation))
    assert units - {"parallel_requests"} == set(values_of(sdk.RateLimitUnit))
    units = set(typing.get_args(BudgetRule.model_fields["unit"].annotation))
    lifetimes = {"cost_per_lifetime", "tokens_per_lifetime"}
    assert units - {"tokens_per_week", "tokens_per_quarter"} - lifetimes == set(
        values_of(sdk.BudgetLimitUnit)
    )
    for theirs in (sdk.TenantBudgetConfigMode, sdk.TeamBudgetConfigMode):
        assert set(typing.get_args(Mode)) == set(values_of(theirs))
    kinds = typing.get_args(BoundSubject.model_fields["type"].annotation)
    # Their guide for roles has one more, which was there before identity providers.
    assert set(kinds) - {"external-identity"} == set(values_of(sdk.RoleBindingSubjectType))
    assert set(values_of(sdk.VirtualModelModelType)) <= set(MODEL_TYPES)
