"""What Google's SDKs ask below `/gemini/{account}/proxy`: calls of models, and all else for an account.

    identify           identity                  401, before a byte of the body is read
    read               edge, endpoints           400, 408, 413
    plan               routing                   which model, or the account: 403, 404, 503
    attempt | pass on  pipeline | pass_through

A model that an integration lists, by its name or by Google's id, is called as on any other path, with the
right to it; so is a virtual one, below its group or by its slug. One that none lists needs the right to the
account, and is metered as well. What calls no model is passed on for the account; see `gateway.pass_through`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec

from gateway.attempt import read_wishes
from gateway.endpoints.gemini_call import read_gemini_call
from gateway.endpoints.gemini_catalogue import MODEL, MODELS
from gateway.endpoints.gemini_models_list import gemini_model, gemini_model_list
from gateway.endpoints.gemini_paths import (
    SIGNED_PARAMETER,
    GeminiPath,
    base_of,
    base_of_unlisted,
    is_googles,
    place,
    place_of_model,
    speaks_google,
    without_credentials,
)
from gateway.endpoints.provider_path import check_path, own_location
from gateway.errors import AccountNotFound, MethodNotAllowed, PathNotFound, UnsupportedParameter
from gateway.identity.tokens import sign
from gateway.model import Call, Caller, CallFacts, Client, HeaderPairs, Plan, Target
from gateway.pass_through import PASSED_METHODS, Asked, PassThrough
from gateway.pipeline import Pipeline, refuse_encoding
from gateway.responder import Answer, Responder
from gateway.routing.direct import Routing
from gateway.routing.route import with_every_plan
from gateway.snapshot import Snapshot
from gateway.telemetry.call_notes import read_notes

SIGNED_S: Final = 7 * 24 * 3600
"""How long the address of an upload is good for; Google's own are for about as long."""

_UPLOAD: Final = "/upload"
_UPLOAD_ADDRESSES: Final = frozenset({b"x-goog-upload-url", b"x-goog-upload-control-url"})
_SCHEMES: Final = frozenset({"http", "https"})
_SHOWN_CHARACTERS: Final = 100


class GeminiClient(Client, Protocol):
    """The caller's end, its query without what signs it in.

    Attributes:
        key: From the query, "" when it has none.
        signature: What the address of an upload has in its place.
    """

    @property
    def key(self) -> str:
        """From the query, "" when it has none."""

    @property
    def signature(self) -> str:
        """What the address of an upload has in place of a key, "" for none."""


