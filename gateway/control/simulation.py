"""What limits and budgets would say of a call: asked as a worker asks, and nothing is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.config import Document, Problem
from gateway.config.check import check_documents
from gateway.config.document import UNNAMED
from gateway.config.manifests.metadata_config import MAX_CHARACTERS, MAX_KEYS
from gateway.config.secrets import SecretSource
from gateway.control.limit_rows import caller_json, in_units, row_of
from gateway.control.limits_in_force import LimitsInForce, View
from gateway.endpoints.catalogue import CHAT
from gateway.endpoints.openai_call import unread_call
from gateway.errors import GatewayError, InvalidApiKey, LimitsUnavailable
from gateway.limits.compile import compile_limits
from gateway.limits.matching import Asking, Rules
from gateway.limits.permit import CallPermit, LimitPolicy
from gateway.limits.readings import CounterReader, Readings
from gateway.limits.rules import Meter
from gateway.limits.stated_need import StatedNeed
from gateway.model import Caller, CallFacts, Charge, Correction, Decision, LimitKind, Plan, unknown

LIMIT_TYPES: Final = frozenset(
    {
        "gateway-rate-limiting-config",
        "gateway-budget-config",
        "tenant-rate-limit-config/model",
        "tenant-budget-config",
        "team-budget-config",
    }
)
_MOST_MANIFESTS: Final = 1_000
_MOST_TARGETS: Final = 32
_MOST_TOKENS: Final = 1 << 40
_TOKENS: Final = ("input_tokens", "output_tokens")


class NotAsked(ValueError):
    """The body does not say what is asked; the message is for the client."""


class ProposedWrong(Exception):
    """What is proposed has errors.

    Attributes:
        problems: All of them.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("the manifests have errors")
        self.problems = tuple(problems)


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of a question.

    Attributes:
        token: Of the caller, in the place of its name.
        manifests: Rules in the place of those in force.
    """

    model: str
    user: str = ""
    virtual_account: str = ""
    team: str = ""
    teams: tuple[str, ...] = ()
    token: str = ""
    metadata: dict[str, str] = {}
    input_tokens: int = 0
    output_tokens: int = 0
    manifests: tuple[dict[str, Any], ...] | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"Asked({self.model!r})"


def asked_in(body: Mapping[str, Any]) -> Asked:
    """What a body asks.

    Raises:
        NotAsked: It says something else, or not enough.
    """
    try:
        asked = msgspec.convert(body, Asked)
    except msgspec.ValidationError as error:
        raise NotAsked(str(error)) from error
    who = [name for name in ("user", "virtual_account", "token") if getattr(asked, name)]
    has_teams = bool(asked.team or asked.teams)
    if len(who) > 1 or not (who or has_teams):
        raise NotAsked("say who calls by one of 'user', 'virtual_account' and 'token', or by 'team' alone")
    if has_teams and who not in ([], ["user"]):
        raise NotAsked("'team' and 'teams' are those of a 'user'")
    if asked.manifests is not None and len(asked.manifests) > _MOST_MANIFESTS:
        raise NotAsked(f"'manifests' are at most {_MOST_MANIFESTS}")
    if not all(0 <= getattr(asked, name) <= _MOST_TOKENS for name in _TOKENS):
        raise NotAsked(f"{' and '.join(_TOKENS)} are numbers from 0 to {_MOST_TOKENS}")
    metadata = asked.metadata
    if len(metadata) > MAX_KEYS or any(
        len(text) > MAX_CHARACTERS for pair in metadata.items() for text in pair
    ):
        raise NotAsked(
            f"'metadata' has at most {MAX_KEYS} keys, and texts of at most {MAX_CHARACTERS} characters"
        )
    return asked


async def simulate(in_force: LimitsInForce, reader: CounterReader, asked: Asked) -> dict[str, Any]:
    """What a call would be told.

    Raises:
        NotAsked: The token is none of the gateway.
        ProposedWrong: What is proposed has errors.
    """
    view = await asyncio.to_thread(in_force.view)
    caller, is_known = await asyncio.to_thread(_caller, view, asked)
    rules: Rules = view.rules
    warnings: tuple[Problem, ...] = ()
    if asked.manifests is not None:
        rules, warnings = await asyncio.to_thread(_proposed_rules, view, in_force.secrets, asked.manifests)
    metadata = {**asked.metadata, **caller.tags}
    told: dict[str, Any] = {
        "caller": {**caller_json(caller), "is_known": is_known},
        "model": asked.model,
        "metadata": metadata,
        "problems": [problem.to_dict() for problem in warnings],
    }
    snapshot = await asyncio.to_thread(lambda: view.snapshot)
    call = unread_call(CHAT, asked.model)
    try:
        facts = CallFacts(caller, CHAT, _NoHeaders(), metadata, call)
        plan = snapshot.routing.plan(asked.model, facts)
    except GatewayError as error:
        return {**told, "allowed": False, "answered_by": None, "refusal": _refusal(error), "rules": []}
    settings = view.config.global_settings
    status = settings.budget_settings.refusal_status
    refuses_alone = reader.is_of_replicas and settings.limit_settings.when_redis_is_away == "refuse"
    looking = _Looking(reader, refuses_alone=refuses_alone)
    need = StatedNeed(plan.targets, asked.input_tokens, asked.output_tokens)
    name = asked.model if plan.route is not None else plan.targets[0].name
    simulated = _Simulation(looking, LimitPolicy(rules, status), Asking(caller, name, metadata, need), plan)
    return {**told, **await simulated.run()}


class _Simulation:
    """One call."""

    def __init__(self, looking: _Looking, policy: LimitPolicy, asking: Asking, plan: Plan) -> None:
        self._looking = looking
        self._policy = policy
        self._asking = asking
        self._plan = plan

    async def run(self) -> dict[str, Any]:
        """What it would be told."""
        plan, asking = self._plan, self._asking
        permit = CallPermit(self._looking, self._policy, asking)
        await permit.admit(plan)
        answered_by = None
        if not permit.is_refused:
            for target in plan.targets[:_MOST_TARGETS]:
                if await permit.admit_target(target):
                    answered_by = target.name
                    break
        rows = await self._rows(permit)
        refusal = None if answered_by is not None else permit.refusal
        return {
            "allowed": answered_by is not None,
            "answered_by": answered_by,
            "refusal": _refusal(refusal) if isinstance(refusal, GatewayError) else None,
            "rules": rows,
        }

    async def _rows(self, permit: CallPermit) -> list[dict[str, Any]]:
        """Every rule that is about it, in order: for what is asked, then for each target."""
        asking, rules = self._asking, self._policy.rules
        of_call = rules.of_call(asking.caller, asking.model, asking.metadata)
        pairs: list[tuple[Meter, str]] = [(meter, "") for meter in of_call]
        for target in self._plan.targets[:_MOST_TARGETS]:
            of_target = rules.of_target(asking.caller, asking.model, target.name, asking.metadata)
            pairs += [(meter, target.name) for meter in of_target]
        amounts = [self._amount(meter, target) for meter, target in pairs]
        read = await self._looking.reader.read([meter for meter, _ in pairs], amounts)
        refused = {
            (note.rule, note.kind, note.target, note.limit)
            for note in permit.notes
            if note.outcome == "refused"
        }
        return list(_told(read, pairs, refused, is_unknown=isinstance(permit.refusal, LimitsUnavailable)))

    def _amount(self, meter: Meter, target: str) -> int:
        kind = meter.limit.kind
        return 1 if kind in ("requests", "parallel") else self._asking.need.amount(kind, target)


def _told(
    read: Readings,
    pairs: Sequence[tuple[Meter, str]],
    refused: Collection[tuple[str, LimitKind, str, int]],
    *,
    is_unknown: bool,
) -> list[dict[str, Any]]:
    rows = []
    for reading, (meter, target) in zip(read.each, pairs, strict=True):
        limit = meter.limit
        outcome = "allowed" if reading.has_room else "exceeded"
        if (meter.rule.id, limit.kind, target, limit.amount) in refused and (
            is_unknown or not reading.has_room
        ):
            outcome = "refused"
        row = row_of(reading)
        rows.append(
            {
                **row,
                "target": target or None,
                "needs": in_units(limit.kind, reading.amount),
                "may_refuse": meter.is_enforced,
                "outcome": outcome,
            }
        )
    return rows


class _Looking:
    """`gateway.limits.permit.Till` that takes nothing: what it answers is what would be counted.

    Attributes:
        reader: What is counted.
    """

    def __init__(self, reader: CounterReader, *, refuses_alone: bool) -> None:
        """Look at what *reader* has; without what replicas share nothing is admitted that *refuses_alone*."""
        self.reader = reader
        self._refuses_alone = refuses_alone

    def now_s(self) -> float:
        """Unix time."""
        return self.reader.now_s()

    async def reserve(self, charges: Sequence[Charge]) -> Decision:
        """What taking them would answer."""
        decision = await self.reader.usage(charges)
        is_alone = self._refuses_alone and not decision.is_shared
        if is_alone and any(charge.is_enforced for charge in charges):
            return unknown(charges, decision)
        if decision.refused is not None:
            return decision
        after = [had + charge.amount for had, charge in zip(decision.used, charges, strict=True)]
        return msgspec.structs.replace(decision, used=tuple(after))

    def settle(self, corrections: Sequence[Correction]) -> None:
        """Nothing was taken."""

    def replied(self, target: str, output_tokens: int) -> None:
        """There is no reply."""

    def micro_usd(self, cost_usd: float) -> int:
        """Nothing was spent."""
        del cost_usd
        return 0


class _NoHeaders:
    """`gateway.model.Headers` of a call that nobody sent."""

    def __init__(self, token: str = "") -> None:
        self._token = token

    def get(self, name: str) -> str | None:
        """The token, where that is looked for."""
        return self._token if name == "x-tfy-api-key" and self._token else None

    def get_all(self, name: str) -> list[str]:
        """The same."""
        value = self.get(name)
        return [] if value is None else [value]

    def starting_with(self, _prefix: str) -> list[str]:
        """None."""
        return []

    def raw(self, _names: Sequence[bytes]) -> tuple[bytes | None, ...]:
        """None."""
        return ()


def _caller(view: View, asked: Asked) -> tuple[Caller, bool]:
    """Who calls, and whether it is somebody of the configuration."""
    if asked.token:
        # As headers have it: their bytes as Latin-1.
        token = asked.token.encode(errors="replace").decode("latin-1")
        try:
            return view.snapshot.identity.identify(_NoHeaders(token)), True
        except InvalidApiKey as error:
            raise NotAsked(f"'token': {error.message}") from error
    kind = "virtualaccount" if asked.virtual_account else "user"
    name = asked.virtual_account or asked.user
    found = view.callers.get((kind, name))
    teams = tuple(dict.fromkeys((*([asked.team] if asked.team else []), *asked.teams)))
    if found is not None and not teams:
        return found, True
    models = frozenset(names[0] for names in view.models)
    rights = models if found is None else found.models
    of_user = tuple(dict.fromkeys((*view.teams_of(name), *teams)))
    caller = (
        Caller(name, rights) if kind == "virtualaccount" else Caller(name, rights, kind="user", teams=of_user)
    )
    # Rules may be about anybody, and about the teams that were named.
    return replace(caller, tags=view.given.to(caller.subjects)), found is not None


def _proposed_rules(
    view: View, secrets: SecretSource, manifests: Sequence[Mapping[str, Any]]
) -> tuple[Rules, tuple[Problem, ...]]:
    """The rules that would hold, and what is worth a warning."""
    documents = [_document(body, at) for at, body in enumerate(manifests)]
    problems = [
        document.error(
            ("type",), "not a manifest of limits or budgets", f"Write {', '.join(sorted(LIMIT_TYPES))}"
        )
        for document in documents
        if document.type not in LIMIT_TYPES
    ]
    names: set[tuple[str, str]] = set()
    for document in documents:
        if (document.type, document.name) in names:
            problems.append(document.error(("name",), "two manifests have this type and name", "Rename one"))
        names.add((document.type, document.name))
    if problems:
        raise ProposedWrong(problems)
    others = [document for document in view.config.documents if document.type not in LIMIT_TYPES]
    checked = check_documents([*others, *documents], strict=False, secrets=secrets)
    files = {document.file for document in documents}
    own = tuple(problem for problem in checked.problems if problem.file in files)
    if checked.config is None:
        raise ProposedWrong([problem for problem in own if problem in checked.errors] or checked.errors)
    return compile_limits(checked.config), own


def _document(body: Mapping[str, Any], at: int) -> Document:
    kind, name = body.get("type"), body.get("name")
    return Document(
        kind if isinstance(kind, str) else "",
        name if isinstance(name, str) else UNNAMED,
        body,
        Path(f"manifests.{at}"),
        1,
    )


def _refusal(error: GatewayError) -> dict[str, Any]:
    headers = dict(error.headers)
    after = headers.get("retry-after")
    return {
        "status": error.status,
        "code": error.code,
        "message": error.message,
        "retry_after_s": None if after is None else int(after),
    }
