"""What replies cost: each sum stands in the table as it is done by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Usage
from gateway.pricing.price import (
    AnyPrice,
    AudioPrice,
    CharacterPrice,
    PagePrice,
    Rates,
    SearchPrice,
    TokenPrice,
)

M = 1_000_000
TEXT = TokenPrice(Rates(2.5, 10))
CACHED = TokenPrice(Rates(3, 15, cache_read=0.3, cache_write=3.75, cache_write_1h=6))
MEDIA = TokenPrice(
    Rates(4, 16, cache_read=0.4, audio_input=32, image_input=5, audio_output=64, image_output=40)
)
SPOKEN = TokenPrice(
    Rates(0.6, 2.4, 0.06, cache_read_audio=0.3, cache_read_image=0.08, audio_input=10, image_input=0.8)
)
REASONING = TokenPrice(Rates(2, 8, reasoning=3))
TIERED = TokenPrice(
    Rates(1.25, 10, cache_read=0.125),
    ((100_000, Rates(2, 12, cache_read=0.2)), (200_000, Rates(2.5, 15, cache_read=0.25))),
)


def used(input_tokens: int | None, output_tokens: int | None = None, **more: Any) -> Usage:
    return Usage(input_tokens, output_tokens, "provider", **more)


@pytest.mark.parametrize(
    ("price", "usage", "expected"),
    [
        pytest.param(TEXT, used(1000, 500), (1000 * 2.5 + 500 * 10) / M, id="text"),
        pytest.param(TEXT, used(1000), 1000 * 2.5 / M, id="input alone"),
        pytest.param(TEXT, used(0, 0), 0.0, id="nothing used costs nothing"),
        pytest.param(TEXT, Usage(1000, 500, "estimated"), (1000 * 2.5 + 500 * 10) / M, id="estimated"),
        pytest.param(TEXT, Usage(1000, 7, "partial"), (1000 * 2.5 + 7 * 10) / M, id="partial"),
        pytest.param(
            TEXT,
            used(1000, 500, cached_input_tokens=400, cache_write_input_tokens=100, audio_input_tokens=50),
            (1000 * 2.5 + 500 * 10) / M,
            id="kinds without rates are input",
        ),
        pytest.param(
            CACHED,
            used(1000, 500, cached_input_tokens=400),
            (400 * 0.3 + 600 * 3 + 500 * 15) / M,
            id="read from the cache",
        ),
        pytest.param(
            CACHED,
            used(1000, 500, cached_input_tokens=400, cache_write_input_tokens=250),
            (400 * 0.3 + 250 * 3.75 + 350 * 3 + 500 * 15) / M,
            id="read and written",
        ),
        pytest.param(
            CACHED,
            used(1000, 0, cache_write_input_tokens=250, cache_write_1h_input_tokens=50),
            (50 * 6 + 200 * 3.75 + 750 * 3) / M,
            id="some written for an hour",
        ),
        pytest.param(
            TokenPrice(Rates(3, 15, cache_write=3.75)),
            used(1000, 0, cache_write_input_tokens=250, cache_write_1h_input_tokens=50),
            (250 * 3.75 + 750 * 3) / M,
            id="an hour without a rate of its own is a write",
        ),
        pytest.param(
            CACHED,
            used(1000, 0, cache_write_input_tokens=20, cache_write_1h_input_tokens=50),
            (20 * 6 + 980 * 3) / M,
            id="no more for an hour than written",
        ),
        pytest.param(
            CACHED, used(100, 0, cached_input_tokens=400), 100 * 0.3 / M, id="no more cached than input"
        ),
        pytest.param(
            MEDIA,
            used(1000, 500, audio_input_tokens=700, image_input_tokens=100, audio_output_tokens=450),
            (700 * 32 + 100 * 5 + 200 * 4 + 450 * 64 + 50 * 16) / M,
            id="audio and images",
        ),
        pytest.param(
            MEDIA,
            used(10, 4160, image_output_tokens=4000),
            (10 * 4 + 4000 * 40 + 160 * 16) / M,
            id="images out",
        ),
        pytest.param(
            MEDIA,
            used(1000, 0, cached_input_tokens=500, audio_input_tokens=700),
            (500 * 0.4 + 500 * 32) / M,
            id="no token is paid twice",
        ),
        pytest.param(
            MEDIA,
            used(1000, 0, cached_input_tokens=500, audio_input_tokens=700, cached_audio_input_tokens=450),
            (500 * 0.4 + 250 * 32 + 250 * 4) / M,
            id="cached audio is as other cached input",
        ),
        pytest.param(
            SPOKEN,
            used(
                1000,
                0,
                cached_input_tokens=500,
                audio_input_tokens=700,
                cached_audio_input_tokens=450,
                image_input_tokens=100,
                cached_image_input_tokens=20,
            ),
            (450 * 0.3 + 20 * 0.08 + 30 * 0.06 + 250 * 10 + 80 * 0.8 + 170 * 0.6) / M,
            id="cached audio and images have rates of their own",
        ),
        pytest.param(
            TEXT,
            used(100, 500, reasoning_output_tokens=300),
            (100 * 2.5 + 500 * 10) / M,
            id="reasoning is output",
        ),
        pytest.param(
            REASONING,
            used(100, 500, reasoning_output_tokens=300),
            (100 * 2 + 300 * 3 + 200 * 8) / M,
            id="reasoning with a rate of its own",
        ),
        pytest.param(TIERED, used(99_999, 10), (99_999 * 1.25 + 10 * 10) / M, id="below the first tier"),
        pytest.param(TIERED, used(100_000, 10), (100_000 * 2 + 10 * 12) / M, id="the first tier begins"),
        pytest.param(TIERED, used(199_999, 10), (199_999 * 2 + 10 * 12) / M, id="it ends"),
        pytest.param(TIERED, used(200_000, 10), (200_000 * 2.5 + 10 * 15) / M, id="the last one begins"),
        pytest.param(
            TIERED,
            used(200_000, 10, cached_input_tokens=150_000),
            (150_000 * 0.25 + 50_000 * 2.5 + 10 * 15) / M,
            id="cached tokens count for the tier",
        ),
        pytest.param(
            TIERED, used(10, 300_000), (10 * 1.25 + 300_000 * 10) / M, id="output does not choose the tier"
        ),
        pytest.param(
            TokenPrice(Rates(1, 1), call_usd=0.012),
            used(1000, 500),
            0.012 + (1000 + 500) / M,
            id="fee per call",
        ),
        pytest.param(TEXT, used(None, 500), 500 * 10 / M, id="output alone was counted"),
        pytest.param(TEXT, used(None, 0), None, id="nothing was counted"),
        pytest.param(TEXT, used(None, audio_s=9.0), None, id="counted in seconds, paid by tokens"),
        pytest.param(CharacterPrice(15), used(None, input_characters=4000), 4000 * 15 / M, id="characters"),
        pytest.param(CharacterPrice(15), used(10, 10), None, id="characters not counted"),
        pytest.param(AudioPrice(0.006), used(None, audio_s=90.0), 1.5 * 0.006, id="a minute and a half"),
        pytest.param(AudioPrice(0.006), used(10, 10), None, id="length not told"),
        pytest.param(PagePrice(4), used(None, pages=25), 25 * 4 / 1000, id="pages"),
        pytest.param(
            PagePrice(4, 5), used(None, pages=25, annotated_pages=5), (20 * 4 + 5 * 5) / 1000, id="annotated"
        ),
        pytest.param(
            PagePrice(4),
            used(None, pages=25, annotated_pages=5),
            25 * 4 / 1000,
            id="annotated at the same price",
        ),
        pytest.param(PagePrice(4), used(10, 10), None, id="pages not counted"),
        pytest.param(SearchPrice(2), used(None, search_units=3), 3 * 2 / 1000, id="searches"),
        pytest.param(SearchPrice(2), used(10, 10), None, id="searches not counted"),
    ],
)
def test_cost(price: AnyPrice, usage: Usage, expected: float | None) -> None:
    """The cost is the hand-computed one; what cannot be known is None."""
    cost = price.cost_usd(usage)
    assert cost == (None if expected is None else pytest.approx(expected, rel=1e-12))


RATES = st.floats(0, 1000)
OWN_RATES = st.none() | RATES
COUNTS = st.none() | st.integers(0, 2_000_000)
RATE_NAMES = (
    "cache_read",
    "cache_read_audio",
    "cache_read_image",
    "cache_write",
    "cache_write_1h",
    "audio_input",
    "image_input",
)
OUTPUT_RATE_NAMES = ("audio_output", "image_output", "reasoning")
DETAILS = (
    *("cached_input_tokens", "cache_write_input_tokens", "cache_write_1h_input_tokens", "audio_input_tokens"),
    *("image_input_tokens", "audio_output_tokens", "image_output_tokens", "reasoning_output_tokens"),
    *("cached_audio_input_tokens", "cached_image_input_tokens"),
)


@st.composite
def prices(draw: st.DrawFn) -> TokenPrice:
    """Any price whose tiers rise."""
    base = {name: draw(RATES) for name in ("input", "output")}
    base |= {
        name: rate for name in (*RATE_NAMES, *OUTPUT_RATE_NAMES) if (rate := draw(OWN_RATES)) is not None
    }
    factors = sorted(draw(st.lists(st.floats(1, 5), max_size=2)))
    starts = sorted(draw(st.sets(st.integers(1, 1_000_000), min_size=len(factors), max_size=len(factors))))
    tiers = [Rates(**{name: rate * factor for name, rate in base.items()}) for factor in factors]
    return TokenPrice(Rates(**base), tuple(zip(starts, tiers, strict=True)), draw(RATES))


usages = st.builds(
    Usage, st.integers(0, 2_000_000), COUNTS, st.just("provider"), **dict.fromkeys(DETAILS, COUNTS)
)


@given(prices(), usages)
def test_cost_is_never_negative(price: TokenPrice, usage: Usage) -> None:
    """Whatever a provider reports, details that contradict the whole included."""
    cost = price.cost_usd(usage)
    assert cost is not None
    assert cost >= 0


@given(prices(), usages, st.integers(0, 1_000_000), st.integers(0, 1_000_000))
def test_more_tokens_cost_no_less(price: TokenPrice, usage: Usage, more_in: int, more_out: int) -> None:
    """With the same details, more input or output is not cheaper where tiers rise."""
    larger = Usage(
        (usage.input_tokens or 0) + more_in,
        (usage.output_tokens or 0) + more_out,
        "provider",
        **{name: getattr(usage, name) for name in DETAILS},
    )
    cost, more = price.cost_usd(usage), price.cost_usd(larger)
    assert cost is not None
    assert more is not None
    assert more >= cost * (1 - 1e-12)


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        pytest.param(
            CACHED,
            {
                "unit": "1M tokens",
                "input": 3,
                "output": 15,
                "cache_read": 0.3,
                "cache_write": 3.75,
                "cache_write_1h": 6,
            },
            id="only what it has",
        ),
        pytest.param(
            TokenPrice(Rates(1, 2), ((100, Rates(3, 4)),), call_usd=0.012),
            {
                "unit": "1M tokens",
                "input": 1,
                "output": 2,
                "tiers": [{"from_input_tokens": 100, "input": 3, "output": 4}],
                "per_call": 0.012,
            },
            id="tiers and fee",
        ),
        pytest.param(CharacterPrice(15), {"unit": "1M characters", "input": 15}, id="characters"),
        pytest.param(AudioPrice(0.006), {"unit": "minute of audio", "input": 0.006}, id="audio"),
        pytest.param(PagePrice(4), {"unit": "1K pages", "pages": 4}, id="pages"),
        pytest.param(SearchPrice(2), {"unit": "1K searches", "input": 2}, id="searches"),
        pytest.param(
            PagePrice(4, 5), {"unit": "1K pages", "pages": 4, "annotated_pages": 5}, id="annotated pages"
        ),
    ],
)
def test_shown(price: AnyPrice, expected: dict[str, Any]) -> None:
    """A price is shown with its unit, without what it lacks."""
    assert price.shown() == {"currency": "USD", **expected}


def test_what_is_billed_is_paid() -> None:
    """Where the provider says that not all tokens are."""
    price = TokenPrice(Rates(2, 10))
    usage = Usage(71, 27, "provider", billed_input_tokens=5, billed_output_tokens=26)
    assert price.cost_usd(usage) == pytest.approx((5 * 2 + 26 * 10) / 1_000_000)
    assert price.cost_usd(Usage(71, 27, "provider", billed_input_tokens=5)) == pytest.approx(10 / 1_000_000)


@given(st.integers(0, 400_000), st.integers(0, 100_000), st.sampled_from([TEXT, CACHED, TIERED, REASONING]))
def test_tokens_alone(input_tokens: int, output_tokens: int, price: TokenPrice) -> None:
    """So many tokens cost what a reply costs that used them and tells no more."""
    told = used(input_tokens, output_tokens)
    assert price.tokens_usd(input_tokens, output_tokens) == price.cost_usd(told)


@pytest.mark.parametrize("price", [CharacterPrice(15), AudioPrice(0.006), PagePrice(1), SearchPrice(2)])
def test_tokens_that_are_not_paid(price: AnyPrice) -> None:
    """What is not paid by tokens has no cost that these say."""
    assert price.tokens_usd(100, 10) is None
