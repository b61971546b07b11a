"""What a model costs, as TrueFoundry writes it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.manifests.part import Amount, Count, Part


class PublicCost(Part):
    """The provider's list price."""

    metric: Literal["public_cost"]


class PricingTier(Part):
    """A price of calls from some number of input tokens on."""

    from_: Count = Field(alias="from")
    """Number of input tokens of a call where this price begins."""
    cost_per_token: Amount
    """USD per 1,000 tokens, of all tokens of such a call."""


class TokenPrices(Part):
    """Prices by kind of token, in USD per 1,000."""

    input: Amount
    """USD per 1,000 input tokens."""
    output: Amount
    """USD per 1,000 output tokens."""
    cache_read: Amount | None = None
    """USD per 1,000 tokens read from the provider's prompt cache."""
    cache_write: Amount | None = None
    """USD per 1,000 tokens written to the provider's prompt cache."""
    input_tiers: tuple[PricingTier, ...] = ()
    """Other prices for input tokens above some number."""
    output_tiers: tuple[PricingTier, ...] = ()
    """Other prices for output tokens above some number."""
    cache_read_tiers: tuple[PricingTier, ...] = ()
    """Other prices for cache reads above some number."""
    cache_write_tiers: tuple[PricingTier, ...] = ()
    """Other prices for cache writes above some number."""


class TokenCost(Part):
    """Your own price per 1,000 tokens."""

    metric: Literal["per_1000_tokens"]
    value: TokenPrices


class EmbeddingCost(Part):
    """Your own price per 1,000 embedded tokens."""

    metric: Literal["per_1000_embedding_tokens"]
    value: Amount
    """USD per 1,000 tokens."""


class InputPrice(Part):
    """One price for what goes in."""

    input: Amount
    """USD per unit."""


class CharacterCost(Part):
    """Your own price per million characters of input."""

    metric: Literal["per_million_characters"]
    value: InputPrice


class AudioCost(Part):
    """Your own price per minute of audio."""

    metric: Literal["per_minute_of_audio"]
    value: InputPrice


class PagePrices(Part):
    """Prices of document recognition, in USD per 1,000 pages."""

    pages: Amount
    """USD per 1,000 pages."""
    annotated_pages: Amount | None = None
    """USD per 1,000 annotated pages."""


class PageCost(Part):
    """Your own price per 1,000 pages."""

    metric: Literal["per_1000_pages"]
    value: PagePrices


class SearchCost(Part):
    """Your own price per 1,000 searches: each a query with up to a hundred documents. Extension."""

    metric: Literal["per_1000_searches"]
    value: InputPrice


Cost = Annotated[
    PublicCost | TokenCost | EmbeddingCost | CharacterCost | AudioCost | PageCost | SearchCost,
    Field(discriminator="metric"),
]
