"""Calls that are passed on as they are: every path of either API that is no call of a model, and any other.

    identify           identity                  401, before a byte of the body is read
    read               edge, wire                the head of the body: 400, 408, 413
    plan               routing                   which account: 400, 404, 403, 503
    pass on            upstream, relay           the body while it comes, the reply while it comes

The entry, the exit and the trace are the pipeline's. What differs from a call of a model: the call is for an
account, nothing is translated, and neither body nor reply is held, but for their beginnings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, unquote

from gateway.attempt import Upstream
from gateway.endpoints.anthropic_paths import is_long
from gateway.endpoints.call_limits import read_limits
from gateway.endpoints.object_ids import ids_asked
from gateway.endpoints.openai_call import full_name, rewrite_model, unread_call
from gateway.endpoints.openai_paths import FORM_CALLS, needs_no_account
from gateway.endpoints.provider_path import (
    ACCOUNT_PARAMETER,
    MODEL_PARAMETER,
    OwnParameters,
    check_path,
    join_url,
    own_location,
    read_query,
    rename_in_query,
    with_query,
)
from gateway.errors import BodyTooLarge, GatewayError, InvalidBody, UnsupportedParameter
from gateway.failover import pause
from gateway.model import (
    BodySource,
    Caller,
    CallFacts,
    Client,
    Dialect,
    Endpoint,
    HeaderPairs,
    Passage,
    Plan,
    Target,
)
from gateway.pipeline import Pipeline
from gateway.providers.passage_headers import listed_headers, passage_headers, unlisted_headers
from gateway.relay import Adapt, mask, relay_reply
from gateway.responder import Answer, Responder
from gateway.routing.stored import Origin
from gateway.snapshot import Snapshot
from gateway.telemetry.call_notes import read_notes
from gateway.telemetry.call_trace import AttemptTrace
from gateway.wire.multipart import ModelField, find_boundary

PASSED_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""Methods that are passed on; a reply to HEAD would have no end that could be seen."""

