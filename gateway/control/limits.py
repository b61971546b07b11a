"""What is used of limits and budgets: `GET /api/limits/usage`, `/my-usage`, `POST /api/limits/simulate`.

Nothing is charged here. Shown are the counters that calls are admitted by, for all that is known by name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.in_turn import InTurn
from gateway.control.json_body import BodyRefused, read_object
from gateway.control.limit_rows import caller_json, row_of
from gateway.control.limits_in_force import LimitsInForce, View
from gateway.control.operator import operator_of
from gateway.control.references import refuse_new_references
from gateway.control.replies import error_reply, invalid_reply, json_reply
from gateway.control.simulation import Asked, NotAsked, ProposedWrong, asked_in, simulate
from gateway.errors import InvalidApiKey
from gateway.limits.entities import METADATA, NOBODY, Known, meters_of
from gateway.limits.readings import CounterReader, Reading
from gateway.limits.rules import Meter, Rule
from gateway.model import Caller

MY_USAGE: Final = "/api/limits/my-usage"
"""Open to whoever has a token of the gateway, which is checked here."""

MAX_METERS: Final = 100_000
"""Counters of one answer; what is beyond is left out."""

_PAGE: Final = 50
_MAX_PAGE: Final = 1000
_MAX_DIGITS: Final = 9
_PARAMETERS: Final = frozenset(
    {"limit", "cursor", "rule", "type", "team", "unit", "entity", "min_percentage"}
)


@dataclass(frozen=True, slots=True)
class _Question:
    """What is wanted.

    Attributes:
        texts: What rows must have, exactly.
        entity: For whom they count, under whichever name.
    """

    limit: int
    start: int
    texts: Mapping[str, str]
    entity: str | None
    min_percentage: float

    def wants(self, meter: Meter) -> bool:
        """Whether it is to be read at all."""
        rule = meter.rule
        has = {"rule": rule.id, "type": rule.source, "team": rule.when.team, "unit": meter.limit.name}
        is_one = self.entity is None or self.entity in meter.entity
        return is_one and all(has[key] == text for key, text in self.texts.items())


@dataclass(frozen=True, slots=True)
class LimitsSource:
    """Where the answers come from.

    Attributes:
        in_force: The rules.
        reader: What is counted.
    """

    in_force: LimitsInForce
    reader: CounterReader

    async def usage(self, question: _Question) -> dict[str, Any]:
        """The body of the answer: those with the greatest share of their limit first."""
        meters, is_cut = await asyncio.to_thread(self._meters_for_all, question)
        return await self._page(meters, question, is_cut=is_cut)

    async def my_usage(self, caller: Caller, question: _Question) -> dict[str, Any]:
        """The same of what counts for *caller*."""
        meters = await asyncio.to_thread(self._meters_for, caller, question)
        page = await self._page(meters, question, is_cut=False)
        return {"caller": caller_json(caller), **page}

    async def simulate(self, asked: Asked) -> dict[str, Any]:
        """What a call would be told."""
        return await simulate(self.in_force, self.reader, asked)

    def identify(self, request: Request) -> Caller:
        """Whose token a request has.

        Raises:
            InvalidApiKey: None that is good here.
        """
        return self.in_force.view().snapshot.identity.identify(StarletteHeaders(request))

    def _meters_for_all(self, question: _Question) -> tuple[list[Meter], bool]:
        view = self.in_force.view()
        return _first(
            meter for meter in meters_of(view.rules.every(), self.in_force.known()) if question.wants(meter)
        )

    def _meters_for(self, caller: Caller, question: _Question) -> list[Meter]:
        view = self.in_force.view()
        known = Known(
            [caller], _models_of(caller, view), {key: [value] for key, value in caller.tags.items()}
        )
        rules = [rule for rule in view.rules.every() if _may_count(rule, caller)]
        own = (meter for meter in meters_of(rules, known) if _is_of(caller, meter))
        return _first(meter for meter in own if question.wants(meter))[0]

    async def _page(self, meters: Sequence[Meter], question: _Question, *, is_cut: bool) -> dict[str, Any]:
        read = await self.reader.read(meters)
        rows = await asyncio.to_thread(_sorted, read.each, question.min_percentage)
        end = question.start + question.limit
        return {
            "usage": [row_of(reading) for reading in rows[question.start : end]],
            "counted_by": read.counted_by,
            "is_cut": is_cut,
            "next_cursor": str(end) if len(rows) > end else None,
        }


class StarletteHeaders:
    """`gateway.model.Headers` of a request to the control API, as far as tokens are looked for."""

    def __init__(self, request: Request) -> None:
        self._headers = request.headers

    def get(self, name: str) -> str | None:
        """The value, several of one name joined; None when absent."""
        values = self._headers.getlist(name)
        return ", ".join(values) if values else None

    def get_all(self, name: str) -> list[str]:
        """Every value of that name."""
        return self._headers.getlist(name)

    def starting_with(self, prefix: str) -> list[str]:
        """Names that do."""
        return [name for name in dict.fromkeys(self._headers.keys()) if name.startswith(prefix)]

    def raw(self, names: Sequence[bytes]) -> tuple[bytes | None, ...]:
        """Values as they came."""
        wanted = frozenset(names)
        return tuple([value for name, value in self._headers.raw if name in wanted])


def limits_routes(source: LimitsSource) -> list[Route]:
    """The routes of this room."""
    simulations = InTurn()

    async def usage(request: Request) -> Response:
        return await _answer(source.usage(_read(request)))

    async def my_usage(request: Request) -> Response:
        caller = await asyncio.to_thread(source.identify, request)
        return await _answer(source.my_usage(caller, _read(request)))

    async def simulated(request: Request) -> Response:
        body = await read_object(request)
        async with simulations:
            if not operator_of(request).is_admin:
                view = await asyncio.to_thread(source.in_force.view)
                known = [document.body for document in view.config.documents]
                refuse_new_references(body.get("manifests"), known)
            return await _answer(source.simulate(asked_in(body)))

    return [
        Route("/api/limits/usage", _refusing(usage), methods=["GET"]),
        Route(MY_USAGE, _refusing(my_usage), methods=["GET"]),
        Route("/api/limits/simulate", _refusing(simulated), methods=["POST"]),
    ]


_Endpoint = Callable[[Request], Awaitable[Response]]


def _refusing(endpoint: _Endpoint) -> _Endpoint:
    """*endpoint* with what it raises as answers."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BodyRefused as error:
            return error.reply()
        except NotAsked as error:
            return error_reply(400, "invalid_parameter", str(error))
        except InvalidApiKey as error:
            return error_reply(401, "invalid_api_key", error.message, dict(error.headers))
        except ProposedWrong as error:
            return invalid_reply("the manifests that are proposed have errors", error.problems)

    return answer


