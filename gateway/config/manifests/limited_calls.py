"""What rules on limits and on budgets share: which calls they are about, and what is counted apart."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import AfterValidator, Field, Strict

from gateway.config.manifests.logging_config import ValueFilter
from gateway.config.manifests.part import Part, Patterns, Text, wrong

_PER: Final = re.compile(r"user|virtualaccount|model|metadata\..+", re.DOTALL)


def _check_per(text: str) -> str:
    if text == "team":
        # TrueFoundry's examples have it, their types do not. A user may be in several.
        raise wrong("teams are not counted apart", "Write a rule for each, with subjects: [team:<name>]")
    if not _PER.fullmatch(text):
        raise wrong(
            "not something that is counted apart", "Write user, virtualaccount, model or metadata.<key>"
        )
    return text


Per = Annotated[Text, AfterValidator(_check_per)]

LimitCount = Annotated[int, Strict(), Field(ge=0, le=1_000_000_000_000_000)]
"""Requests or tokens."""


class RuleWhen(Part):
    """Which calls a rule is about; every part must match."""

    subjects: Patterns = None
    """Who calls: patterns of `user:<email>`, `team:<name>`, `virtualaccount:<name>`.

    Without it, or with an empty list: all.
    """
    models: Patterns = None
    """What is asked for, or what answers: patterns of `<account>/<model>`.

    Without it, or with an empty list: every model.
    """
    metadata: dict[str, str] = Field(default_factory=dict)
    """Keys and values that the metadata of a call must have."""


class MetadataFilter(Part):
    """Which values match, compared as they are."""

    in_: tuple[str, ...] | None = Field(default=None, alias="in")
    """Only these; without it all, and calls without the key."""
    not_in: tuple[str, ...] = ()
    """Never these."""


class MemberSubjects(Part):
    """Which members of a team call; who is in one list is meant."""

    users: ValueFilter = ValueFilter()
    """Users, by their email."""
    virtual_accounts: ValueFilter = ValueFilter()
    """Virtual accounts, by their name."""


class Subjects(MemberSubjects):
    """Who calls; who is in one list is meant."""

    teams: ValueFilter = ValueFilter()
    """Members of teams, by the teams' names."""


class MembersWhen(Part):
    """Which calls of a team's members it is about; every part must match."""

    subjects: MemberSubjects = MemberSubjects()
    """Who calls."""
    models: ValueFilter = ValueFilter()
    """What is asked for, or what answers: patterns of `<account>/<model>`."""
    provider_accounts: ValueFilter = ValueFilter()
    """The account of that."""
    metadata: dict[str, MetadataFilter] = Field(default_factory=dict)
    """By key: the values that the metadata of a call must or must not have."""


class When(MembersWhen):
    """Which calls it is about; every part must match."""

    subjects: Subjects = Subjects()
    """Who calls."""


_L = TypeVar("_L", bound=Part)


class UserOverride(Part, Generic[_L]):
    """Other limits for some users."""

    users: tuple[Text, ...]
    """With `per-user`: their emails."""
    limits: _L
    """Their limits, in place of all that the rule has for others."""


class VirtualAccountOverride(Part, Generic[_L]):
    """Other limits for some virtual accounts."""

    virtual_accounts: tuple[Text, ...]
    """With `per-virtual-account`: their names."""
    limits: _L
    """Their limits, in place of all that the rule has for others."""


class ModelOverride(Part, Generic[_L]):
    """Other limits for some models."""

    models: tuple[Text, ...]
    """With `per-model`: their names."""
    limits: _L
    """Their limits, in place of all that the rule has for others."""


class MetadataOverride(Part, Generic[_L]):
    """Other limits for some values."""

    metadata_values: tuple[str, ...]
    """With `metadata`: the values."""
    limits: _L
    """Their limits, in place of all that the rule has for others."""


class Aggregate(Part):
    """All calls are counted together."""

    type: Literal["aggregate"]


class PerUser(Part, Generic[_L]):
    """Each user has the limits alone."""

    type: Literal["per-user"]
    overrides: tuple[UserOverride[_L], ...] = ()
    """Other limits for some."""


class PerVirtualAccount(Part, Generic[_L]):
    """Each virtual account has the limits alone."""

    type: Literal["per-virtual-account"]
    overrides: tuple[VirtualAccountOverride[_L], ...] = ()
    """Other limits for some."""


class PerModel(Part, Generic[_L]):
    """Each model has the limits alone."""

    type: Literal["per-model"]
    overrides: tuple[ModelOverride[_L], ...] = ()
    """Other limits for some."""


class PerMetadata(Part, Generic[_L]):
    """Each value of a key of the metadata has the limits alone."""

    type: Literal["metadata"]
    metadata: Text
    """With `metadata`: the key."""
    overrides: tuple[MetadataOverride[_L], ...] = ()
    """Other limits for some."""


AnyPer = Aggregate | PerUser[Any] | PerVirtualAccount[Any] | PerModel[Any] | PerMetadata[Any]
"""What is counted apart, whatever the limits are."""
