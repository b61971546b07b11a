"""List prices of the catalogue that comes with `genai-prices`: figures are those of its pinned version."""

from __future__ import annotations

from datetime import date
from typing import Any, get_args

import pytest
from genai_prices.data import providers

from gateway.endpoints.anthropic_reply import read_message_usage
from gateway.model import Usage
from gateway.pricing import catalogue
from gateway.pricing.catalogue import PROVIDERS, find_entry
from gateway.pricing.price import AnyPrice, AudioPrice, CharacterPrice, PagePrice, Rates, TokenPrice

DAY = date(2026, 11, 1)
ELSEWHERE = "https://proxy.example/v1"
SONNET = TokenPrice(
    Rates(3, 15, cache_read=0.3, cache_write=3.75, cache_write_1h=6),
    ((200_001, Rates(6, 22.5, cache_read=0.6, cache_write=7.5, cache_write_1h=12)),),
)


def price_of(
    kind: str, model_id: str, base_url: str = ELSEWHERE, day: date = DAY, discount: float = 0
) -> AnyPrice | None:
    entry = find_entry(kind, base_url, model_id, day=day, discount_percent=discount)
    return None if entry is None else entry.price


@pytest.mark.parametrize(
    ("kind", "model_id", "expected"),
    [
        ("openai", "gpt-4o", TokenPrice(Rates(2.5, 10, cache_read=1.25))),
        ("openai", "gpt-4o-mini-2024-07-18", TokenPrice(Rates(0.15, 0.6, cache_read=0.075))),
        ("openai", "text-embedding-3-small", TokenPrice(Rates(0.02, 0))),
        ("openai", "tts-1", CharacterPrice(15)),
        ("openai", "whisper-1", AudioPrice(0.006)),
        ("anthropic", "claude-sonnet-4-5-20250929", SONNET),
        ("azure-openai", "gpt-4o", TokenPrice(Rates(2.5, 10, cache_read=1.25))),
        ("azure-foundry", "claude-sonnet-4-5", SONNET),
        (
            "google-gemini",
            "gemini-2.5-pro",
            TokenPrice(Rates(1.25, 10, cache_read=0.125), ((200_001, Rates(2.5, 15, cache_read=0.25)),)),
        ),
        (
            "google-vertex",
            "gemini-2.5-flash",
            TokenPrice(Rates(0.3, 2.5, cache_read=0.03, cache_read_audio=0.1, audio_input=1)),
        ),
        (
            "openai",
            "gpt-realtime-mini",
            TokenPrice(
                Rates(
                    *(0.6, 2.4, 0.06),
                    cache_read_audio=0.3,
                    cache_read_image=0.08,
                    audio_input=10,
                    image_input=0.8,
                    audio_output=20,
                )
            ),
        ),
        ("aws-bedrock", "amazon.nova-lite-v1:0", TokenPrice(Rates(0.06, 0.24, cache_read=0.015))),
        (
            "aws-bedrock",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            TokenPrice(Rates(3.3, 16.5, cache_read=0.33, cache_write=4.125, cache_write_1h=6.6)),
        ),
        ("groq", "llama-3.3-70b-versatile", TokenPrice(Rates(0.59, 0.79))),
        ("groq", "whisper-large-v3", AudioPrice(0.111 / 60)),
        ("mistral-ai", "mistral-large-latest", TokenPrice(Rates(2, 6))),
        ("mistral-ai", "mistral-ocr-2512", PagePrice(2, 3)),
        ("xai", "grok-4", TokenPrice(Rates(3, 15, cache_read=0.75))),
        ("together-ai", "meta-llama/Llama-3.3-70B-Instruct-Turbo", TokenPrice(Rates(0.88, 0.88))),
        ("perplexity-ai", "sonar", TokenPrice(Rates(1, 1), call_usd=0.012)),
        ("openrouter", "openai/gpt-4o", TokenPrice(Rates(2.5, 10, cache_read=1.25))),
        ("cohere", "embed-v4.0", TokenPrice(Rates(0.12, 0))),
        ("cerebras", "gpt-oss-120b", TokenPrice(Rates(0.35, 0.75))),
        ("databricks", "databricks-gte-large-en", TokenPrice(Rates(0.13, 0))),
        ("openai", "my-finetune", None),
        ("azure-openai", "my-deployment", None),
        ("openai", "", None),
        ("self-hosted-model", "gpt-4o", None),
        ("ollama", "llama3.3", None),
        ("deepinfra", "meta-llama/Llama-3.3-70B-Instruct", None),
        ("openrouter", "google/gemma-3-27b-it:free", None),
    ],
)
def test_list_price(kind: str, model_id: str, expected: AnyPrice | None) -> None:
    """A model is found by the kind of its account and its id; the unknown has no price, not one of 0."""
    assert price_of(kind, model_id) == expected


