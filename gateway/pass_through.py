"""Calls that are passed on as they are: every path of either API that is no call of a model, and any other.

    identify           identity                  401, before a byte of the body is read
    read               edge, wire                the head of the body: 400, 408, 413
    plan               routing                   which account: 400, 404, 403, 503
    pass on            upstream, relay           the body while it comes, the reply while it comes

The entry, the exit and the trace are the pipeline's. What differs from a call of a model: the call is for an
account, nothing is translated, and neither body nor reply is held, but for their beginnings.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Final
from urllib.parse import quote, unquote

from msgspec import structs

from gateway.attempt import Upstream, read_wishes, whole_limit_s
from gateway.endpoints.anthropic_paths import is_long
from gateway.endpoints.call_limits import CallLimits
from gateway.endpoints.long_json import OF_PASSED
from gateway.endpoints.object_ids import ids_asked
from gateway.endpoints.openai_call import full_name, model_named, split_body, unread_call
from gateway.endpoints.openai_paths import FORM_CALLS, needs_no_account
from gateway.endpoints.openai_reply import BYTES_PER_TOKEN, MEDIA_BYTES_PER_TOKEN
from gateway.endpoints.passing_calls import costs_tokens
from gateway.endpoints.provider_path import (
    ACCOUNT_PARAMETER,
    MODEL_PARAMETER,
    OwnParameters,
    check_path,
    join_url,
    models_in_query,
    own_location,
    read_query,
    rename_in_query,
    with_query,
    words_in,
)
from gateway.errors import (
    AccountRequired,
    BodyTooLarge,
    ClientDisconnected,
    GatewayError,
    InvalidBody,
    InvalidJson,
    UnsupportedParameter,
)
from gateway.failover import UNOBSERVED
from gateway.limits.estimate import Estimate
from gateway.limits.output_sizes import OutputSizes
from gateway.model import (
    Call,
    Caller,
    CallFacts,
    Client,
    Dialect,
    Endpoint,
    HeaderPairs,
    Passage,
    Plan,
    Price,
    Target,
    Usage,
)
from gateway.passed_body import (
    MAX_HEAD_BYTES,
    Form,
    HeldBody,
    HeldCall,
    HeldJson,
    PassedBody,
    StreamedBody,
    data_in,
    too_large,
)
from gateway.pipeline import Pipeline, check_further, refuse_encoding
from gateway.pricing.samplings import cost_of_all
from gateway.providers.headers import names_an_account
from gateway.providers.passage_headers import listed_headers, passage_headers, unlisted_headers
from gateway.relay import Adapt, relay_reply
from gateway.responder import Answer, Responder
from gateway.routing.accounts import HOW_TO_NAME
from gateway.routing.route import Route
from gateway.routing.stored import Origin
from gateway.settlement import MAY_HAVE_MEDIA_BYTES, guess_again
from gateway.snapshot import Snapshot
from gateway.telemetry.call_notes import read_notes
from gateway.telemetry.call_trace import AttemptTrace, CallTrace
from gateway.upstream.auth.aws import MAX_SIGNED_BYTES
from gateway.wire.multipart import find_boundary

PASSED_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""Methods that are passed on; a reply to HEAD would have no end that could be seen."""

_SLASH: Final = re.compile("%2f", re.IGNORECASE)
_MODEL_PATH: Final = "/models/{model}"
_FORM: Final = "multipart/form-data"


def _unchanged(headers: HeaderPairs) -> HeaderPairs:
    return headers


@dataclass(frozen=True, slots=True)
class Asked:
    """What a path asks for.

    Attributes:
        path: Below the provider's base URL, as it was written.
        prefix: What stood before it here; a redirect of the provider gets it in front again.
        account: Named by the path itself, "" when it is not.
        dialect: Whose API has the path; None for a path of an API that is not known here.
        root: Base URL that the path is below, "" for the account's own.
        plan: Where it goes, if that is known already, and that the caller may.
        adapt: What the caller gets of the reply's headers.
        has_long_ids: An id in the path may have slashes in it, which are escaped there.
    """

    endpoint: Endpoint
    path: str
    prefix: str
    account: str = ""
    dialect: Dialect | None = "openai"
    root: str = ""
    plan: Plan | None = None
    adapt: Adapt = _unchanged
    has_long_ids: bool = False

    @property
    def calls_model(self) -> bool:
        """It is a call of a model, which its form names."""
        return self.dialect == "openai" and self.endpoint.path in FORM_CALLS

    @property
    def checked_path(self) -> str:
        """The path as it is to be looked at: whatever a server makes of an escaped slash must be harmless."""
        return _SLASH.sub("/", self.path) if self.has_long_ids else self.path