MAX_HEAD_BYTES: Final = 1024 * 1024
"""Most of a body that is held: shorter ones whole, of a form the part where its model is looked for."""

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

    async def cross(self, responder: Responder, snapshot: Snapshot, caller: Caller, asked: Asked) -> None:
        """Take a call of a known *caller* through its stages."""
        check_path(asked.checked_path)
        await _Crossing(self, responder, snapshot, caller, asked).run()

    async def body_of(self, client: Client, naming: _Naming, asked: Asked) -> bytes | _Streamed:
        """The body of a call: whole if it is short or JSON, else its beginning and the rest as it comes."""
        if not client.has_body:
            return b""
        declared = client.declared_bytes
        if declared is not None and declared > self._max_upload_bytes:
            raise _too_large(self._max_upload_bytes)
        kind = (client.headers.get("content-type") or "").strip()
        if asked.dialect == "openai" and kind[: len(_FORM)].lower() == _FORM:
            form = _Form(client, find_boundary(kind), naming, self._max_upload_bytes)
            await form.begin()
            return form.whole() if form.is_ended else form
        is_json = "json" in kind.lower() or not kind
        if is_json and asked.dialect is not None and not is_long(asked.endpoint):
            return naming.rewritten(await client.read_body(self._max_body_bytes))
        if declared is not None and declared <= MAX_HEAD_BYTES:
            return await client.read_body(MAX_HEAD_BYTES)
        return _Streamed(client, self._max_upload_bytes)

    async def send(
        self, passage: Passage, responder: Responder, attempt: AttemptTrace, asked: Asked
    ) -> Answer | None:
        """One exchange, its reply passed on; gives the error of a known API back, nothing sent yet."""
        base_url = _base_url(asked, attempt.target)
        reply = await self._upstream.pass_on(passage)
        try:
            attempt.status_code = reply.status
            attempt.token = reply.token
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
        model: `<account>/<integration>` so far, "" while none is named.
        plan: Of a call whose right is that to its model, once that is known.
        spread: A virtual model that is named where an account is wanted, and that has targets of several.
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
        self._facts = CallFacts(caller, asked.endpoint, client.headers, metadata)
        self._is_model_call = asked.calls_model
        headers = client.headers
        self.account = asked.account or headers.get("x-tfy-provider-name") or own.account
        self.model = ""
        self.plan: Plan | None = None
        self.spread = ""
        self._sent_model = ""
        if named := headers.get("x-tfy-model-name") or own.model:
            self._take_name(self._joined(named))

    def _take_name(self, model: str) -> None:
        """Take the model that is named before the body, and say what is wrong with it if something is."""
        route = None if self._is_model_call else self._snapshot.routing.find_route(model)
        if route is not None:
            self._snapshot.routing.check_right(model, self._caller)
            accounts = {candidate.target.account for candidate in route.candidates}
            if len(accounts) == 1:
                self.account = self.account or accounts.pop()
            else:
                self.spread = model
            return
        self.model = model
        plan = self._snapshot.routing.plan(model, self._facts)
        self.account = self.account or plan.targets[0].account
        if self._is_model_call:
            self.plan = plan

    @property
    def is_settled(self) -> bool:
        """The call can go on without a model in its body."""
        return not self._is_model_call or self.plan is not None or bool(self.account)

    @property
    def may_change_late(self) -> bool:
        """A model that comes late may leave with another length."""
        return self._is_model_call

    def rewritten(self, body: bytes) -> bytes:
        """A JSON body with the provider's name of its model, if it has one of ours."""
        return rewrite_model(body, self.upstream_name)

    def upstream_name(self, model: str) -> str:
        """The provider's name for the model that the body names, which from here on is the call's.

        Raises:
            ModelNotFound, ModelNotAllowed, SecretMissingError: Of a call of a model: it cannot be used.
            InvalidBody: The body names a model a second time, or another than was named before it.
        """
        if self._sent_model:
            raise InvalidBody('The call has more than one "model".', param="model")
        self._sent_model = model
        if self.plan is not None:
            target = self.plan.targets[0]
            if model not in {target.model_id, target.name} and self._joined(model) != target.name:
                message = f'The "model" is another than x-tfy-model-name. Name {target.name} in both.'
                raise InvalidBody(message, param="model")
            return target.model_id
        if self._is_model_call:
            return self._planned(model)
        return self._of_account(model)

    def in_query(self, model: str) -> str:
        """The same for a query; that of a call of a model is no way around the right to the one in its form.

        Raises:
            As `upstream_name`.
        """
        return self.upstream_name(model) if self._is_model_call else self._of_account(model)

    def _of_account(self, model: str) -> str:
        """The provider's name of a model that says which account is meant, if nothing has said that."""
        name = self._joined(model)
        if not self.account:
            self.account = self._snapshot.accounts.account_of(name)
        target_id = self._snapshot.accounts.model_id(name)
        if not target_id or name.partition("/")[0] != self.account:
            return model
        self.model = self.model or name
        return target_id

    def _planned(self, model: str) -> str:
        self.model = self._joined(model)
        self.plan = self._snapshot.routing.plan(self.model, self._facts)
        return self.plan.targets[0].model_id

    def late_name(self, model: str) -> str:
        """As `upstream_name`, for a model that comes when the account has been chosen already.

        Raises:
            InvalidBody: It would have had to come before.
        """
        if self.plan is not None:
            return self.upstream_name(model)
        found = self._snapshot.accounts.model_id(self._joined(model))
        self._sent_model = model
        if found and found != model and not self._is_model_call:
            message = 'The form\'s "model" comes too late. Put it before the file.'
            raise InvalidBody(message, param="model")
        return found or model

    def _joined(self, model: str) -> str:
        return full_name(model, self.account)