class Gemini:
    """Takes such requests through their stages."""

    def __init__(self, pipeline: Pipeline, pass_through: PassThrough) -> None:
        """Wire the stages.

        Args:
            pipeline: Has the entry and the exit of every request, and calls models.
            pass_through: Passes on what calls none.
        """
        self._pipeline = pipeline
        self._pass_through = pass_through

    async def serve(self, client: GeminiClient, asked: GeminiPath) -> None:
        """Answer a request."""

        async def stages(responder: Responder, snapshot: Snapshot) -> None:
            door = snapshot.accounts.door(asked.account, "gemini")
            caller, sha256 = _identify(snapshot, client, asked, door)
            responder.trace.identified(caller)
            _check(asked, client.method)
            if door is not None and not speaks_google(door):
                raise _no_account_of_googles(asked.account)
            if asked.is_call:
                await self._call(responder, snapshot, caller, asked, door)
            elif client.method == "GET" and (shown := _show_virtual(snapshot, caller, asked, door)):
                await responder.answer(Answer(200, [], shown))
            elif door is not None:
                await self._pass(responder, snapshot, caller, asked, door, sha256)
            elif snapshot.routing.has_group(asked.account):
                raise _nothing_of_a_group(asked.account)
            else:
                raise _no_such_account(asked.account)

        def identify(snapshot: Snapshot) -> Caller:
            return _identify(snapshot, client, asked, snapshot.accounts.door(asked.account, "gemini"))[0]

        await self._pipeline.serve(client, asked.endpoint, stages, identify=identify)
        if not asked.is_call:
            # As what is passed on elsewhere.
            await self._pipeline.drop_body(client)

    async def _call(
        self, responder: Responder, snapshot: Snapshot, caller: Caller, asked: GeminiPath, door: Target | None
    ) -> None:
        """Call a model."""
        client, trace = responder.client, responder.trace
        refuse_encoding(client)
        name = "" if door is None else snapshot.accounts.find_model(asked.account, asked.names(), caller)
        virtual = "" if name else _find_virtual(snapshot.routing, asked, door)
        if door is None and not virtual:
            raise _no_such_account(asked.account)
        body = await self._pipeline.read_json(client, trace)
        written = next(reversed(list(asked.names())))
        call = read_gemini_call(asked.endpoint, body, model=virtual or f"{asked.account}/{written}")
        trace.asked(call)
        trace.noted(read_notes(client.headers, caller.tags))
        wishes = read_wishes(client.headers)
        facts = CallFacts(caller, call.endpoint, client.headers, trace.notes.metadata, call)
        if name or virtual or door is None:
            plan = snapshot.routing.plan(name or virtual, facts)
            if plan.session is not None:
                plan = await self._pipeline.at_home(plan, snapshot, name or virtual, facts)
            plan = _in_its_version(plan, asked)
        else:
            plan = _plan_unlisted(snapshot, caller, asked, call, door)
        if snapshot.has_rules:
            await self._pipeline.admit(trace, snapshot, facts, plan)
        await self._pipeline.answer_call(responder, call, plan, wishes)

    async def _pass(
        self,
        responder: Responder,
        snapshot: Snapshot,
        caller: Caller,
        asked: GeminiPath,
        door: Target,
        sha256: bytes,
    ) -> None:
        """Pass on what calls no model."""
        client, accounts = responder.client, snapshot.accounts
        is_read = client.method == "GET"
        if asked.endpoint is MODELS and is_read and asked.account not in caller.accounts:
            mine = [
                target for target in snapshot.routing.available_to(caller) if target.account == asked.account
            ]
            await responder.answer(Answer(200, [], gemini_model_list(mine)))
            return
        listed = accounts.find_model(asked.account, asked.names(), caller) if asked.model else ""
        if asked.endpoint is MODEL and is_read and listed:
            # Who may call a model may ask about it.
            plan = snapshot.routing.plan_itself(listed, caller)
            target = plan.targets[0]
            found = place_of_model(asked, target.model_id, target.base_url)
        else:
            plan = accounts.plan_at(door, caller)
            found = place(asked, door.base_url)
            if asked.verb and listed:
                # Google knows it by its own name of it.
                found = place_of_model(asked, accounts.model_id(listed), door.base_url)
        await self._pass_through.cross(
            responder,
            snapshot,
            caller,
            Asked(
                asked.endpoint,
                found.path,
                asked.prefix,
                account=asked.account,
                dialect=None,
                root=found.root,
                plan=plan,
                adapt=_Addresses(client, asked, door, found.root, sha256).led_here,
            ),
        )


def _identify(
    snapshot: Snapshot, client: GeminiClient, asked: GeminiPath, door: Target | None
) -> tuple[Caller, bytes]:
    signature = client.signature
    secret = _secret_of(door)
    if signature and secret and asked.service == _UPLOAD:
        subject = _subject(asked.account, asked.path, client.query)
        return snapshot.identity.identify_signed(signature, subject, secret)
    return snapshot.identity.identify_google(client.headers, client.key)


def _check(asked: GeminiPath, method: str) -> None:
    """Refuse what cannot be asked.

    Raises:
        InvalidPath: The path could lead elsewhere than it says.
        PathNotFound: There is none.
        MethodNotAllowed: It is a call, and no POST.
    """
    if asked.path in ("", "/") or not asked.rest:
        message = (
            "The address ends where Google's path should begin. An SDK for Vertex needs an api_key, or "
            "project and location, beside the base URL."
        )
        raise PathNotFound(message)
    check_path(asked.path)
    allowed = ("POST",) if asked.is_call else PASSED_METHODS
    if method not in allowed:
        listed = ", ".join(allowed)
        message = f"{method} is not possible on {asked.endpoint.route}; use {listed}."
        raise MethodNotAllowed(message, headers=(("allow", listed),))


def _find_virtual(routing: Routing, asked: GeminiPath, door: Target | None) -> str:
    """The name of the virtual model that a path asks for, "" for none.

    Below its group, or by any of its names below an account of Google's or a group.
    """
    is_group = door is None and routing.has_group(asked.account)
    names = [f"{asked.account}/{word}" for word in asked.names()]
    if door is not None or is_group:
        names += asked.names()
    found = next((name for name in names if routing.find_route(name) is not None), "")
    # Of a group also one that it has not: it is looked for nowhere else.
    return found or (names[0] if is_group else "")


def _show_virtual(snapshot: Snapshot, caller: Caller, asked: GeminiPath, door: Target | None) -> bytes | None:
    """What is said of virtual models where a path asks about those, None where it asks about others."""
    routing = snapshot.routing
    if asked.endpoint is MODELS and door is None and routing.has_group(asked.account):
        return gemini_model_list(
            model for model in routing.models_of(caller) if model.account == asked.account
        )
    if asked.endpoint is not MODEL:
        return None
    if door is not None and snapshot.accounts.find_model(asked.account, asked.names(), caller):
        return None
    name = _find_virtual(routing, asked, door)
    return gemini_model(routing.show_virtual(name, caller), asked.model) if name else None


