"""Plain data is walked along its model: aliases, lists, mappings, choices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from gateway.config.manifests.part import Headers, Part, Secret
from gateway.config.shape import (
    attribute_of,
    fields_of,
    find_part,
    item_annotation,
    secrets_in,
    tags_of,
    unknown_fields,
    written_path,
)


class Cat(Part):
    type: Literal["cat"]
    lives: int = 9


class Dog(Part):
    type: Literal["dog", "puppy"]
    name: str = ""
    collar: Secret | None = None


Pet = Annotated[Cat | Dog, Field(discriminator="type")]


class Home(Part):
    owned_by: str = Field(default="", alias="ownedBy")
    pet: Pet | None = None
    pets: tuple[Pet, ...] = ()
    by_room: dict[str, Cat] = Field(default_factory=dict)
    headers: Headers = Field(default_factory=dict)
    free: dict[str, Any] = Field(default_factory=dict)


def test_fields_go_by_the_name_in_the_manifest() -> None:
    """The alias where there is one."""
    assert list(fields_of(Home)) == ["ownedBy", "pet", "pets", "by_room", "headers", "free"]
    assert attribute_of(Home, "ownedBy") == "owned_by"
    assert attribute_of(Home, "pet") == "pet"


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        pytest.param(Home, {}, Home, id="itself"),
        pytest.param(Home | None, "x", Home, id="optional, whatever the value"),
        pytest.param(Pet, {"type": "puppy"}, Dog, id="by tag"),
        pytest.param(Pet | None, {"type": "cat"}, Cat, id="by tag, optional"),
        pytest.param(Pet, {"type": "cow"}, None, id="unknown tag"),
        pytest.param(Pet, {}, None, id="no tag"),
        pytest.param(Pet, [], None, id="no mapping"),
        pytest.param(str, {}, None, id="no model"),
        pytest.param(None, {}, None, id="nothing"),
    ],
)
def test_which_model_a_value_is_read_as(annotation: Any, value: Any, expected: type[Part] | None) -> None:
    """One model, or the one that the tag names."""
    assert find_part(annotation, value) is expected


def test_tags() -> None:
    """In the order of the models."""
    assert tags_of(Pet | None) == ("cat", "dog", "puppy")


def test_items() -> None:
    """Of lists and mappings, also optional ones."""
    assert item_annotation(tuple[int, ...] | None) is int
    assert item_annotation(dict[str, Cat]) is Cat
    assert item_annotation(int) is None


def test_unknown_fields_at_any_depth() -> None:
    """Paths and models; what is free-form, or not what its model says, is not looked into."""
    value = {
        "owned_by": "x",
        "pet": {"type": "dog", "livse": 1},
        "pets": [{"type": "cat", "lives": 1}, {"type": "cat", "tail": 1}, {"type": "cow", "milk": 1}, "text"],
        "by_room": {"kitchen": {"type": "cat", "mice": 3}},
        "headers": {"x-anything": "y"},
        "free": {"anything": {"goes": 1}},
    }
    assert list(unknown_fields(Home, value)) == [
        (("owned_by",), Home),
        (("pet", "livse"), Dog),
        (("pets", 1, "tail"), Cat),
        (("by_room", "kitchen", "mice"), Cat),
    ]


@pytest.mark.parametrize(
    ("location", "path"),
    [
        pytest.param(("pet", "dog", "name"), ("pet", "name"), id="tag of a choice"),
        pytest.param(("pets", 1, "cat", "lives"), ("pets", 1, "lives"), id="tag in a list"),
        pytest.param(
            ("by_room", "cat", "lives"), ("by_room", "cat", "lives"), id="a key that looks like a tag"
        ),
        pytest.param(("ownedBy",), ("ownedBy",), id="plain"),
        pytest.param(("pets", 7), ("pets", 7), id="what is not there"),
    ],
)
def test_pydantic_s_locations(location: tuple[str | int, ...], path: tuple[str | int, ...]) -> None:
    """The tags that it puts in between are taken out."""
    value = {
        "pet": {"type": "dog", "name": 1, "dog": {}},
        "pets": [{}, {"type": "cat"}],
        "by_room": {"cat": {"type": "cat"}},
    }
    assert written_path(Home, value, location)[0] == path


def test_secrets_with_their_paths() -> None:
    """Wherever they are, by the names of the manifest."""
    home = Home.model_validate(
        {
            "pets": [{"type": "cat"}, {"type": "dog", "collar": "env:A"}],
            "headers": {"x-b": "Bearer env:B"},
            "free": {"c": "env:C"},
        }
    )
    assert [(path, secret.shown) for path, secret in secrets_in(home)] == [
        (("pets", 1, "collar"), "env:A"),
        (("headers", "x-b"), "env:B"),
    ]
