"""What AWS's SDKs ask below `/bedrock/proxy`: calls of models, and all else for an account.

    identify           identity                  401, before a byte of the body is read
    read               edge, endpoints           400, 408, 413
    plan               routing                   which model: 400, 404, 403, 503
    attempt | pass on  pipeline | pass_through

A model is named by a name that it has here, a virtual one too, or by Bedrock's own id. Requests are signed
anew: a signature of the caller's, made with whatever keys its SDK was given, says nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.attempt import read_wishes
from gateway.endpoints.bedrock_call import read_bedrock_call
from gateway.endpoints.bedrock_catalogue import INVOKE, INVOKE_EMBEDDING, OTHER
from gateway.endpoints.bedrock_paths import BIDIRECTIONAL, BedrockPath
from gateway.endpoints.openai_call import full_name, unread_call
from gateway.errors import (
    AccountRequired,
    GatewayError,
    InvalidApiKey,
    InvalidBody,
    MethodNotAllowed,
    UnsupportedParameter,
)
from gateway.identity.tokens import carries_token
from gateway.model import Call, Caller, CallFacts, Client, Headers, Plan, Target
from gateway.pass_through import PASSED_METHODS, Asked, PassThrough
from gateway.pipeline import Pipeline, refuse_encoding
from gateway.responder import Responder
from gateway.snapshot import Snapshot
from gateway.telemetry.call_notes import read_notes

_SIGNED: Final = "AWS4-HMAC-SHA256"
_SHOWN: Final = 10
_EMBEDDING: Final = "embedding"
_HOW_TO_SIGN_IN: Final = (
    "This request is signed with keys of AWS, which the gateway cannot check. Send a key of the gateway "
    "beside the signature, as x-tfy-api-key, or in its place: set AWS_BEARER_TOKEN_BEDROCK to it."
)


class Bedrock:
    """Takes such requests through their stages."""

    def __init__(self, pipeline: Pipeline, pass_through: PassThrough) -> None:
        """Wire the stages.

        Args:
            pipeline: Has the entry and the exit of every request, and calls models.
            pass_through: Passes on what calls none.
        """
        self._pipeline = pipeline
        self._pass_through = pass_through

    async def serve(self, client: Client, asked: BedrockPath) -> None:
        """Answer a request."""
        refusal = _refusal(client, asked)
        if asked.endpoint is OTHER and refusal is None:
            # ARNs stand in these paths.
            passed = Asked(asked.endpoint, asked.path, asked.prefix, dialect="converse", has_long_ids=True)
            await self._pass_through.serve(client, passed)
            return

        async def stages(responder: Responder, snapshot: Snapshot) -> None:
            if refusal is not None:
                raise refusal
            trace = responder.trace
            caller = snapshot.identity.identify(client.headers)
            trace.identified(caller)
            refuse_encoding(client)
            body = await self._pipeline.read_json(client, trace)
            name = _name(asked.model, client.headers, snapshot, caller)
            trace.asked(unread_call(asked.endpoint, name, len(body)))
            call = read_bedrock_call(asked.endpoint, body, model=name)
            trace.noted(read_notes(client.headers, caller.tags))
            facts = CallFacts(caller, asked.endpoint, client.headers, trace.notes.metadata, call)
            plan = snapshot.routing.plan(name, facts)
            if plan.session is not None:
                plan = await self._pipeline.at_home(plan, snapshot, name, facts)
            call = _as_called(call, plan)
            trace.asked(call)
            wishes = read_wishes(client.headers)
            if snapshot.has_rules:
                await self._pipeline.admit(trace, snapshot, facts, plan)
            await self._pipeline.answer_call(responder, call, plan, wishes)

        await self._pipeline.serve(client, asked.endpoint, stages)


def _refusal(client: Client, asked: BedrockPath) -> GatewayError | None:
    """Why a request cannot be served, by its head."""
    if not carries_token(client.headers) and (client.headers.get("authorization") or "").startswith(_SIGNED):
        return InvalidApiKey(_HOW_TO_SIGN_IN)
    if asked.path.endswith(f"/{BIDIRECTIONAL}"):
        message = "Streams in both directions need HTTP/2, which the gateway does not speak."
        return UnsupportedParameter(message)
    if asked.endpoint is not OTHER and client.method != "POST":
        message = f"{client.method} is not possible on {asked.endpoint.route}; use POST."
        return MethodNotAllowed(message, headers=(("allow", "POST"),))
    if client.method not in PASSED_METHODS:
        message = (
            f"{client.method} is not possible on {asked.endpoint.route}; use {', '.join(PASSED_METHODS)}."
        )
        return MethodNotAllowed(message, headers=(("allow", ", ".join(PASSED_METHODS)),))
    return None


def _as_called(call: Call, plan: Plan) -> Call:
    """*call* with what its model is called for, where the path does not tell."""
    if call.endpoint is INVOKE and _EMBEDDING in plan.targets[0].model_types:
        return msgspec.structs.replace(call, endpoint=INVOKE_EMBEDDING)
    return call


def _name(model: str, headers: Headers, snapshot: Snapshot, caller: Caller) -> str:
    """The name here of the model that a path names, by that name or by Bedrock's id.

    Raises:
        AccountRequired: Several accounts have it.
        InvalidBody: A header names another.
        ModelNotFound: None has it.
    """
    accounts = snapshot.accounts
    account = headers.get("x-tfy-provider-name") or ""
    written = full_name(model, account)
    named = headers.get("x-tfy-model-name")
    if named:
        named = full_name(named, account)
        if named not in (model, written) and model not in _ids(named, snapshot):
            message = "The path's model is another than x-tfy-model-name. Name the same one in both."
            raise InvalidBody(message, param="x-tfy-model-name")
        return named
    if accounts.account_of(written):
        return written
    # An operator's alias may be an id of Bedrock's: to who may not use that name it is the id still.
    route = snapshot.routing.find_route(written)
    if route is not None and route.name in caller.models:
        return written
    return _by_id(model, account, snapshot, caller) or written


def _ids(name: str, snapshot: Snapshot) -> set[str]:
    """What Bedrock calls the model of that name, or those behind it."""
    route = snapshot.routing.find_route(name)
    if route is None:
        return {snapshot.accounts.model_id(name)}
    return {candidate.target.model_id for candidate in route.candidates}


def _by_id(model: str, account: str, snapshot: Snapshot, caller: Caller) -> str:
    """The name of the one model with that id that *caller* may use, "" for none: others' are not told of."""
    accounts = snapshot.accounts
    if not account:
        first, slash, rest = model.partition("/")
        if slash and first in accounts:
            account, model = first, rest
    elif model.startswith(account + "/"):
        model = model[len(account) + 1 :]
    found = [target for target in accounts.with_id(model, "converse") if account in ("", target.account)]
    mine = [target for target in found if target.name in caller.models]
    mine = [target for target in mine if not target.missing_secret] or mine
    if len({target.account for target in mine}) > 1:
        raise _several(mine)
    return mine[0].name if mine else ""


def _several(targets: list[Target]) -> AccountRequired:
    shown = ", ".join(target.name for target in targets[:_SHOWN])
    message = (
        f"Several accounts have this model. Name one with the header x-tfy-provider-name, or ask for one of "
        f"these: {shown}."
    )
    return AccountRequired(message, param="modelId")