def names_account(client: Client) -> bool:
    """Whether a call says, beside its path, which account it is for."""
    if client.headers.get("x-tfy-provider-name") or client.headers.get("x-tfy-model-name"):
        return True
    return ACCOUNT_PARAMETER in client.query or MODEL_PARAMETER in client.query


class PassThrough:
    """Takes such calls through their stages."""

    def __init__(
        self, pipeline: Pipeline, upstream: Upstream, *, max_body_bytes: int, max_upload_bytes: int
    ) -> None:
        """Wire the stages.

        Args:
            pipeline: Has the entry and the exit of every request.
            upstream: The provider's side.
            max_body_bytes: Longest JSON body, which is held whole.
            max_upload_bytes: Longest body that is sent on while it comes.
        """
        self._pipeline = pipeline
        self.admit = pipeline.admit
        self._read_body = pipeline.read_body
        self.at_home = pipeline.at_home
        self.failover = pipeline.failover
        self._upstream = upstream
        self._max_body_bytes = max_body_bytes
        self._max_upload_bytes = max_upload_bytes

    async def serve(self, client: Client, asked: Asked) -> None:
        """Answer a call."""

        async def stages(responder: Responder, snapshot: Snapshot) -> None:
            caller = snapshot.identity.identify(client.headers)
            responder.trace.identified(caller)
            await self.cross(responder, snapshot, caller, _without_account(asked, snapshot))

        await self._pipeline.serve(client, asked.endpoint, stages)
        # The provider may have answered before it had heard everything.
        await self._pipeline.drop_body(client)

    async def cross(self, responder: Responder, snapshot: Snapshot, caller: Caller, asked: Asked) -> None:
        """Take a call of a known *caller* through its stages."""
        check_path(asked.checked_path)
        await _Crossing(self, responder, snapshot, caller, asked).run()

    async def body_of(self, responder: Responder, naming: _Naming, asked: Asked) -> PassedBody:
        """The body of a call: whole if it is short or JSON, else its beginning and the rest as it comes."""
        client, trace = responder.client, responder.trace
        if not client.has_body:
            return HeldBody(b"")
        declared = client.declared_bytes
        if declared is not None and declared > self._max_upload_bytes:
            raise too_large(self._max_upload_bytes)
        kind = (client.headers.get("content-type") or "").strip()
        is_form = kind[: len(_FORM)].lower() == _FORM
        is_json = "json" in kind.lower() or not kind
        if asked.calls_model:
            refuse_encoding(client)
            if not is_form and not is_json and not naming.may_be_unread:
                raise _unreadable(asked.endpoint)
        if asked.dialect == "openai" and is_form:
            hold = partial(self._pipeline.hold, client, trace)
            form = Form(client, find_boundary(kind), naming, self._max_upload_bytes, hold)
            await form.begin()
            return form
        if is_json and asked.calls_model:
            return HeldCall(await self._pipeline.read_json(client, trace), naming)
        if is_json and asked.dialect is not None and not is_long(asked.endpoint):
            return HeldJson(await self._pipeline.read_json(client, trace, OF_PASSED), naming)
        if declared is not None and declared <= MAX_HEAD_BYTES:
            return HeldBody(await self._read_body(client, trace, MAX_HEAD_BYTES))
        return StreamedBody(client, self._max_upload_bytes)

    async def hold(self, responder: Responder) -> HeldBody:
        """All of a body that a signature has to cover before any of it goes out.

        It counts as held, and whoever leaves meanwhile is noticed as with other bodies that are.

        Raises:
            BodyTooLarge: It is longer than what is signed.
        """
        limit_bytes = min(self._max_upload_bytes, MAX_SIGNED_BYTES)
        try:
            return HeldBody(await self._read_body(responder.client, responder.trace, limit_bytes))
        except BodyTooLarge as error:
            message = f"The body is longer than {limit_bytes} bytes, which is the most that is signed."
            raise BodyTooLarge(message) from error

    async def send(
        self, passage: Passage, responder: Responder, attempt: AttemptTrace, asked: Asked
    ) -> Answer | None:
        """One exchange, its reply passed on; gives the error of a known API back, nothing sent yet."""
        base_url = _base_url(asked, attempt.target)
        try:
            reply = await self._upstream.pass_on(passage)
        except (asyncio.CancelledError, ClientDisconnected, GatewayError):
            # What was sent on while it came has been heard too, once all of it has.
            if isinstance(passage.body, StreamedBody) and passage.body.is_whole:
                _note_length(responder.trace, passage)
                _note_heard(responder, asked)
            raise
        try:
            attempt.status_code = reply.status
            attempt.token = reply.token
            _note_length(responder.trace, passage)
            _note_heard(responder, asked)
            return await relay_reply(
                responder,
                attempt,
                reply,
                asked.endpoint,
                dialect=asked.dialect,
                locate=lambda location: own_location(location, base_url=base_url, prefix=asked.prefix),
                adapt=asked.adapt,
            )
        finally:
            reply.close()