class _Crossing:
    """One such call on its way."""

    def __init__(
        self, owner: PassThrough, responder: Responder, snapshot: Snapshot, caller: Caller, asked: Asked
    ) -> None:
        self._owner = owner
        self._responder = responder
        self._snapshot = snapshot
        self._caller = caller
        self._asked = asked
        self._own = read_query(responder.client.query)
        self._query = self._own.rest

    async def run(self) -> None:
        """Read, plan, send."""
        responder, asked = self._responder, self._asked
        client, trace = responder.client, responder.trace
        trace.noted(read_notes(client.headers))
        timeout_s = read_limits(client.headers).whole_s
        naming = _Naming(self._snapshot, self._caller, asked, client, self._own, trace.notes.metadata)
        if asked.dialect is not None:
            self._query = rename_in_query(self._query, naming.in_query)
        body = await self._owner.body_of(client, naming, asked)
        size = len(body) if isinstance(body, bytes) else body.length or 0
        try:
            plan = self._plan(naming, body)
        finally:
            trace.asked(unread_call(asked.endpoint, naming.model or naming.account, size))
        trace.planned(plan)
        if isinstance(body, bytes):
            with client.watch():
                await self._attempt(plan.targets[0], body, timeout_s)
        else:
            # Whoever sends the body on notices as well when the caller goes.
            await self._attempt(plan.targets[0], body, timeout_s)

    def _plan(self, naming: _Naming, body: bytes | _Streamed) -> Plan:
        """Which account, and whether the caller may."""
        if self._asked.plan is not None:
            return self._asked.plan
        if naming.plan is not None:
            self._check_dialect(naming.plan.targets[0])
            return naming.plan
        accounts, asked = self._snapshot.accounts, self._asked
        # To read or cancel a response, that is: who calls a model gets such ids.
        may_be_own = asked.dialect == "openai" and needs_no_account(
            asked.endpoint, self._responder.client.method
        )
        if not naming.is_settled:
            message = (
                'The call names no model. Send "model": "<account>/<model>"; GET /v1/models lists yours.'
            )
            raise InvalidBody(message, param="model")
        origin = self._origin(naming, body, may_be_own=may_be_own)
        account, model = accounts.made_through(origin) if origin is not None else ("", "")
        if not naming.account:
            naming.account, naming.model = account, model
        if not naming.account:
            if naming.spread:
                raise _of_one_account(naming.spread)
            naming.account = accounts.only_account(self._caller, asked.dialect, by_model=may_be_own)
        if may_be_own and origin is not None:
            # Whatever account is named: another one may lead to the same place.
            origin.check_maker(self._caller, account)
            if account == naming.account and origin.is_of(self._caller):
                return accounts.plan_for_maker(account, naming.model)
        return accounts.plan(naming.account, naming.model, self._caller, by_model=may_be_own)

    def _check_dialect(self, target: Target) -> None:
        """Refuse a form for a model that has no such path: it cannot be put into the words of another API."""
        if target.dialect != self._asked.dialect:
            message = (
                f"{target.name} does not answer {self._asked.endpoint.route}. Ask another model for that."
            )
            raise UnsupportedParameter(message, param="model")

    def _origin(self, naming: _Naming, body: bytes | _Streamed, *, may_be_own: bool) -> Origin | None:
        """Where what the call is about comes from, as far as that is known and matters."""
        responder, asked = self._responder, self._asked
        # Of what is a caller's own also where the account is named: naming it gives no right to the object.
        if naming.account and not may_be_own:
            return None
        origin = responder.find_made([unquote(word) for word in asked.path.split("/")])
        if origin is None and not naming.account and asked.dialect is not None and isinstance(body, bytes):
            origin = responder.find_made(ids_asked(body))
        return origin

    async def _attempt(self, target: Target, body: bytes | BodySource, timeout_s: float | None) -> None:
        """Try *target*, again where its policy says so and nothing is done twice by it."""
        responder = self._responder
        is_repeatable = isinstance(body, bytes) and responder.client.method == "GET"
        tries = 1 + (target.retry.retries if is_repeatable else 0)
        last: GatewayError | Answer | None = None
        for number in range(tries):
            if number:
                await pause(responder.trace, target.retry.delay_ms / 1000)
            last = await self._try_once(target, body, timeout_s)
            if last is None or last.status not in target.retry.on_status:
                break
        if isinstance(last, GatewayError):
            raise last
        if last is not None:
            await responder.answer(last)

    async def _try_once(
        self, target: Target, body: bytes | BodySource, timeout_s: float | None
    ) -> GatewayError | Answer | None:
        responder = self._responder
        attempt = responder.trace.attempt(target)
        try:
            passage = self._passage(attempt, body, timeout_s)
            refusal = await self._owner.send(passage, responder, attempt, self._asked)
        except GatewayError as error:
            mask(error, attempt)
            attempt.failed(error.code, error.for_operator, error.excerpt)
            attempt.ended()
            return error
        attempt.ended()
        return refusal

    def _passage(self, attempt: AttemptTrace, body: bytes | BodySource, timeout_s: float | None) -> Passage:
        client, target = self._responder.client, attempt.target
        pairs = [(name, client.headers.get(name) or "") for name in client.headers.starting_with("")]
        dialect = self._asked.dialect
        callers = unlisted_headers(pairs) if dialect is None else listed_headers(pairs, dialect)
        traced = self._responder.trace.propagation(attempt).items() if target.propagate_trace else ()
        return Passage(
            method=client.method,
            url=with_query(
                join_url(_base_url(self._asked, target), self._asked.path, self._query),
                target.query.lstrip("?"),
            ),
            headers=passage_headers(target, callers, traced),
            body=body,
            timeout_s=timeout_s,
            token=target.token,
            signing=target.signing,
            limits=target.limits,
        )