async def _answer(making: Awaitable[dict[str, Any]]) -> Response:
    return json_reply(await making)


def _models_of(caller: Caller, view: View) -> list[tuple[str, ...]]:
    """What *caller* may ask for."""
    mine = caller.models | {f"{account}/" for account in caller.accounts}
    return [names for names in view.models if names[0] in mine]


def _may_count(rule: Rule, caller: Caller) -> bool:
    """Whether *rule* is about *caller*, whose calls may have any metadata beside what they are given."""
    when, given = rule.when, caller.tags
    return when.matches_caller(caller.subjects) and all(
        values.passes(given[key]) for key, values in when.metadata.items() if key in given
    )


def _is_of(caller: Caller, meter: Meter) -> bool:
    """Whether *meter* counts under metadata that calls of *caller* are given.

    Values that overrides name are other people's: a customer is not told what another one spends.
    """
    pairs = zip(meter.rule.per, meter.entity, strict=True)
    return all(
        value == caller.tags.get(one.removeprefix(METADATA), NOBODY)
        for one, value in pairs
        if one.startswith(METADATA)
    )


def _first(meters: Iterable[Meter]) -> tuple[list[Meter], bool]:
    found: list[Meter] = []
    for meter in meters:
        if len(found) >= MAX_METERS:
            return found, True
        found.append(meter)
    return found, False


def _sorted(readings: Sequence[Reading], least: float) -> list[Reading]:
    wanted = [reading for reading in readings if reading.percentage >= least]
    return sorted(wanted, key=_order)


def _order(reading: Reading) -> tuple[float, str, str, tuple[str, ...], str]:
    rule = reading.meter.rule
    return -reading.percentage, rule.source, rule.id, reading.meter.entity, reading.meter.limit.name


def _read(request: Request) -> _Question:
    pairs = request.query_params.multi_items()
    given = dict(pairs)
    unknown = sorted(given.keys() - _PARAMETERS)
    if unknown or len(given) < len(pairs):
        what = f"'{unknown[0][:40]}' is no parameter" if unknown else "a parameter is given twice"
        raise NotAsked(f"{what}; there are {', '.join(sorted(_PARAMETERS))}, each once")
    limit = _number(given, "limit", _PAGE)
    if not 0 < limit <= _MAX_PAGE:
        raise NotAsked(f"'limit' is a number from 1 to {_MAX_PAGE}")
    try:
        least = float(given.get("min_percentage") or 0)
    except ValueError as error:
        raise NotAsked("'min_percentage' is a number, such as 75") from error
    texts = {key: given[key] for key in ("rule", "type", "team", "unit") if given.get(key)}
    return _Question(limit, _number(given, "cursor", 0), texts, given.get("entity") or None, least)


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise NotAsked(f"'{name}' is a number")
    return int(text)
