"""List prices and context windows: the data that comes with `genai-prices`. Nothing is fetched.

What of it is used: rates per token (text, cache, audio, images, reasoning), fees per call, and for models
that are paid otherwise characters, hours of audio, pages. Not used, since usage does not have them: web
searches, storage, video, and variants of a price such as batches and service tiers.

Prices that change with time are those of noon UTC of the day on which the configuration is compiled,
whatever the hour of a call.

Data: https://github.com/pydantic/genai-prices
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

from gateway.pricing.price import AnyPrice, AudioPrice, CharacterPrice, PagePrice, Rates, TokenPrice

PROVIDERS: Final[Mapping[str, str]] = {
    "anthropic": "anthropic",
    "aws-bedrock": "aws",
    "aws-bedrock-mantle": "aws",
    "aws-claude-platform": "anthropic",
    "azure-foundry": "azure",
    "azure-openai": "azure",
    "baseten": "baseten",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "databricks": "databricks",
    "elevenlabs": "elevenlabs",
    "google-gemini": "google",
    "google-vertex": "google",
    "groq": "groq",
    "microsoft-foundry": "azure",
    "mistral-ai": "mistral",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity-ai": "perplexity",
    "together-ai": "together",
    "xai": "x-ai",
}
"""The catalogue's provider for each kind of account, as its type has it after the slash; others have none."""

_RATES: Final = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_read_audio": "cache_audio_read_mtok",
    "cache_read_image": "cache_image_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "audio_input": "input_audio_mtok",
    "image_input": "input_image_mtok",
    "audio_output": "output_audio_mtok",
    "image_output": "output_image_mtok",
    "reasoning": "output_reasoning_mtok",
}
_ARN: Final = "arn:"
_CALLS: Final = 1000
_MINUTES: Final = 60
_NOON: Final = time(12, tzinfo=UTC)
_KEPT: Final = 4096
_catalogue: Final = DataSnapshot(providers=providers, from_auto_update=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the catalogue says of one model.

    Attributes:
        price: None where it has none that can be counted; a model that it lists as free has none either.
        context_window: Most input tokens, None when it does not say.
    """

    price: AnyPrice | None
    context_window: int | None


def find_entry(
    kind: str, base_url: str, model_id: str, *, day: date, discount_percent: float = 0
) -> Entry | None:
    """What the catalogue has for a model, None when it does not know it.

    Args:
        kind: The type of the account, after the slash.
        base_url: Where it is called. A provider that the catalogue knows by it wins over *kind*: OpenAI's
            kind of account reaches many.
        model_id: The id that the provider knows the model by.
        day: Whose prices.
        discount_percent: What is taken off them.
    """
    provider = _provider_at(base_url) or _provider_of(kind)
    if provider is None:
        return None
    if model_id.startswith(_ARN):
        # Where a call may be answered decides its price, and the catalogue looks for that at the beginning.
        model_id = model_id.rpartition("/")[2]
    model = _find_model(provider.id, model_id)
    if model is None:
        return None
    prices = model.get_prices(datetime.combine(day, _NOON))
    factor = (100 - Decimal(str(discount_percent))) / 100
    return Entry(_price(prices, factor), model.context_window)


@lru_cache(maxsize=_KEPT)
def _find_model(provider_id: str, model_id: str) -> ModelInfo | None:
    # Not by way of the catalogue, which keeps for ever what it has found: replies name models too.
    provider = _catalogue.find_provider(None, provider_id, None)
    return provider.find_model(model_id, all_providers=providers)


def _provider_at(base_url: str) -> Provider | None:
    try:
        return _catalogue.find_provider(None, None, base_url)
    except LookupError:
        return None


def _provider_of(kind: str) -> Provider | None:
    provider_id = PROVIDERS.get(kind)
    return None if provider_id is None else _catalogue.find_provider(None, provider_id, None)


def _price(prices: ModelPrice, factor: Decimal) -> AnyPrice | None:
    """The *prices* times *factor*, by what they are for."""

    def rate(name: str) -> float | None:
        value = getattr(prices, name)
        return None if value is None else float(_base(value) * factor)

    if prices.input_mtok is not None:
        return _token_price(prices, factor)
    characters = rate("input_mchars")
    if characters is not None:
        return CharacterPrice(characters)
    hours = rate("input_audio_hours") or rate("audio_hours")
    if hours is not None:
        return AudioPrice(hours / _MINUTES)
    pages = rate("input_document_kpages")
    if pages is not None:
        return PagePrice(pages, rate("input_annotated_document_kpages"))
    return None


def _token_price(prices: ModelPrice, factor: Decimal) -> TokenPrice:
    values = {name: getattr(prices, key) for name, key in _RATES.items()}
    # A tier begins above its number there, and at its number here.
    starts = sorted(
        {
            tier.start + 1
            for value in values.values()
            if isinstance(value, TieredPrices)
            for tier in value.tiers
        }
    )
    calls = prices.requests_kcount
    return TokenPrice(
        base=_rates(values, 0, factor),
        tiers=tuple((start, _rates(values, start, factor)) for start in starts),
        call_usd=0.0 if calls is None else float(_base(calls) * factor / _CALLS),
    )


def _rates(values: Mapping[str, Decimal | TieredPrices | None], tokens: int, factor: Decimal) -> Rates:
    """The rates of a call of so many input tokens."""
    rates: dict[str, Any] = {
        name: None if value is None else float(_at(value, tokens) * factor) for name, value in values.items()
    }
    # Models without a price for output are paid by their input alone: embeddings, rerankers.
    rates["output"] = rates["output"] or 0.0
    return Rates(**rates)


def _at(value: Decimal | TieredPrices, tokens: int) -> Decimal:
    if isinstance(value, Decimal):
        return value
    reached = [tier.price for tier in value.tiers if tokens > tier.start]
    return reached[-1] if reached else value.base


def _base(value: Decimal | TieredPrices) -> Decimal:
    return value if isinstance(value, Decimal) else value.base