class _Naming:
    """What a call says of its account and its model, before and in its body.

    Attributes:
        account: The account so far, "" while none is named.
        model: The name of a model so far, "" while none is named.
        facts: What a plan depends on.
        plan: Of a call whose right is that to its model, once that is known.
        several: A virtual model of several accounts, where one account is meant; "" for none.
        server: The model whose server is meant, "" for any of the account.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        caller: Caller,
        asked: Asked,
        client: Client,
        own: OwnParameters,
        metadata: Mapping[str, str],
    ) -> None:
        self._snapshot = snapshot
        self._caller = caller
        self.facts = CallFacts(caller, asked.endpoint, client.headers, metadata)
        self._is_model_call = asked.calls_model
        headers = client.headers
        self.account = asked.account or headers.get("x-tfy-provider-name") or own.account
        self.model = ""
        self.plan: Plan | None = None
        self.several = ""
        self.server = ""
        self._sent_model = ""
        # What the provider calls a model that the call names, where the call is for an account.
        self._ids: dict[str, str] = {}
        if named := headers.get("x-tfy-model-name") or own.model:
            self._take_header(self._joined(named))

    def _take_header(self, name: str) -> None:
        self.model = name
        if self._is_model_call:
            # Says what is wrong with it, if something is.
            self.plan = self._snapshot.routing.plan(name, self.facts)
            account, slash, _ = name.partition("/")
            self.account = self.account or (account if slash else "")
        elif (route := self._snapshot.routing.find_route(name)) is not None:
            self._snapshot.routing.check_right(name, self._caller)
            self._take_virtual(route)
        else:
            plan = self._snapshot.routing.plan_itself(name, self._caller)
            self.account = self.account or plan.targets[0].account

    @property
    def is_settled(self) -> bool:
        """The call can go on without a model in its body."""
        return not self._is_model_call or self.plan is not None or bool(self.account)

    @property
    def may_be_unread(self) -> bool:
        """Whatever model the body names, the right that the call needs is enough: that to the account."""
        return not self._is_model_call or (self.plan is None and bool(self.account))

    @property
    def may_change_late(self) -> bool:
        """A model that comes late may leave with another length."""
        return self._is_model_call

    @property
    def missing_model(self) -> str:
        """See `gateway.passed_body.Naming`: left to the provider, it would be one that nobody looked at.

        Also where the query names it: who looks for it in the body may not look there.
        """
        return "" if self.plan is None else self.model

    def name_at(self, target: Target, model: str) -> str:
        """What *target* calls the model that the call names *model*."""
        return self._ids.get(model, model) if self.plan is None else target.model_id

    def take(self, model: str) -> None:
        """Take the model that the body names, which from here on is the call's.

        Raises:
            ModelNotFound, ModelNotAllowed, SecretMissingError: Of a call of a model: it cannot be used.
            NoTargetAvailable, UnsupportedParameter: Likewise.
            InvalidBody: The body names a model a second time, or another than was named before it.
        """
        if self._sent_model:
            raise InvalidBody('The call has more than one "model".', param="model")
        self._sent_model = model
        if self.plan is not None:
            self._check_same(model, self.plan)
        elif self._is_model_call:
            self.model = self._joined(model)
            self.plan = self._snapshot.routing.plan(self.model, self.facts)
        else:
            self._take_of_account(model)

    def take_in_query(self, model: str) -> None:
        """The same for a query; that of a call of a model is no way around the right to the one in its form.

        Raises:
            As `take`.
        """
        if self._is_model_call:
            self.take(model)
        else:
            self._take_of_account(model)

    def take_late(self, model: str) -> None:
        """As `take`, for a model that comes when the account has been chosen already.

        Raises:
            InvalidBody: It would have had to come before.
        """
        if self.plan is not None:
            self.take(model)
            return
        found = self._snapshot.accounts.model_id(self._joined(model))
        self._sent_model = model
        if found and found != model and not self._is_model_call:
            message = 'The form\'s "model" comes too late. Put it before the file.'
            raise InvalidBody(message, param="model")
        self._ids[model] = found or model

    def _check_same(self, model: str, plan: Plan) -> None:
        """Check that the body names the model that was named before it, by any of its names."""
        joined = self._joined(model)
        if self.model in {model, joined} or model == self._snapshot.accounts.model_id(self.model):
            return
        if any(model in {target.model_id, target.name} or joined == target.name for target in plan.targets):
            return
        message = f'The "model" is another than x-tfy-model-name. Name {self.model} in both.'
        raise InvalidBody(message, param="model")

    def _take_of_account(self, model: str) -> None:
        """Take a model that says which account is meant, if nothing has said that."""
        name = self._joined(model)
        accounts = self._snapshot.accounts
        if (route := self._snapshot.routing.find_route(name)) is not None:
            self.model = self.model or name
            self._ids[model] = self._take_virtual(route) or model
            return
        if not self.account:
            self.account = accounts.account_of(name)
        target_id = accounts.model_id(name)
        if target_id and name.partition("/")[0] == self.account:
            self.model = self.model or name
            self._ids[model] = target_id

    def _take_virtual(self, route: Route) -> str:
        """Take the account of a virtual model, and what that calls it: "" where it has several accounts."""
        account = self.account if self.account in self._snapshot.accounts else ""
        targets = [candidate.target for candidate in route.candidates]
        targets = [target for target in targets if account in ("", target.account)]
        if len({target.account for target in targets}) != 1:
            self.account, self.several = account, route.name
            return ""
        self.account, self.server = targets[0].account, targets[0].name
        return targets[0].model_id

    def _joined(self, model: str) -> str:
        return full_name(model, self.account)


class _Crossing:
    """One such call on its way.

    Attributes:
        own: What the query says to the gateway.
        accounts: Every account.
    """

    def __init__(
        self, owner: PassThrough, responder: Responder, snapshot: Snapshot, caller: Caller, asked: Asked
    ) -> None:
        self.owner = owner
        self.responder = responder
        self._snapshot = snapshot
        self._caller = caller
        self.asked = asked
        self.own = read_query(responder.client.query)
        self.accounts = snapshot.accounts

    async def run(self) -> None:
        """Read, plan, send."""
        responder, asked = self.responder, self.asked
        client, trace = responder.client, responder.trace
        trace.noted(read_notes(client.headers, self._caller.tags))
        wishes = read_wishes(client.headers)
        naming = _Naming(self._snapshot, self._caller, asked, client, self.own, trace.notes.metadata)
        if asked.dialect is not None:
            for model in models_in_query(self.own.rest):
                naming.take_in_query(model)
        body = await self.owner.body_of(responder, naming, asked)
        try:
            plan = await self._plan(naming, body.held)
            if isinstance(body, HeldCall):
                check_further(body.fields, "openai", plan, self._caller, self.accounts)
        finally:
            trace.asked(unread_call(asked.endpoint, naming.model or naming.account, body.length or 0))
        # What only reads costs nothing.
        if self._snapshot.has_rules and client.method != "GET":
            await self.owner.admit(trace, self._snapshot, naming.facts, plan)
        trace.planned(plan)
        if isinstance(body, StreamedBody) and any(target.signing is not None for target in plan.targets):
            body = await self.owner.hold(responder)
            if trace.call is not None:
                # Nobody may have declared it.
                trace.asked(structs.replace(trace.call, body_bytes=body.length))
        if body.held is not None:
            _note_heard(responder, asked)
        attempts = _Attempts(self, naming, body, wishes.limits)
        # Whoever sends a body on notices as well when the caller goes.
        with client.watch() if body.held is not None else nullcontext():
            await self.owner.failover.try_in_turn(responder, plan.targets, attempts, wishes.retry)

    async def _plan(self, naming: _Naming, held: bytes | None) -> Plan:
        """Which account, and whether the caller may."""
        if self.asked.plan is not None:
            return self.asked.plan
        if naming.plan is not None:
            self._check_dialect(naming.plan.targets[0])
            return await self.owner.at_home(naming.plan, self._snapshot, naming.model, naming.facts)
        accounts, asked = self._snapshot.accounts, self.asked
        # To read or cancel a response, that is: who calls a model gets such ids.
        may_be_own = asked.dialect == "openai" and needs_no_account(
            asked.endpoint, self.responder.client.method
        )
        if not naming.is_settled:
            message = (
                'The call names no model. Send "model": "<account>/<model>"; GET /v1/models lists yours.'
            )
            raise InvalidBody(message, param="model")
        origin = await self._origin(naming, held, may_be_own=may_be_own)
        account, model = accounts.made_through(origin) if origin is not None else ("", "")
        if not naming.account:
            naming.account, naming.model = account, model
        if not naming.account and naming.several:
            message = f"{naming.several} has models of several accounts, and this is for one. {HOW_TO_NAME}"
            raise AccountRequired(message, param="x-tfy-provider-name")
        if not naming.account:
            naming.account = accounts.only_account(self._caller, asked.dialect, by_model=may_be_own)
        if may_be_own and origin is not None:
            # Whatever account is named: another one may lead to the same place.
            origin.check_maker(self._caller, account)
        server = naming.server or naming.model
        if may_be_own and origin is not None and account == naming.account and origin.is_of(self._caller):
            return accounts.plan_for_maker(account, server)
        return accounts.plan(naming.account, server, self._caller, by_model=may_be_own)

    def _check_dialect(self, target: Target) -> None:
        """Refuse a form for a model that has no such path: it cannot be put into the words of another API."""
        if target.dialect != self.asked.dialect:
            message = (
                f"{target.name} does not answer {self.asked.endpoint.route}. Ask another model for that."
            )
            raise UnsupportedParameter(message, param="model")

    async def _origin(self, naming: _Naming, held: bytes | None, *, may_be_own: bool) -> Origin | None:
        """Where what the call is about comes from, as far as that is known and matters."""
        responder, asked = self.responder, self.asked
        # Of what is a caller's own also where the account is named: naming it gives no right to the object.
        if naming.account and not may_be_own:
            return None
        origin = await responder.find_made(list(words_in(asked.path)))
        if origin is None and not naming.account and asked.dialect is not None and held is not None:
            origin = await responder.find_made(list(ids_asked(held)))
        return origin


class _Attempts:
    """What is tried at each target; see `gateway.failover.Attempts`."""

    def __init__(self, crossing: _Crossing, naming: _Naming, body: PassedBody, limits: CallLimits) -> None:
        self._owner = crossing.owner
        self._responder = crossing.responder
        self._asked = crossing.asked
        self._query = crossing.own.rest
        self._accounts = crossing.accounts
        self._naming = naming
        self._body = body
        self._limits = limits

    @property
    def can_repeat(self) -> bool:
        """A call of a model as long as its body is here; of all else what changes nothing."""
        is_safe = self._asked.calls_model or self._responder.client.method == "GET"
        return is_safe and self._body.can_repeat

    async def make(self, target: Target) -> GatewayError | Answer | None:
        """Make one attempt."""

        async def exchange(attempt: AttemptTrace) -> Answer | None:
            attempt.appraise = self._appraise
            return await self._owner.send(self._passage(attempt), self._responder, attempt, self._asked)

        failover = self._owner.failover
        # What is asked of an account says nothing of a model.
        observer = failover.health if self._asked.calls_model else UNOBSERVED
        try:
            return await failover.pass_on(self._responder, target, self._limits, exchange, observer)
        finally:
            # It leads back to the attempt: in a circle, which would stay until somebody looks for those.
            self._responder.trace.attempts[-1].appraise = None

    def _appraise(self, attempt: AttemptTrace, usage: Usage) -> tuple[Usage, float | None]:
        """What is known of *usage* by what the call says, which is read only now, and what it costs."""
        call, held = self._responder.trace.call, self._body.held
        if call is not None and held is not None and len(held) >= MAY_HAVE_MEDIA_BYTES:
            usage = guess_again(usage, call.body_bytes, partial(_read_input, call, held, attempt.target))
        price = attempt.target.price if attempt.target.model_id else self._price_of(attempt)
        if usage.samplings:
            return usage, cost_of_all(usage, price, attempt.target.price_of)
        return usage, None if price is None else price.cost_usd(usage)

    def _price_of(self, attempt: AttemptTrace) -> Price | None:
        """Of what was asked of an account that of the model that answered, else of the one that was asked.

        Also where the former has no price: a reply may name an alias, or a model newer than the prices.
        """
        target = attempt.target
        told = (attempt.response_model,) if attempt.response_model else ()
        models = chain(told, self._models_named(target))
        prices = (self._accounts.price_of(target.account, model) for model in models)
        return next((price for price in prices if price is not None), None)

    def _models_named(self, target: Target) -> Iterator[str]:
        """What in the call may be the provider's name of a model, which not all replies tell."""
        for word in self._asked.path.split("/"):
            written = unquote(word)
            # Bedrock's ids have colons, and behind one Google says what is wanted.
            yield from (written, written.rpartition(":")[0]) if ":" in written else (written,)
        if self._body.held:
            yield self._naming.name_at(target, model_named(self._body.held))

    def _passage(self, attempt: AttemptTrace) -> Passage:
        client, target, asked = self._responder.client, attempt.target, self._asked
        rename = partial(self._naming.name_at, target)
        pairs = [(name, client.headers.get(name) or "") for name in client.headers.starting_with("")]
        callers = unlisted_headers(pairs) if asked.dialect is None else listed_headers(pairs, asked.dialect)
        attempt.is_callers_to_refuse = names_an_account(callers)
        traced = self._responder.trace.propagation(attempt).items() if target.propagate_trace else ()
        return Passage(
            method=client.method,
            url=with_query(
                join_url(_base_url(asked, target), asked.path, rename_in_query(self._query, rename)),
                target.query.lstrip("?"),
            ),
            headers=passage_headers(target, callers, traced),
            body=self._body.written_for(rename),
            timeout_s=whole_limit_s(self._limits, target),
            token=target.token,
            signing=target.signing,
            limits=target.limits,
            tls=target.tls,
        )


