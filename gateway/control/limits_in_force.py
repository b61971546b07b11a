"""The rules in force as workers have them, and who is known to be counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from gateway.config import Config, SecretSource
from gateway.identity.compile import compile_rights, known_callers
from gateway.identity.metadata import GivenMetadata
from gateway.limits.alerts import Watches, watches_of
from gateway.limits.compile import compile_limits
from gateway.limits.entities import Known
from gateway.limits.matching import Rules
from gateway.model import Caller
from gateway.snapshot import Snapshot

_MOST_VALUES: Final = 10_000
"""Of one key of the metadata."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What calls have had lately.

    Attributes:
        users: Names of users.
        metadata: Values by key.
    """

    users: Collection[str] = ()
    metadata: Mapping[str, Collection[str]] = field(default_factory=dict)


class View:
    """One configuration, as questions on limits look at it.

    Attributes:
        rules: On limits and budgets.
        watches: Who is told what budgets have spent.
    """

    def __init__(self, config: Config, make_snapshot: Callable[[Config], Snapshot]) -> None:
        """Compile what the event loop looks at; the rest is compiled when it is asked for."""
        self.config = config
        self.rules: Rules = compile_limits(config)
        self.watches: Watches = watches_of(config)
        self._make_snapshot = make_snapshot

    @cached_property
    def snapshot(self) -> Snapshot:
        """What workers go by."""
        return self._make_snapshot(self.config)

    @cached_property
    def callers(self) -> Mapping[tuple[str, str], Caller]:
        """All who can call, by kind and name."""
        rights = compile_rights(self.config, self.targets)
        return {(caller.kind, caller.name): caller for caller in known_callers(self.config, rights)}

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """`<account>/<integration>` of all that are no virtual models."""
        accounts = self.config.provider_accounts
        return tuple(f"{account.name}/{model.name}" for account in accounts for model in account.integrations)

    @cached_property
    def models(self) -> tuple[tuple[str, ...], ...]:
        """The names of everything that can be asked for; an account as a whole is `<account>/`."""
        virtual = dict.fromkeys(self.config.virtual_names().values())
        accounts = [(f"{account.name}/",) for account in self.config.provider_accounts]
        return (*((name,) for name in self.targets), *virtual, *accounts)

    @cached_property
    def given(self) -> GivenMetadata:
        """What calls are given as metadata."""
        return GivenMetadata.of(self.config)

    def teams_of(self, user: str) -> tuple[str, ...]:
        """The teams that *user* is a member of."""
        return self._teams.get(user, ())

    def known(self, seen: Seen) -> Known:
        """Who and what is counted: what is configured, and what was *seen*."""
        users = dict.fromkeys(token.user for token in self.config.access_tokens)
        users |= dict.fromkeys(self._teams)
        users |= dict.fromkeys(seen.users)
        accounts = sorted({account.name for account in self.config.virtual_accounts})
        callers = [Caller(name, frozenset()) for name in accounts]
        callers += [
            Caller(name, frozenset(), kind="user", teams=self.teams_of(name)) for name in sorted(users)
        ]
        return Known(callers, self.models, self._metadata(seen))

    @cached_property
    def _teams(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for team in self.config.teams:
            for member in dict.fromkeys(team.members):
                found[member] = (*found.get(member, ()), team.name)
        return found

    def _metadata(self, seen: Seen) -> Mapping[str, Collection[str]]:
        found: dict[str, dict[str, None]] = {}
        for key, value in (*self._given_values, *_pairs(seen)):
            values = found.setdefault(key, {})
            if len(values) < _MOST_VALUES:
                values[value] = None
        return found

    @cached_property
    def _given_values(self) -> tuple[tuple[str, str], ...]:
        """Keys and values that calls are given, whoever writes them."""
        tags = [
            self.given.to((f"virtualaccount:{account.name}",), account.metadata)
            for account in self.config.virtual_accounts
        ]
        rules = [rule.metadata_override for one in self.config.metadata_configs for rule in one.rules]
        pairs = [pair for one in (*tags, *rules, self.config.default_metadata) for pair in one.items()]
        return tuple(dict.fromkeys(pairs))


def _pairs(seen: Seen) -> Iterator[tuple[str, str]]:
    return ((key, value) for key, values in seen.metadata.items() for value in values)


class LimitsInForce:
    """Keeps the view of the configuration in force. Thread-safe; call it in a thread.

    Attributes:
        secrets: Where references get their values.
    """

    def __init__(
        self,
        find_config: Callable[[], Config],
        make_snapshot: Callable[[Config], Snapshot],
        secrets: SecretSource,
        find_seen: Callable[[], Seen] = Seen,
    ) -> None:
        """Prepare.

        Args:
            find_config: The configuration in force; another object when it has changed.
            make_snapshot: Compiles it as workers do.
            secrets: Where references get their values.
            find_seen: What calls have had.
        """
        self.secrets = secrets
        self._find_config = find_config
        self._make_snapshot = make_snapshot
        self._find_seen = find_seen
        self._lock = threading.Lock()
        self._view: View | None = None

    def view(self) -> View:
        """Of what is in force now."""
        config = self._find_config()
        with self._lock:
            if self._view is None or self._view.config is not config:
                self._view = View(config, self._make_snapshot)
            return self._view

    def known(self) -> Known:
        """Who and what is counted now."""
        return self.view().known(self._find_seen())