class _Streamed:
    """A body that is sent on as it comes; see `gateway.model.BodySource`."""

    def __init__(self, client: Client, limit_bytes: int) -> None:
        self._client = client
        self._limit_bytes = limit_bytes
        self._taken_bytes = 0

    @property
    def length(self) -> int | None:
        """What the caller declared."""
        return self._client.declared_bytes

    async def read_piece(self) -> bytes:
        """The next piece.

        Raises:
            BodyTooLarge: There are more than may be.
        """
        data = await self._client.read_piece()
        self._taken_bytes += len(data)
        if self._taken_bytes > self._limit_bytes:
            raise _too_large(self._limit_bytes)
        return data

    async def until_gone(self) -> None:
        """Wait for the caller to leave."""
        await self._client.until_gone()


class _Form(_Streamed):
    """A form, its model replaced as it passes.

    Attributes:
        is_ended: All of it has come.
    """

    def __init__(self, client: Client, boundary: bytes, naming: _Naming, limit_bytes: int) -> None:
        super().__init__(client, limit_bytes)
        self._naming = naming
        self._field = ModelField(boundary, self._name)
        self._head: list[bytes] = []
        self._is_begun = False
        self._has_model = False
        self._grown_bytes = 0
        self.is_ended = False

    async def begin(self) -> None:
        """Read on until the model has come, or as far as it is looked for."""
        while not (self.is_ended or self._has_model or self._taken_bytes >= MAX_HEAD_BYTES):
            self._head.append(await self._next())
        declared = self._client.declared_bytes
        # A short form is taken whole, so that it can go out with its length in one piece.
        while not self.is_ended and declared is not None and declared <= MAX_HEAD_BYTES:
            self._head.append(await self._next())
        self._is_begun = True
        if not self.is_ended and not self._has_model and not self._naming.is_settled:
            message = (
                f'The form\'s "model" is not within its first {MAX_HEAD_BYTES} bytes. Put it before '
                "the file, or name it with the header x-tfy-model-name too."
            )
            raise InvalidBody(message, param="model")

    def whole(self) -> bytes:
        """The whole form, once it has ended."""
        return b"".join(self._head)

    @property
    def length(self) -> int | None:
        """What the caller declared and what the model's name added; None while that may still change."""
        declared = self._client.declared_bytes
        if declared is None or (not self._has_model and self._naming.may_change_late):
            return None
        return declared + self._grown_bytes

    async def read_piece(self) -> bytes:
        """The next piece, the model replaced."""
        if self._head:
            head, self._head = b"".join(self._head), []
            if head:
                return head
        while not self.is_ended:
            if data := await self._next():
                return data
        return b""

    async def _next(self) -> bytes:
        """What can go on of the next piece; b"" is no end here."""
        data = await super().read_piece()
        if data:
            return self._field.feed(data)
        self.is_ended = True
        return self._field.finish()

    def _name(self, model: str) -> str:
        is_late = self._is_begun and not self._has_model
        name = self._naming.late_name(model) if is_late else self._naming.upstream_name(model)
        self._has_model = True
        self._grown_bytes += len(name.encode()) - len(model.encode())
        return name


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


def _of_one_account(model: str) -> InvalidBody:
    message = (
        f"{model} has targets of several accounts, and this is for one: files, batches and the like are "
        "where they were made. What was made here is found by its id; for the rest name an account with "
        "x-tfy-provider-name."
    )
    return InvalidBody(message, param="x-tfy-model-name")


def _base_url(asked: Asked, target: Target) -> str:
    """Below which URL the path is: a call of a model is at the model's, as Azure has its deployments."""
    if asked.root:
        return asked.root
    is_of_model = asked.calls_model and target.model_id
    return target.base_url if is_of_model else target.account_url or target.base_url


def _too_large(limit_bytes: int) -> BodyTooLarge:
    message = f"The body is longer than {limit_bytes} bytes. Send a shorter one, or raise --max-upload-bytes."
    return BodyTooLarge(message)
