"""docs/configuration.md lists every flag, type and field, as they are."""

from __future__ import annotations

import argparse
import json
import re
import types
import typing
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Union

import pytest
import yaml
from pydantic.fields import FieldInfo

from gateway.cli import make_parser
from gateway.config import SecretSource, check, metadata_environment
from gateway.config.field_meanings import meanings_of
from gateway.config.manifests.cost import Cost
from gateway.config.manifests.known import IN_FORCE
from gateway.config.manifests.load_balancing import AnyRouting
from gateway.config.manifests.part import Part
from gateway.config.manifests.vendors import VENDOR_ACCOUNTS, VENDORS
from gateway.config.not_in_force import FIELDS, ITEMS, VALUES
from gateway.config.shape import fields_of
from gateway.settings import OPTIONS
from gateway.supervisor.unknown_variables import KNOWN
from gateway.telemetry import metadata_labels

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
PAGE: Final = (DOCS / "configuration.md").read_text(encoding="utf-8")
_ROW: Final = re.compile(r"^\| `([^`]+)` \|(.*?)\| (.*) \|$", re.MULTILINE)
# Listed once, in sections of their own.
_PRICES: Final = "cost"
_ROUTES: Final = ("routing_config", "load_balance_targets", "sticky_routing", "hedging")
_OVERRIDES: Final = "load_balance_targets[].override_params"
_PROMPT: Final = "override_params.prompt_version_fqn"
_ROUTINGS: Final = typing.get_args(AnyRouting)
# One section for all, which cannot have what differs between them.
_WITH_KEY: Final = "Accounts with a key"
_OF_EACH_VENDOR: Final = {"base_url": "the vendor's", "integrations[].type": "`integration/model/<vendor>`"}
_OF_ONE_VENDOR: Final = frozenset(switch.field for vendor in VENDORS for switch in vendor.switches)


def title_of(kind: str) -> str:
    """The heading of the section that has this type."""
    return _WITH_KEY if kind in VENDOR_ACCOUNTS else f"`{kind}`"


def documented_for(kind: str) -> dict[str, tuple[str, str]]:
    """What the page says of the fields that this type has; of others' fields in its section nothing."""
    rows = documented(title_of(kind))
    if kind in VENDOR_ACCOUNTS:
        rows = {path: row for path, row in rows.items() if path not in _OF_ONE_VENDOR - _fields(kind)}
    return rows


def _fields(kind: str) -> set[str]:
    return set(expected([IN_FORCE[kind]]))


def section(title: str) -> str:
    """The text below a heading, to the next one."""
    [text] = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def documented(title: str) -> dict[str, tuple[str, str]]:
    """Default and meaning of each field in a section's table."""
    rows = [(path, (default.strip(), meaning)) for path, default, meaning in _ROW.findall(section(title))]
    assert len(rows) == len(dict(rows)), "a field is listed twice"
    return dict(rows)