@pytest.mark.parametrize(
    ("base_url", "model_id", "expected"),
    [
        ("https://api.anthropic.com/v1", "claude-sonnet-4-5", SONNET),
        ("https://api.groq.com/openai/v1", "llama-3.3-70b-versatile", TokenPrice(Rates(0.59, 0.79))),
        ("https://api.openai.com/v1", "gpt-4o", TokenPrice(Rates(2.5, 10, cache_read=1.25))),
        ("https://acct.openai.azure.com/openai", "gpt-4o", TokenPrice(Rates(2.5, 10, cache_read=1.25))),
        ("http://127.0.0.1:8000/v1", "gpt-4o", None),
    ],
)
def test_provider_by_its_address(base_url: str, model_id: str, expected: AnyPrice | None) -> None:
    """A provider that is reached through an account of another kind has its own prices."""
    assert price_of("self-hosted-model", model_id, base_url) == expected


def test_address_wins_over_the_kind() -> None:
    """OpenAI's kind of account at Groq's address has Groq's price of a model that both sell."""
    model_id = "openai/gpt-oss-120b"
    at_groq = price_of("openai", model_id, "https://api.groq.com/openai/v1")
    assert at_groq == price_of("groq", model_id) != price_of("openai", model_id)


def test_tier_begins_above_its_number() -> None:
    """The catalogue's tier of 200,000 is for calls of more, that of 199,999 for calls of 200,000."""
    price = price_of("anthropic", "claude-sonnet-4-5")
    assert price is not None
    million = 1_000_000
    assert price.cost_usd(Usage(200_000, 10, "provider")) == (200_000 * 3 + 10 * 15) / million
    assert price.cost_usd(Usage(200_001, 10, "provider")) == (200_001 * 6 + 10 * 22.5) / million


@pytest.mark.parametrize(
    "host",
    [
        "us-central1-aiplatform.googleapis.com",
        "aiplatform.googleapis.com",
        "aiplatform.eu.rep.googleapis.com",
    ],
)
def test_vertex(host: str) -> None:
    """Whatever the host: Gemini with its dearer long prompts, and Claude by the name that it has there."""
    location = f"https://{host}/v1/projects/p/locations/l/publishers"
    gemini = find_entry("google-vertex", f"{location}/google", "gemini-2.5-pro", day=DAY)
    assert gemini is not None
    assert gemini.price == price_of("google-gemini", "gemini-2.5-pro")
    claude = find_entry("google-vertex", f"{location}/anthropic", "claude-sonnet-4-5@20250929", day=DAY)
    assert claude is not None
    assert claude.price is not None
    million = 1_000_000
    assert claude.price.cost_usd(Usage(200_000, 10, "provider")) == (200_000 * 3 + 10 * 15) / million
    assert claude.price.cost_usd(Usage(200_001, 10, "provider")) == (200_001 * 6 + 10 * 22.5) / million
    assert find_entry("google-vertex", f"{location}/openapi", "meta/llama-4", day=DAY) is None


def test_discount() -> None:
    """It is taken off every rate, tier and fee."""
    assert price_of("openai", "gpt-4o", discount=20) == TokenPrice(Rates(2, 8, cache_read=1))
    assert price_of("perplexity-ai", "sonar", discount=50) == TokenPrice(Rates(0.5, 0.5), call_usd=0.006)
    assert price_of("google-gemini", "gemini-2.5-pro", discount=10) == TokenPrice(
        Rates(1.125, 9, cache_read=0.1125), ((200_001, Rates(2.25, 13.5, cache_read=0.225)),)
    )
    assert price_of("openai", "gpt-4o", discount=100) == TokenPrice(Rates(0, 0, cache_read=0))
    assert price_of("mistral-ai", "mistral-ocr-2512", discount=50) == PagePrice(1, 1.5)


def test_price_that_changes() -> None:
    """The price is that of the day: o3 became cheaper in June 2025."""
    before = price_of("openai", "o3", day=date(2025, 6, 9))
    after = price_of("openai", "o3", day=date(2025, 6, 10))
    assert before == TokenPrice(Rates(10, 40, cache_read=0.5))
    assert after == TokenPrice(Rates(2, 8, cache_read=0.5))


def test_price_by_the_hour_is_that_of_noon() -> None:
    """An account cannot know the hour of a call when its prices are worked out."""
    entry = find_entry("openai", "https://api.deepseek.com/v1", "deepseek-chat", day=date(2025, 8, 1))
    assert entry is not None
    assert entry.price == TokenPrice(Rates(0.27, 1.1, cache_read=0.07))


def test_context_window() -> None:
    """It is known or None; a model may be known without a price."""
    entry = find_entry("openai", ELSEWHERE, "gpt-4o", day=DAY)
    assert entry is not None
    assert entry.context_window == 128_000
    unpriced = find_entry("google-gemini", ELSEWHERE, "gemma-3-27b-it", day=DAY)
    assert unpriced is not None
    assert unpriced.price is None


