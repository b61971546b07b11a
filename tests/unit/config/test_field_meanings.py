"""What stands below a field is what it means."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Generic, TypeVar

import pytest
from pydantic import BaseModel, Field, create_model

from gateway.config.field_meanings import meanings_of

_T = TypeVar("_T")


class House(BaseModel):
    rooms: int
    """How many.

    Kitchens too.
    """
    street: str
    number: int = Field(default=1, description="On the door.")
    owner_name: str = Field(default="", alias="ownerName")
    """Who owns it."""
    "Not about the owner."
    garden: str = ""
    """Behind it."""


class Castle(House):
    """Has its own words for some."""

    rooms: int = 100
    """Very many."""
    garden: str = ""
    towers: int = 4
    """Round ones."""


class Shelter(BaseModel, Generic[_T]):
    holds: _T
    """Who is inside."""


def test_a_field_means_its_docstring() -> None:
    """By the name in a manifest; a description in the field itself counts too, and others have none."""
    assert meanings_of(House) == {
        "rooms": "How many.\n\nKitchens too.",
        "number": "On the door.",
        "ownerName": "Who owns it.",
        "garden": "Behind it.",
    }


def test_what_is_written_anew_means_what_it_says_there() -> None:
    """If anything; the rest is inherited."""
    assert meanings_of(Castle) == {
        "rooms": "Very many.",
        "number": "On the door.",
        "ownerName": "Who owns it.",
        "towers": "Round ones.",
    }


def test_a_model_of_another_means_the_same() -> None:
    """A generic one with its argument has no source of its own."""
    assert meanings_of(Shelter[int]) == {"holds": "Who is inside."}


def test_a_made_model_means_what_its_fields_say() -> None:
    """It has no source either."""
    made = create_model("Hut", __base__=House, door=(str, Field(default="", description="Of wood.")))
    assert meanings_of(made) == {**meanings_of(House), "door": "Of wood."}


def test_without_source_there_is_no_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed as bytecode alone, everything else works."""
    module = ModuleType("without_source")
    module.__file__ = "without_source.pyc"
    monkeypatch.setitem(sys.modules, "without_source", module)
    made = create_model("Ruin", __module__="without_source", door=(str, Field(description="Gone.")))
    assert meanings_of(made) == {"door": "Gone."}