def _unreadable(endpoint: Endpoint) -> InvalidBody:
    message = (
        f"A call of {endpoint.route} is a form, or JSON: of another body nobody can tell which model it "
        "names. Send one of these. Who may use the account as a whole can name that alone, with "
        "x-tfy-provider-name."
    )
    return InvalidBody(message, param="content-type")


def _note_length(trace: CallTrace, passage: Passage) -> None:
    """Note how long a body is that was sent on as it came: what it used may have to be guessed.

    As how much has come of it if nobody declared more; and of pictures in it, as how long a text of as many
    tokens would be.
    """
    body = passage.body
    if isinstance(body, StreamedBody) and trace.call is not None:
        length = body.taken_bytes if body.length is None else body.length
        trace.asked(structs.replace(trace.call, body_bytes=_as_text(length, body.data_bytes)))


def _as_text(length_bytes: int, data_bytes: int) -> int:
    """How long a text would be of as many tokens as a body with so much of data in it."""
    return length_bytes - data_bytes + data_bytes // MEDIA_BYTES_PER_TOKEN * BYTES_PER_TOKEN


def _read_input(call: Call, body: bytes, target: Target) -> int | None:
    """How many tokens limits would take the input for, None where the body says nothing."""
    if len(body) > MAX_HEAD_BYTES:
        # It would take too long, of one that was held to be signed.
        return _as_text(len(body), data_in(body)) // BYTES_PER_TOKEN
    try:
        fields = split_body(body)
    except (InvalidJson, InvalidBody):
        return None
    asked = structs.replace(call, endpoint=replace(call.endpoint, counts_tokens=True), fields=fields)
    return Estimate(asked, (target,), OutputSizes()).input_tokens(target)