def test_every_provider_is_in_the_catalogue() -> None:
    """A kind of account is mapped to a provider that is there."""
    assert set(PROVIDERS.values()) <= {provider.id for provider in providers}


def test_every_model_of_the_catalogue_has_a_price_that_counts() -> None:
    """None of its entries is misread: a thousand tokens, seconds, characters or pages cost 0 or more."""
    usage = Usage(1000, 1000, "provider", audio_s=1000.0, input_characters=1000, pages=1000)
    urls = {"x-ai": "https://api.x.ai/v1", "aws": "https://bedrock-runtime.us-east-1.amazonaws.com"}
    found = 0
    for provider in providers:
        if provider.id not in PROVIDERS.values():
            continue
        [kind, *_] = [kind for kind, name in PROVIDERS.items() if name == provider.id]
        for model in provider.models:
            price = price_of(kind, model.id, urls.get(provider.id, ELSEWHERE))
            assert price is None or isinstance(price, get_args(AnyPrice))
            if price is not None:
                cost = price.cost_usd(usage)
                assert cost is not None
                assert cost >= 0
                found += 1
    assert found > 1000


def claude_usage(read: int, created: tuple[int, int], fresh: int, output: int) -> dict[str, Any]:
    """As Anthropic reports it: *created* for five minutes and for an hour."""
    return {
        "input_tokens": fresh,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": sum(created),
        "cache_creation": {
            "ephemeral_5m_input_tokens": created[0],
            "ephemeral_1h_input_tokens": created[1],
        },
        "output_tokens": output,
    }


@pytest.mark.parametrize(
    ("model_id", "reported", "input_tokens", "cost_usd"),
    [
        # Sonnet 4.5, in USD per million: 3 fresh, 0.30 read, 3.75 and 6 written, 15 of output.
        # 1000 x 3 + 10000 x 0.3 + 3000 x 3.75 + 2000 x 6 + 500 x 15 = 36750
        ("claude-sonnet-4-5", claude_usage(10_000, (3000, 2000), 1000, 500), 16_000, 0.03675),
        # 10 x 3 + 2000 x 3.75 + 100 x 15 = 9030
        ("claude-sonnet-4-5", claude_usage(0, (2000, 0), 10, 100), 2010, 0.00903),
        # Beyond 200,000 of input, cached ones among them: 150000 x 6 + 60000 x 0.6 + 1000 x 22.5 = 958500
        ("claude-sonnet-4-5", claude_usage(60_000, (0, 0), 150_000, 1000), 210_000, 0.9585),
        # Haiku 4.5: 1, 0.10, 1.25, 2, 5. 400 x 1 + 600 x 0.1 + 50 x 5 = 710
        ("claude-haiku-4-5-20251001", claude_usage(600, (0, 0), 400, 50), 1000, 0.00071),
        # Opus 4.1: 15, 1.50, 18.75, 30, 75. 100 x 15 + 100 x 30 + 10 x 75 = 5250
        ("claude-opus-4-1", claude_usage(0, (0, 100), 100, 10), 200, 0.00525),
    ],
    ids=["all", "written", "tier", "read", "for an hour"],
)
def test_cost_of_claude(model_id: str, reported: dict[str, Any], input_tokens: int, cost_usd: float) -> None:
    """From Anthropic's own count to the money, each token once; computed by hand beside each."""
    usage = read_message_usage(reported)
    assert usage is not None
    assert usage.input_tokens == input_tokens
    price = price_of("anthropic", model_id)
    assert price is not None
    assert price.cost_usd(usage) == pytest.approx(cost_usd, rel=1e-12)


@pytest.mark.parametrize(
    ("model_id", "input_usd"),
    [
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", 3.3),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", 3.3),
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", 3.3),
        ("jp.anthropic.claude-sonnet-4-5-20250929-v1:0", 3.3),
        ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", 3.0),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0", 3.3),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            3.0,
        ),
        ("apac.amazon.nova-lite-v1:0", 0.06),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", 0.06),
        ("us.meta.llama3-1-70b-instruct-v1:0", 0.72),
        ("mistral.mistral-7b-instruct-v0:2", 0.15),
        ("amazon.titan-embed-text-v2:0", 0.02),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123", None),
    ],
)
def test_models_of_bedrock(model_id: str, input_usd: float | None) -> None:
    """By id, by inference profile, by ARN; a profile of one's own says no model, and has no price."""
    price = price_of("aws-bedrock", model_id, "https://vpce.test")
    assert (price.base.input if isinstance(price, TokenPrice) else None) == input_usd


def test_models_that_replies_name_take_no_memory_for_ever() -> None:
    """A server may name another one each time, and each may look like one of the list."""
    for number in range(5000):
        assert price_of("anthropic", f"claude-opus-4-6-{number}") is not None
    kept = catalogue._find_model.cache_info()
    assert kept.currsize == kept.maxsize == 4096
    assert not catalogue._catalogue._lookup_cache
