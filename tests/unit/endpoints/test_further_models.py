"""Models that a call names beside its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.endpoints.further_models import NAMING, further_models, reach
from gateway.endpoints.openai_call import split_body

FUNCTION = {
    "type": "function",
    "name": "buy",
    "parameters": {"type": "object", "properties": {"model": {"type": "string"}}, "model": "no"},
}


def named(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(model.name, model.field) for model in further_models(split_body(json.dumps(body).encode()))]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"model": "a", "messages": [{"role": "user", "content": '{"models": ["b"]}'}]}, []),
        ({"models": ["b", "c"]}, [("b", "models"), ("c", "models")]),
        ({"fallbacks": [{"model": "b", "max_tokens": 5}]}, [("b", "fallbacks")]),
        ({"fallbacks": ["b"]}, [("b", "fallbacks")]),
        ({"fallbacks": "default", "models": None}, []),
        ({"fallbacks": [{"a": ["b", {"model": "c"}]}]}, [("b", "fallbacks"), ("c", "fallbacks")]),
        (
            {"fallbacks": [{"model": "b", "a": ["c"], "fallbacks": [{"b": ["d"]}]}]},
            [("d", "fallbacks"), ("b", "fallbacks")],
        ),
        (
            {"fallbacks": [{"model": "b", "functions": [{"name": "f"}], "transforms": ["middle-out"]}]},
            [("b", "fallbacks")],
        ),
        (
            {"fallbacks": [{"model": "b", "tools": [FUNCTION, {"type": "advisor_20260301", "model": "c"}]}]},
            [("c", "fallbacks"), ("b", "fallbacks")],
        ),
        (
            {"fallbacks": [{"model": "b", "stop": ["x"], "speed": "fast", "messages": [{"role": "user"}]}]},
            [("b", "fallbacks")],
        ),
        ({"context_window_fallbacks": [{"*": ["b"]}]}, [("b", "context_window_fallbacks")]),
        ({"content_policy_fallbacks": [{"a": ["b"]}]}, [("b", "content_policy_fallbacks")]),
        ({"context_window_fallback_dict": {"a": "b"}}, [("b", "context_window_fallback_dict")]),
        (
            {"router_settings_override": {"num_retries": 1, "fallbacks": [{"a": ["b"]}]}},
            [("b", "router_settings_override")],
        ),
        ({"router_settings_override": [{"fallbacks": ["b"]}], "content_policy_fallbacks": 5}, []),
        (
            {"plugins": [{"id": "web"}, {"id": "fusion", "model": "b", "analysis_models": ["c"]}, "x"]},
            [("b", "plugins"), ("c", "plugins")],
        ),
        ({"preset": "cheap"}, [("@preset/cheap", "preset")]),
        ({"preset": "@preset/cheap"}, [("@preset/cheap", "preset")]),
        ({"preset": {"slug": "cheap"}}, []),
        ({"default_fallbacks": ["b"]}, [("b", "default_fallbacks")]),
        (
            {"model_list": [{"model_name": "a", "litellm_params": {"model": "b", "fallbacks": ["c"]}}]},
            [("c", "model_list"), ("b", "model_list")],
        ),
        (
            {"model_list": [{"model": "b"}, "x", {"litellm_params": {"api_key": "sk-no-model"}}]},
            [("b", "model_list")],
        ),
        (
            {"model_group_alias": {"a": "b", "model": {"model": "c", "hidden": True}}},
            [("b", "model_group_alias"), ("c", "model_group_alias")],
        ),
        ({"model_group_alias": "b", "model_list": {"a": "b"}, "user_config": "b"}, []),
        (
            {
                "user_config": {
                    "model_list": [{"model_name": "a", "litellm_params": {"model": "b", "api_key": "k"}}],
                    "model_group_alias": {"x": "c"},
                    "fallbacks": [{"a": ["d"]}],
                    "default_fallbacks": ["e"],
                    "num_retries": 2,
                }
            },
            [(name, "user_config") for name in "debc"],
        ),
        (
            {"router_settings_override": {"model_group_alias": {"a": "b"}}},
            [("b", "router_settings_override")],
        ),
        (
            {
                "tools": [
                    {"type": "openrouter:fusion", "parameters": {"model": "b", "analysis_models": ["c"]}}
                ]
            },
            [("b", "tools"), ("c", "tools")],
        ),
        (
            {"tools": [{"type": "openrouter:fusion", "parameters": {"analysis_models": ["c"]}}]},
            [("c", "tools")],
        ),
        (
            {
                "tools": [
                    {
                        "type": "openrouter:advisor",
                        "parameters": {
                            "tools": [{"type": "openrouter:subagent", "parameters": {"model": "b"}}]
                        },
                    },
                    {"type": "image_generation", "model": "c"},
                ]
            },
            [("openrouter:advisor", "tools"), ("b", "tools"), ("c", "tools")],
        ),
        (
            {"plugins": [{"id": "fusion", "tools": [{"type": "x", "parameters": {"model": "b"}}]}]},
            [("openrouter/fusion", "plugins"), ("b", "plugins")],
        ),
        (
            {"plugins": [{"id": "fusion", "analysis_models": ["b"]}]},
            [("b", "plugins"), ("openrouter/fusion", "plugins")],
        ),
        ({"plugins": [{"id": "fusion", "enabled": False}, {"id": "web"}]}, []),
        ({"tools": [{"type": "openrouter:fusion"}]}, [("openrouter/fusion", "tools")]),
        (
            {"tools": [{"type": "openrouter:fusion", "parameters": {"analysis_models": [None, ""]}}]},
            [("", "tools"), ("openrouter/fusion", "tools")],
        ),
        (
            {"tools": [{"type": "openrouter:advisor", "parameters": {"model": 7}}]},
            [("openrouter:advisor", "tools")],
        ),
        (
            {"tools": [{"type": "openrouter:fusion", "parameters": {"preset": "general-high"}}]},
            [("openrouter/fusion", "tools")],
        ),
        ({"tools": [{"type": "openrouter:advisor"}]}, [("openrouter:advisor", "tools")]),
        ({"tools": [{"type": "openrouter:subagent", "parameters": 5}]}, [("openrouter:subagent", "tools")]),
        ({"tools": [{"type": "openrouter:advisor", "parameters": {"model": "b"}}]}, [("b", "tools")]),
        (
            {
                "tools": [
                    {
                        "type": "openrouter:advisor",
                        "parameters": {
                            "advisors": [
                                {"name": "x", "model": "b"},
                                {"name": "y", "model": "c", "tools": [{"type": "z", "model": "d"}]},
                            ]
                        },
                    }
                ]
            },
            [("b", "tools"), ("c", "tools"), ("d", "tools")],
        ),
        (
            {
                "tools": [
                    {
                        "type": "openrouter:advisor",
                        "parameters": {"advisors": [{"model": "b"}, {"name": "y"}]},
                    }
                ]
            },
            [("b", "tools"), ("openrouter:advisor", "tools")],
        ),
        ({"tools": [{"type": "openrouter:web_search"}]}, []),
        ({"tools": [{"name": "f", "parameters": {"model": "no", "analysis_models": ["no"]}}]}, []),
        ({"models": "b", "tools": "model"}, [("b", "models")]),
        ({"models": [1, None, ["b"], {"model": 2}], "tools": {"model": "b"}}, []),
        ({"tools": [FUNCTION, "x", None]}, []),
        ({"tools": [FUNCTION, {"type": "advisor_20260301", "model": "b"}]}, [("b", "tools")]),
        (
            {"tools": [{"type": "image_generation", "model": "b", "svg": {"model": "c"}}]},
            [("b", "tools"), ("c", "tools")],
        ),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_named(body: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """In the members that have them, and in no schema or text."""
    assert named(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        rb'{"tools":[{"mod\u0065l":"b"}]}',
        rb'{"tools":[{"\u006Dodel":"b"}]}',
        rb'{"tools":[{"m\u006fdel":"b"}]}',
        rb'{"tools":[{"mo\u0064el":"b"}]}',
        rb'{"tools":[{"mode\u006C":"b"}]}',
        rb'{"mod\u0065ls":["b"]}',
        rb'{"tools":[{"type":"x","parameters":{"\u0061nal\u0079sis\u005fmodels":["b"]}}]}',
        rb'{"tools":[{"type":"x","parameters":{"analysis_model\u0073":["b"]}}]}',
        rb'{"tools":[{"type":"x","parameters":{"analysis_\u006dodels":["b"]}}]}',
    ],
)
def test_escaped_names(body: bytes) -> None:
    """A member is what it is, however it is written."""
    assert [model.name for model in further_models(split_body(body))] == ["b"]


@pytest.mark.parametrize(
    "written", [rb"open\u0072outer:advisor", rb"openrouter\u003aadvisor", rb"\u006Fpenrouter:advisor"]
)
def test_escaped_types(written: bytes) -> None:
    """So is a tool that names nothing."""
    body = b'{"tools":[{"type":"%b"}]}' % written
    assert [model.name for model in further_models(split_body(body))] == ["openrouter:advisor"]


def test_unreadable() -> None:
    """What cannot be read is the provider's to judge: it does not answer such a call."""
    deep = b"[" * 100_000 + b"]" * 100_000
    fields = {"models": msgspec.Raw(deep), "fallbacks": msgspec.Raw(deep)}
    assert list(further_models(fields | {"tools": msgspec.Raw(b'[{"model"')})) == []


def test_documented() -> None:
    """Every member that is looked at is in the table of docs/paths.md."""
    page = (Path(__file__).parents[3] / "docs" / "paths.md").read_text(encoding="utf-8")
    table = page.partition("| member of the body |")[2].partition("\n\n")[0]
    rows = "".join(row.split("|")[1] for row in table.splitlines() if row.startswith("| `"))
    assert set(re.findall("`([^`]+)`", rows)) == NAMING


def test_reach() -> None:
    """They get to who speaks as their caller does, and tools of a chat to Claude."""
    assert reach("openai", "openai")
    assert reach("anthropic", "openai")
    assert not reach("gemini", "openai")
    assert not reach("openai", "anthropic")