def _in_its_version(plan: Plan, asked: GeminiPath) -> Plan:
    """*plan* with each target in the version of the API that the caller asks for, where there is that."""
    return with_every_plan(plan, lambda one: _targets_in_its_version(one, asked))


def _targets_in_its_version(plan: Plan, asked: GeminiPath) -> Plan:
    bases = [base_of(asked, target.base_url) for target in plan.targets]
    if all(base == target.base_url for base, target in zip(bases, plan.targets, strict=True)):
        return plan
    targets = (replace(target, base_url=base) for base, target in zip(bases, plan.targets, strict=True))
    return msgspec.structs.replace(plan, targets=tuple(targets))


def _plan_unlisted(snapshot: Snapshot, caller: Caller, asked: GeminiPath, call: Call, door: Target) -> Plan:
    """Where a call of a model goes that no integration lists: to the account."""
    plan = snapshot.accounts.plan_at(door, caller)
    base_url = base_of_unlisted(asked, door.base_url)
    model_id = call.model.partition("/")[2]
    return msgspec.structs.replace(
        plan, targets=(replace(plan.targets[0], base_url=base_url, model_id=model_id, dialect="gemini"),)
    )


def _no_account_of_googles(account: str) -> UnsupportedParameter:
    message = f"{account[:_SHOWN_CHARACTERS]} is no account of Google's. Name another after /gemini/."
    return UnsupportedParameter(message, param="account")


def _nothing_of_a_group(account: str) -> UnsupportedParameter:
    message = (
        f"{account[:_SHOWN_CHARACTERS]} is a group of virtual models: they can be called below it, and there "
        "is nothing else. Name an account of Google's after /gemini/ for that."
    )
    return UnsupportedParameter(message, param="account")


def _no_such_account(account: str) -> AccountNotFound:
    shown = account[:_SHOWN_CHARACTERS]
    return AccountNotFound(f"There is no provider account {shown}. Name one after /gemini/.", param="account")


class _Addresses:
    """Addresses in a reply's headers that its caller will ask next."""

    def __init__(self, client: Client, asked: GeminiPath, door: Target, root: str, sha256: bytes) -> None:
        self._client = client
        self._asked = asked
        self._secret = _secret_of(door)
        self._root = root
        self._sha256 = sha256

    def led_here(self, headers: HeaderPairs) -> HeaderPairs:
        """*headers* with the address of an upload leading through the gateway, and signed.

        Google signs it, and its SDKs send no key there. One that cannot be led here is left out; callers with
        a token of an identity provider must send that there.
        """
        return list(self._each(headers))

    def _each(self, headers: HeaderPairs) -> Iterable[tuple[bytes, bytes]]:
        for name, value in headers:
            if name not in _UPLOAD_ADDRESSES:
                yield name, value
            elif own := self._own(value.decode("latin-1")):
                yield name, own.encode("latin-1")

    def _own(self, address: str) -> str:
        try:
            found = urlsplit(address)
        except ValueError:
            return ""
        # The account's own, where Google repeats it, is no caller's.
        found = found._replace(query=without_credentials(found.query))
        if found.hostname is not None and is_googles(found.hostname):
            # Whatever host of Google's takes the upload, the account's does.
            base = urlsplit(self._root)
            found = found._replace(scheme=base.scheme, netloc=base.netloc)
        own = own_location(found.geturl(), base_url=self._root, prefix=self._asked.prefix)
        if own is None:
            return ""
        path, _, query = own.partition("?")
        subject = _subject(self._asked.account, path[len(self._asked.prefix) :], query)
        until_s = int(time.time()) + SIGNED_S
        if self._secret and self._sha256:
            signature = sign(self._sha256, subject, self._secret, until_s=until_s)
            query = f"{query}&{SIGNED_PARAMETER}={signature}"
        return f"{self._origin()}{path}?{query.lstrip('&')}"

    def _origin(self) -> str:
        """Scheme and host as the caller sees them; what it says of itself misleads nobody else."""
        headers = self._client.headers
        forwarded = (headers.get("x-forwarded-proto") or "").partition(",")[0].strip().lower()
        scheme = forwarded if forwarded in _SCHEMES else self._client.scheme
        return f"{scheme}://{headers.get('host') or self._client.server_address}"


def _subject(account: str, path: str, query: str) -> str:
    return f"{account}\n{path}\n{query}"


def _secret_of(door: Target | None) -> bytes:
    """What only the gateway and its replicas know of an account, b"" where nothing is."""
    return "\n".join(value for _, value in door.headers).encode() if door is not None else b""
