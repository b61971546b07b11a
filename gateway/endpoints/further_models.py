"""Models that a call names beside its own: those that are to answer if it does not, and those of tools.

Pure. Such names are the provider's own and pass as they came, so the right to them has to be looked at here.
Read from the members of a body alone: what a conversation says is nobody's model.

Shapes: https://openrouter.ai/docs/guides/routing/model-fallbacks ,
https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback ,
https://platform.openai.com/docs/guides/tools-image-generation ,
https://docs.litellm.ai/docs/proxy/reliability ,
https://docs.litellm.ai/docs/proxy/clientside_auth ,
https://openrouter.ai/docs/guides/routing/routers/fusion-router ,
https://openrouter.ai/docs/guides/features/server-tools/advisor ,
https://openrouter.ai/docs/guides/features/presets
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from gateway.endpoints.openai_reply import UNREADABLE
from gateway.model import Dialect

_INSTEAD: Final = "models"
_FALLBACKS: Final = (
    "fallbacks",
    # LiteLLM's, whose lists have a name of the model that was asked before those that answer in its place.
    *("context_window_fallbacks", "content_policy_fallbacks", "context_window_fallback_dict"),
    "default_fallbacks",
)
_DEPLOYMENTS: Final = "model_list"
_ALIASES: Final = "model_group_alias"
"""LiteLLM's: what answers to a name."""
_ROUTERS: Final = ("router_settings_override", "user_config")
"""LiteLLM's: each has all of these once more."""

_PRESET: Final = "preset"
_PRESET_MODEL: Final = "@preset/"
"""OpenRouter's, which may answer with any model; this before its name makes it one."""

_PLUGINS: Final = "plugins"
_PANEL: Final = "analysis_models"
"""OpenRouter's: all of them answer, and the model judges."""

_FUSION: Final = "fusion"
_FUSION_TOOL: Final = "openrouter:fusion"
_FUSION_MODEL: Final = "openrouter/fusion"
"""The name as a model of what takes a panel of its own, the dearest models, where a call names none."""

_ADVISERS: Final = ("openrouter:advisor", "openrouter:subagent")
"""Where a call names no model for one, the model that answers takes any it likes, as the prompt told it."""

_PROFILES: Final = "advisors"
"""Of an adviser, each with a model of its own."""

_TOOLS: Final = "tools"
NAMING: Final = frozenset(
    {_INSTEAD, *_FALLBACKS, _DEPLOYMENTS, _ALIASES, *_ROUTERS, _PRESET, _PLUGINS, _TOOLS}
)
"""Members of a body in which they stand."""

# Without one of these in it nothing of a tool is decoded: a name, the end of the other, what may name none,
# and their letters as escapes, none of which descriptions have: by any escape 54 kB took 134 us, so 45.
_MARKS: Final = (b'"model"', b'models"', b"openrouter")
_ESCAPE: Final = b"\\u00"
_LETTERS: Final = (b"\\u006", b"\\u007")
# Where a tool names models: itself, and what it has for the author of a picture.
_PARTS_OF_TOOLS: Final = ("svg",)
_SETTINGS: Final = "parameters"
"""Of a tool that OpenRouter runs; of a function it is a schema."""

# Of a chat Claude gets tools that it runs itself as they came, too.
_WITH_TOOLS: Final[Dialect] = "anthropic"

_DEFAULT: Final = "default"
"""For the fallbacks that the provider itself has for a model."""

_lists: Final = msgspec.json.Decoder(list[Any] | str | None)
_any: Final = msgspec.json.Decoder(dict[str, Any] | list[Any] | str | None)


class FurtherModel(NamedTuple):
    """A model that a call names, by the provider's own name.

    Attributes:
        field: Of the body, where it stands.
    """

    name: str
    field: str


def further_models(fields: Mapping[str, msgspec.Raw]) -> Iterator[FurtherModel]:
    """Those that the members of a body name; what is no list of such is the provider's to judge."""
    yield from _instead(fields)
    preset = _decoded(fields[_PRESET]) if _PRESET in fields else None
    if isinstance(preset, str):
        yield FurtherModel(_PRESET_MODEL + preset.removeprefix(_PRESET_MODEL), _PRESET)
    for plugin in _items(fields.get(_PLUGINS)):
        if isinstance(plugin, dict):
            yield from _panel(plugin, _PLUGINS)
            is_fusion = plugin.get("id") == _FUSION and plugin.get("enabled") is not False
            if is_fusion and not (_has_panel(plugin) and _is_name(plugin.get("model"))):
                yield FurtherModel(_FUSION_MODEL, _PLUGINS)
            yield from _of_tools(_list_of(plugin.get(_TOOLS)), _PLUGINS)
    tools = fields.get(_TOOLS)
    if tools is None:
        return
    written = bytes(tools)
    if not any(mark in written for mark in _MARKS) and not (
        _ESCAPE in written and any(letter in written for letter in _LETTERS)
    ):
        return
    yield from _of_tools(_items(tools), _TOOLS)