def members(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) is Annotated:
        yield from members(typing.get_args(annotation)[0])
    elif typing.get_origin(annotation) in (Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from members(member)
    else:
        yield annotation


def parts_in(annotation: Any) -> Iterator[tuple[type[Part], str]]:
    """The models that a field holds, and what its path gets: `[]` when it is a list of them."""
    for member in members(annotation):
        if typing.get_origin(member) is tuple:
            for inner in members(typing.get_args(member)[0]):
                if isinstance(inner, type) and issubclass(inner, Part):
                    yield inner, "[]"
        elif isinstance(member, type) and issubclass(member, Part):
            yield member, ""


def shown_default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is None or isinstance(default, Part) or default in ((), {}):
        return ""
    if isinstance(default, bool | tuple):
        return f"`{json.dumps(default)}`"
    return f"`{default}`"


def expected(
    parts: Iterable[type[Part]], prefix: str = "", elsewhere: Collection[str] = (_PRICES, *_ROUTES)
) -> dict[str, tuple[str, FieldInfo, str]]:
    """Default, field and meaning of each path below *parts*, which are choices for the same place.

    Of a field that is listed *elsewhere* what is below it is left out.
    """
    found: dict[str, tuple[str, FieldInfo, str]] = {}
    for part in parts:
        for name, field in fields_of(part).items():
            path = prefix + name
            meaning = meanings_of(part).get(name, "")
            found.setdefault(path, (shown_default(field), field, meaning))
            for inner, suffix in parts_in(field.annotation) if name not in elsewhere else ():
                found = expected([inner], f"{path}{suffix}.", elsewhere) | found
    return found


@pytest.mark.parametrize("kind", IN_FORCE)
def test_every_field_with_its_default(kind: str) -> None:
    """A section for each type in force, a row for each field at any depth."""
    shared = _OF_EACH_VENDOR if kind in VENDOR_ACCOUNTS else {}
    assert {path: default for path, (default, _) in documented_for(kind).items()} == {
        path: shared.get(path, default) for path, (default, *_) in expected([IN_FORCE[kind]]).items()
    }


def test_every_field_of_prices() -> None:
    """All kinds of price share one table."""
    rows = documented("Prices")
    found = expected([part for part, _ in parts_in(Cost)])
    assert {path: default for path, (default, _) in rows.items()} == {
        path: default for path, (default, *_) in found.items()
    }


def test_every_field_of_routes() -> None:
    """All strategies share one table."""
    fields = expected(_ROUTINGS, elsewhere=())
    rows = documented("Routes")
    assert {path: default for path, (default, _) in rows.items()} == {
        path: default for path, (default, *_) in fields.items()
    }
    assert f"`{_PROMPT.partition('.')[2]}` is *not in force*" in rows[_OVERRIDES][1]
    for path, (_, meaning) in rows.items():
        assert ("*Extension" in meaning) == fields[path][2].endswith("Extension."), path
        choices = {
            choice
            for member in members(fields[path][1].annotation)
            if typing.get_origin(member) is typing.Literal
            for choice in typing.get_args(member)
        }
        assert all(f"`{choice}`" in meaning for choice in choices), path


@pytest.mark.parametrize("kind", IN_FORCE)
def test_extensions_are_marked(kind: str) -> None:
    """What a manifest for TrueFoundry may not have is said, row by row."""
    fields = expected([IN_FORCE[kind]])
    for path, (_, meaning) in documented_for(kind).items():
        is_extension = fields[path][2].endswith("Extension.")
        is_marked = "*Extension" in meaning and f"but for `{kind.partition('/')[2]}`" not in meaning
        assert is_marked == is_extension, path


@pytest.mark.parametrize("kind", IN_FORCE)
def test_what_is_not_in_force_is_marked(kind: str) -> None:
    """Exactly the rows of the table in `not_in_force`."""
    outside = {pattern.replace(".*", "[]") for pattern in FIELDS.get(kind, ())}
    outside |= {f"{row.part.replace('.*', '[]')}.{row.key}" for row in VALUES.get(kind, ())}
    outside |= {ITEMS[kind].part} if kind in ITEMS else set()
    marked = {path for path, (_, text) in documented_for(kind).items() if "not in force" in text.lower()}
    assert marked == {path for path in outside if not path.endswith(f".{_PROMPT}")}


def test_every_choice_is_listed() -> None:
    """A field that takes one of several words names each of them."""
    for kind, model in IN_FORCE.items():
        rows = documented_for(kind)
        for path, (_, field, _) in expected([model]).items():
            for member in members(field.annotation):
                for choice in typing.get_args(member) if typing.get_origin(member) is typing.Literal else ():
                    default, meaning = rows[path]
                    shown = f"`{choice}`".replace(f"/{kind.partition('/')[2]}`", "/<vendor>`")
                    said = meaning + default
                    assert f"`{choice}`" in said or shown in said or meaning.startswith("As above"), (
                        kind,
                        path,
                        choice,
                    )


def test_every_flag() -> None:
    """With its variable and default."""
    rows = re.findall(
        r"^\| `--([a-z-]+)(?: ([A-Z]+))?` \| `(\w+)` \| (\S.*?) \|",
        section("Flags and environment"),
        re.MULTILINE,
    )
    assert [(flag, placeholder, variable) for flag, placeholder, variable, _ in rows] == [
        (option.flag, option.placeholder, option.variable) for option in OPTIONS
    ]
    for (flag, _, _, default), option in zip(rows, OPTIONS, strict=True):
        if option.default is not None:
            assert default == f"`{option.default}`", flag
        else:
            assert not default.startswith("`"), flag


def test_every_other_variable() -> None:
    """What the code looks up in the environment by a name of its own, and is no flag's."""
    read = {
        match
        for file in sorted((DOCS.parent / "gateway").rglob("*.py"))
        for match in re.findall(r"""environ(?:\.get\(|\[)"([A-Z_]+)\"""", file.read_text(encoding="utf-8"))
    }
    known = KNOWN - {option.variable for option in OPTIONS}
    for variable in read | known | {metadata_environment.VARIABLE, metadata_labels.VARIABLE}:
        assert f"`{variable}`" in PAGE, variable


def test_every_command() -> None:
    """`serve` has the table of its flags; of all others the page says what there is."""
    [told] = re.findall(r"^Other commands: (.*?)\n\n", PAGE, re.MULTILINE | re.DOTALL)
    documented = dict(re.findall(r"`gateway ([a-z][a-z-]+)(?: ([a-z|]+))?[ `]", told))
    commands = _commands(make_parser())
    commands.pop("serve")
    assert {name: "|".join(actions) for name, actions in commands.items()} == documented


def _commands(parser: argparse.ArgumentParser) -> dict[str, list[str]]:
    """The commands of a parser, each with its own."""
    return {
        name: list(_commands(command))
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, command in action.choices.items()
    }


@pytest.mark.parametrize("command", [name for name in _commands(make_parser()) if name != "serve"])
def test_flags_of_other_commands(command: str) -> None:
    """Each stands on the page that the list of commands leads to, but for those that `serve` has too."""
    [told] = re.findall(r"^Other commands: (.*?)\n\n", PAGE, re.MULTILINE | re.DOTALL)
    page = re.search(rf"`gateway {command}[^`]*`\s\(\[[^]]*\]\(([\w-]+\.md)", told)
    text = (DOCS / page[1]).read_text(encoding="utf-8") if page else PAGE
    of_serve = {f"--{option.flag}" for option in OPTIONS}
    flags = set(_flags(make_parser(), command)) - of_serve - {"--help"}
    assert {flag for flag in flags if not flag.startswith("--no-")} <= set(re.findall(r"--[a-z-]+", text))


def _flags(parser: argparse.ArgumentParser, command: str) -> Iterator[str]:
    """All of a command, those of its own commands among them."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                if command in ("", name):
                    yield from _flags(inner, "")
        elif not command:
            yield from (flag for flag in action.option_strings if flag.startswith("--"))


def test_the_example_is_right(tmp_path: Path) -> None:
    """What newcomers copy has no finding."""
    text = next(block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "type:" in block)
    (tmp_path / "m.yaml").write_text(text)
    secrets = SecretSource({"OPENAI_API_KEY": "k", "APP1_TOKEN": "t"})
    assert check.check(tmp_path, strict=True, secrets=secrets).problems == ()
    assert len(list(yaml.safe_load_all(text))) == 2
