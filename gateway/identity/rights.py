"""Which models a caller may use, worked out from what the configuration says, once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.config.manifests.known import VIRTUAL_MODELS
from gateway.config.manifests.role import EVERYTHING, ModelGrant
from gateway.config.manifests.virtual_model import VirtualModelAccount

_VIRTUAL: Final = VIRTUAL_MODELS.removeprefix("provider-account/")
_NOTHING: Final[frozenset[str]] = frozenset()


class Granted(NamedTuple):
    """What the configuration says that a caller may use.

    Attributes:
        patterns: Of `<account>/<integration>`, slugs and aliases.
        grants: Of accounts and of single models.
    """

    patterns: tuple[str, ...]
    grants: tuple[ModelGrant, ...] = ()


@dataclass(frozen=True, slots=True)
class Usable:
    """What that comes to.

    Attributes:
        models: Their full names.
        accounts: Provider accounts as a whole.
    """

    models: frozenset[str]
    accounts: frozenset[str]


class Rights:
    """Who may use what; callers with the same rights share one set.

    A virtual model is one of the models by its full name, whichever of its names the right was written with:
    slugs and aliases may look like models of another account.
    """

    def __init__(
        self,
        models: Iterable[str],
        providers: Mapping[str, str],
        groups: Sequence[VirtualModelAccount] = (),
        *,
        shared: Mapping[str, Sequence[ModelGrant]] = MappingProxyType({}),
        reserved: Mapping[str, frozenset[str]] = MappingProxyType({}),
    ) -> None:
        """Prepare.

        Args:
            models: `<account>/<integration>` of all that are no virtual models.
            providers: Of each account that has some.
            groups: The virtual models.
            shared: What subjects may use beside what is said of each caller.
            reserved: The subjects that alone may use a model, whatever rights others have, by its name.
        """
        self._shared = shared
        self._reserved = reserved
        self._providers = providers
        self._groups = frozenset(group.name for group in groups)
        self._full_names = {name: name for name in models}
        for group in groups:
            for model in group.integrations:
                name = f"{group.name}/{model.name}"
                self._full_names |= dict.fromkeys((name, *model.other_names), name)
        self._of_account: dict[str, set[str]] = {}
        for name in self._full_names.values():
            self._of_account.setdefault(name.partition("/")[0], set()).add(name)
        self._matched: dict[str, frozenset[str]] = {}
        self._usable: dict[tuple[Granted, frozenset[str]], Usable] = {}

    def of(self, granted: Granted, subjects: frozenset[str] = frozenset()) -> Usable:
        """What whoever has these *subjects* may use with *granted*."""
        shared = self._shared
        if shared and (named := subjects & shared.keys()):
            more = [grant for subject in sorted(named) for grant in shared[subject]]
            granted = Granted(granted.patterns, (*granted.grants, *more))
        kept_from = _NOTHING
        if self._reserved:
            kept_from = frozenset(
                [model for model, allowed in self._reserved.items() if allowed.isdisjoint(subjects)]
            )
        found = self._usable.get((granted, kept_from))
        if found is None:
            matched = [self._matching(pattern) for pattern in granted.patterns]
            by_grants = [self._granted(grant) for grant in granted.grants]
            # Who may use an account as a whole reaches all its models, by paths that name none.
            closed = {model.partition("/")[0] for model in kept_from}
            found = Usable(
                frozenset().union(*matched, *by_grants) - kept_from, self._accounts(granted) - closed
            )
            self._usable[granted, kept_from] = found
        return found

    def named(self, kind: str) -> frozenset[str]:
        """Names of the subjects of a *kind* (`user`) to whom something is shared or reserved."""
        subjects = frozenset(self._shared).union(*self._reserved.values())
        return frozenset(
            subject.removeprefix(f"{kind}:") for subject in subjects if subject.startswith(f"{kind}:")
        )

    def _accounts(self, granted: Granted) -> frozenset[str]:
        """Names of the provider accounts that may be used as a whole.

        What says so is a pattern for every model of one (`main/*`, `*`) or a permission without a model, and
        not that all models it has today are listed: the right must not grow or shrink with that list.
        """
        owners = [pattern[:-2] for pattern in granted.patterns if pattern.endswith("/*")]
        if "*" in granted.patterns or EVERYTHING in granted.grants:
            owners.append("*")
        named = {
            grant.account
            for grant in granted.grants
            if grant.integration is None and self._providers.get(grant.account) == grant.provider
        }
        return frozenset(
            name
            for name in self._providers
            if name in named or any(fnmatchcase(name, owner) for owner in owners)
        )

    def _matching(self, pattern: str) -> frozenset[str]:
        if pattern in self._full_names:
            return frozenset((self._full_names[pattern],))
        found = self._matched.get(pattern)
        if found is None:
            found = frozenset(
                full_name for name, full_name in self._full_names.items() if fnmatchcase(name, pattern)
            )
            self._matched[pattern] = found
        return found

    def _granted(self, grant: ModelGrant) -> frozenset[str]:
        if grant == EVERYTHING:
            return frozenset(self._full_names.values())
        provider = _VIRTUAL if grant.account in self._groups else self._providers.get(grant.account)
        if provider != grant.provider:
            return frozenset()
        names = self._of_account.get(grant.account, set())
        if grant.integration is not None:
            return frozenset(names & {f"{grant.account}/{grant.integration}"})
        return frozenset(names)