def _note_heard(responder: Responder, asked: Asked) -> None:
    """Note that a provider has, or is to have, all of a call: one of a model costs tokens from then on.

    So what it has read counts as well when its caller leaves before the reply has told what was used.
    """
    call = responder.trace.call
    if call is None or call.endpoint.counts_tokens or asked.dialect is not None:
        return
    if responder.client.method == "POST" and costs_tokens(asked.path):
        responder.trace.asked(structs.replace(call, endpoint=replace(call.endpoint, counts_tokens=True)))


def _without_account(asked: Asked, snapshot: Snapshot) -> Asked:
    """Of a path that names a model: the account taken out of that name."""
    if asked.endpoint.path != _MODEL_PATH:
        return asked
    name = unquote(asked.path.rpartition("/")[2])
    account, slash, rest = name.partition("/")
    if not slash or account not in snapshot.accounts:
        return asked
    model = quote(snapshot.accounts.model_id(name) or rest, safe=":")
    return replace(asked, path=f"/models/{model}", account=account)


def _base_url(asked: Asked, target: Target) -> str:
    """Below which URL the path is: a call of a model is at the model's, as Azure has its deployments."""
    if asked.root:
        return asked.root
    is_of_model = asked.calls_model and target.model_id
    return target.base_url if is_of_model else target.account_url or target.base_url
