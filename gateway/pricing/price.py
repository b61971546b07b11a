"""What one reply costs, from its usage.

Token rates are in USD per million, as catalogues have them, so that the numbers of a price list are the
numbers here. Which tokens are paid how:

- Of the input, tokens read from the cache, written to it, of audio and of images are taken out in this order,
  each group at its own rate; a group without a rate of its own stays in the rest, at the input rate. Audio
  and images that were read from the cache are of that group, unless they have a rate of their own there. No
  token is paid twice: a group is at most what the ones before it left. Output likewise: audio, images,
  reasoning, the rest.
- Tiers are chosen by the size of the whole input: from the tier's first token on, the *whole* call, output
  included, is paid at the tier's rates. It is how providers bill long contexts.

What the provider says is billed is what is paid, where that is not all that was read and written.

A call whose usage lacks what its price is for has no known cost: None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from gateway.model import Usage

_MILLION: Final = 1_000_000
_THOUSAND: Final = 1_000
_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per million tokens; None for a kind that has no rate of its own.

    Attributes:
        input: Of whatever input has no other rate; `output` likewise.
        cache_read_audio: Of cached audio, where it is not as other cached input; images likewise.
        cache_write_1h: Of cache writes that are kept for an hour, else they are as others.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_read_audio: float | None = None
    cache_read_image: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    audio_input: float | None = None
    image_input: float | None = None
    audio_output: float | None = None
    image_output: float | None = None
    reasoning: float | None = None


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """A price by tokens.

    Attributes:
        base: The rates below the first tier.
        tiers: From how many input tokens on, and the rates from there; rising.
        call_usd: For each call, whatever its tokens.
    """

    base: Rates
    tiers: tuple[tuple[int, Rates], ...] = ()
    call_usd: float = 0.0

    def cost_usd(self, usage: Usage) -> float | None:
        """What *usage* costs, None when nothing was counted.

        Output that was not counted is none: embeddings have none. Where output alone was counted, as Ollama
        does of a prompt that it has kept, that is what costs.
        """
        asked, answered = usage.input_tokens, usage.output_tokens or 0
        if asked is None:
            if not answered:
                return None
            asked = 0
        if usage.billed_input_tokens is not None:
            asked = usage.billed_input_tokens
            answered = usage.billed_output_tokens or 0
        rates = self._rates_from(asked) if self.tiers else self.base
        millionths = 0.0
        if (
            usage.cached_input_tokens
            or usage.cache_write_input_tokens
            or usage.audio_input_tokens
            or usage.image_input_tokens
        ):
            asked, millionths = _parts_of_input(usage, rates, asked)
        if usage.reasoning_output_tokens or usage.audio_output_tokens or usage.image_output_tokens:
            answered, more = _parts_of_output(usage, rates, answered)
            millionths += more
        return (millionths + asked * rates.input + answered * rates.output) / _MILLION + self.call_usd

    def tokens_usd(self, input_tokens: int, output_tokens: int) -> float:
        """What so many tokens cost of which none has a rate of its own."""
        rates = self._rates_from(input_tokens) if self.tiers else self.base
        return (input_tokens * rates.input + output_tokens * rates.output) / _MILLION + self.call_usd

    def _rates_from(self, input_tokens: int) -> Rates:
        rates = self.base
        for start, higher in self.tiers:
            if input_tokens >= start:
                rates = higher
        return rates

    def shown(self) -> dict[str, Any]:
        """The price for people and programs that choose a model."""
        shown = {"currency": "USD", "unit": "1M tokens", **_shown_rates(self.base)}
        if self.tiers:
            shown["tiers"] = [
                {"from_input_tokens": start, **_shown_rates(rates)} for start, rates in self.tiers
            ]
        if self.call_usd:
            shown["per_call"] = self.call_usd
        return shown


class _NotByTokens:
    """What prices have in common that are not by tokens."""

    __slots__ = ()

    def tokens_usd(self, _input_tokens: int, _output_tokens: int) -> None:
        """Nobody can tell."""
        return


@dataclass(frozen=True, slots=True)
class CharacterPrice(_NotByTokens):
    """A price by characters to be spoken: USD per million."""

    input: float

    def cost_usd(self, usage: Usage) -> float | None:
        """What *usage* costs, None when the characters were not counted."""
        characters = usage.input_characters
        return None if characters is None else characters * self.input / _MILLION

    def shown(self) -> dict[str, Any]:
        """As of `TokenPrice`."""
        return {"currency": "USD", "unit": "1M characters", "input": self.input}


@dataclass(frozen=True, slots=True)
class AudioPrice(_NotByTokens):
    """A price by the length of audio: USD per minute."""

    input: float

    def cost_usd(self, usage: Usage) -> float | None:
        """What *usage* costs, None when the length was not told."""
        return None if usage.audio_s is None else usage.audio_s * self.input / _SECONDS

    def shown(self) -> dict[str, Any]:
        """As of `TokenPrice`."""
        return {"currency": "USD", "unit": "minute of audio", "input": self.input}


@dataclass(frozen=True, slots=True)
class PagePrice(_NotByTokens):
    """A price by pages of documents, USD per thousand: of any page, and of one that is annotated too."""

    pages: float
    annotated_pages: float | None = None

    def cost_usd(self, usage: Usage) -> float | None:
        """What *usage* costs, None when the pages were not counted."""
        pages = usage.pages
        if pages is None:
            return None
        annotated = 0 if self.annotated_pages is None else min(usage.annotated_pages or 0, pages)
        annotated_rate = self.annotated_pages or 0.0
        return ((pages - annotated) * self.pages + annotated * annotated_rate) / _THOUSAND

    def shown(self) -> dict[str, Any]:
        """As of `TokenPrice`."""
        shown: dict[str, Any] = {"currency": "USD", "unit": "1K pages", "pages": self.pages}
        if self.annotated_pages is not None:
            shown["annotated_pages"] = self.annotated_pages
        return shown


@dataclass(frozen=True, slots=True)
class SearchPrice(_NotByTokens):
    """A price by searches in documents: USD per thousand."""

    input: float

    def cost_usd(self, usage: Usage) -> float | None:
        """What *usage* costs, None when the searches were not counted."""
        searches = usage.search_units
        return None if searches is None else searches * self.input / _THOUSAND

    def shown(self) -> dict[str, Any]:
        """As of `TokenPrice`."""
        return {"currency": "USD", "unit": "1K searches", "input": self.input}


AnyPrice = TokenPrice | CharacterPrice | AudioPrice | PagePrice | SearchPrice


def _parts_of_input(usage: Usage, rates: Rates, tokens: int) -> tuple[int, float]:
    """How many of *tokens* have no rate of their own, and what the others cost, in millionths of a USD."""
    written = usage.cache_write_input_tokens or 0
    for_an_hour = 0
    if rates.cache_write_1h is not None:
        for_an_hour = min(usage.cache_write_1h_input_tokens or 0, written)
    return _paid_apart(
        tokens,
        (
            *_cached(usage, rates),
            (for_an_hour, rates.cache_write_1h),
            (written - for_an_hour, rates.cache_write),
            (_uncached(usage.audio_input_tokens, usage.cached_audio_input_tokens), rates.audio_input),
            (_uncached(usage.image_input_tokens, usage.cached_image_input_tokens), rates.image_input),
        ),
    )


def _cached(usage: Usage, rates: Rates) -> tuple[tuple[int | None, float | None], ...]:
    """The groups of what was read from the cache."""
    audio, images = usage.cached_audio_input_tokens, usage.cached_image_input_tokens
    if not audio and not images:
        return ((usage.cached_input_tokens, rates.cache_read),)
    apart = ((audio or 0, rates.cache_read_audio), (images or 0, rates.cache_read_image))
    taken = sum(count for count, rate in apart if rate is not None)
    return (*apart, (_uncached(usage.cached_input_tokens, taken), rates.cache_read))


def _uncached(tokens: int | None, cached: int | None) -> int | None:
    return max(0, tokens - cached) if tokens and cached else tokens


def _parts_of_output(usage: Usage, rates: Rates, tokens: int) -> tuple[int, float]:
    return _paid_apart(
        tokens,
        (
            (usage.audio_output_tokens, rates.audio_output),
            (usage.image_output_tokens, rates.image_output),
            (usage.reasoning_output_tokens, rates.reasoning),
        ),
    )


def _paid_apart(tokens: int, groups: tuple[tuple[int | None, float | None], ...]) -> tuple[int, float]:
    """What is left of *tokens* after the *groups* (how many, at what rate), and what those cost."""
    cost = 0.0
    for count, rate in groups:
        if count and rate is not None:
            # min() costs more than the comparison.
            paid = count if count < tokens else tokens  # noqa: FURB136
            tokens -= paid
            cost += paid * rate
    return tokens, cost


def _shown_rates(rates: Rates) -> Mapping[str, float]:
    named = {field.name: getattr(rates, field.name) for field in fields(rates)}
    return {name: rate for name, rate in named.items() if rate is not None}