def _of_tools(tools: list[Any], field: str) -> Iterator[FurtherModel]:
    left = tools[::-1]
    while left:
        tool = left.pop()
        if not isinstance(tool, dict):
            continue
        for part in (tool, *[tool.get(name) for name in _PARTS_OF_TOOLS]):
            yield from _named(part, field)
        kind, settings = tool.get("type"), tool.get(_SETTINGS)
        if kind in ("function", None):
            continue
        settings = settings if isinstance(settings, dict) else {}
        profiles = [one for one in _list_of(settings.get(_PROFILES)) if isinstance(one, dict)]
        yield from _panel(settings, field)
        for profile in profiles:
            yield from _named(profile, field)
        if kind == _FUSION_TOOL and not _has_panel(settings):
            yield FurtherModel(_FUSION_MODEL, field)
        # The tool's own model stands in for that of a profile without one.
        is_fixed = _is_name(settings.get("model")) or all(
            _is_name(one.get("model")) for one in profiles or [settings]
        )
        if kind in _ADVISERS and not is_fixed:
            yield FurtherModel(kind, field)
        # What an adviser has of its own.
        for one in (settings, *profiles):
            left += _list_of(one.get(_TOOLS))[::-1]


def _panel(settings: dict[str, Any], field: str) -> Iterator[FurtherModel]:
    yield from _named(settings, field)
    yield from _in_place(settings.get(_PANEL), field)


def _instead(fields: Mapping[str, msgspec.Raw]) -> Iterator[FurtherModel]:
    for item in _items(fields.get(_INSTEAD)):
        yield from _named(item if isinstance(item, dict) else {"model": item}, _INSTEAD)
    for field in _FALLBACKS:
        if field in fields:
            yield from _in_place(_decoded(fields[field]), field)
    for field, find in _ROUTED.items():
        if field in fields:
            yield from find(_decoded(fields[field]), field)
    for router in _ROUTERS:
        settings = _decoded(fields[router]) if router in fields else None
        if isinstance(settings, dict):
            for field in _FALLBACKS:
                yield from _in_place(settings.get(field), router)
            for field, find in _ROUTED.items():
                yield from find(settings.get(field), router)


def _deployed(root: Any, field: str) -> Iterator[FurtherModel]:
    for item in _list_of(root):
        for part in (item, item.get("litellm_params") if isinstance(item, dict) else None):
            # What has no model may have a key.
            if isinstance(part, dict) and "model" in part:
                yield from _in_place(part, field)


def _aliased(root: Any, field: str) -> Iterator[FurtherModel]:
    for alias in root.values() if isinstance(root, dict) else ():
        yield from _named(alias if isinstance(alias, dict) else {"model": alias}, field)


_ROUTED: Final = {_DEPLOYMENTS: _deployed, _ALIASES: _aliased}


def _items(raw: msgspec.Raw | None) -> list[Any]:
    if raw is None:
        return []
    try:
        found = _lists.decode(raw)
    except UNREADABLE:
        return []
    if isinstance(found, list):
        return found
    # Some servers take one name in place of a list of them.
    return [found] if isinstance(found, str) and found != _DEFAULT else []


def _decoded(raw: msgspec.Raw) -> Any:
    try:
        return _any.decode(raw)
    except UNREADABLE:
        return None


def _in_place(root: Any, field: str) -> Iterator[FurtherModel]:
    """Names of models in fallbacks of whatever form.

    A name, `{"model": name}` with what the call of that model has of its own, lists of these, and
    `{"asked": [...]}` with a list below any name. Without recursion: how deep it goes is the caller's choice.
    """
    left = [] if root == _DEFAULT else [root]
    while left:
        part = left.pop()
        if isinstance(part, str):
            yield FurtherModel(part, field)
        elif isinstance(part, list):
            left.extend(reversed(part))
        elif isinstance(part, dict):
            # Of a call every other list may be about something else.
            is_call = "model" in part
            names = ("model", *_FALLBACKS) if is_call else part
            left += [part[name] for name in names if isinstance(part.get(name), str | list)]
            yield from _of_tools(_list_of(part.get(_TOOLS)) if is_call else [], field)


def _list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _has_panel(settings: dict[str, Any]) -> bool:
    return any(found.name for found in _in_place(settings.get(_PANEL), _PANEL))


def _named(part: Any, field: str) -> Iterator[FurtherModel]:
    name = part.get("model") if isinstance(part, dict) else None
    if isinstance(name, str):
        yield FurtherModel(name, field)


def reach(target: Dialect, caller: Dialect) -> bool:
    """Whether such names get to a target that speaks *target* from who speaks *caller*."""
    return target in (caller, _WITH_TOOLS)
