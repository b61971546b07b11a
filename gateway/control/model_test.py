"""`POST /api/models/test`: one call of a model as a manifest describes it that is not saved yet.

A key that is wrong, an address that is not there and a model that nobody has are told before any caller meets
them. The manifest is checked as a save would check it, masks standing for what is stored; nothing is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.config import Config
from gateway.config.manifest_files import Invalid, ManifestFiles
from gateway.config.manifests.provider_account import ProviderAccount
from gateway.config.manifests.virtual_model import VirtualModelAccount
from gateway.control.audit import AuditTrail, note_asked
from gateway.control.json_body import BodyRefused, read_object
from gateway.control.model_advice import Tried, explain
from gateway.control.replies import error_reply, invalid_reply, json_reply

PATH: Final = "/api/models/test"
MOST_AT_ONCE: Final = 4
_ACCOUNT: Final = "provider-account/"
_WORDS: Final = "Reply with the word OK."
QUESTIONS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": _WORDS}]}),
    "responses": ("/v1/responses", {"input": _WORDS}),
    "completion": ("/v1/completions", {"prompt": _WORDS}),
    "embedding": ("/v1/embeddings", {"input": "OK"}),
    "rerank": ("/v1/rerank", {"query": "OK", "documents": ["OK", "not OK"]}),
    "moderation": ("/v1/moderations", {"input": "OK"}),
}
"""What a model of each kind is asked; one that can do several is asked the first. Those of other kinds
(pictures, sound) have no call that is cheap enough for a test.
"""


class Asker(Protocol):
    """See `gateway.app.model_test`."""

    async def call(self, config: Config, path: str, body: Mapping[str, Any]) -> Tried:
        """Call the model that *body* names, as workers would with *config*."""


@dataclass
class ModelTest:
    """Test calls.

    Attributes:
        asker: Makes them.
        most_at_once: Of all operators together.
    """

    asker: Asker
    most_at_once: int = MOST_AT_ONCE
    _open: int = field(default=0, init=False)

    @property
    def is_full(self) -> bool:
        """Whether one more would be too many."""
        return self._open >= self.most_at_once

    async def run(self, config: Config, model: str, kind: str) -> dict[str, Any]:
        """The answer to one question for a test, of a model of this *kind*."""
        path, body = QUESTIONS[kind]
        self._open += 1
        try:
            tried = await self.asker.call(config, path, {"model": model, **body})
        finally:
            self._open -= 1
        words = explain(tried)
        return {
            "model": model,
            "ok": tried.is_good,
            "status": tried.provider_status or None,
            "latency_ms": round(tried.took_ms, 1),
            "what": words.what,
            "advice": words.advice,
            "answer": tried.answer,
            "answered_by": tried.answered_by or None,
        }


def model_test_routes(files: ManifestFiles, tests: ModelTest, audit: AuditTrail) -> list[Route]:
    """The route of this room."""

    async def test(request: Request) -> Response:
        try:
            kind, name, content, wanted = _asked(await read_object(request))
            config, account = await asyncio.to_thread(files.draft, kind, name, content)
            model, can = _model(config, account, wanted)
        except BodyRefused as error:
            return error.reply()
        except Invalid as error:
            return invalid_reply(str(error), error.problems)
        if tests.is_full:
            message = f"{tests.most_at_once} test calls are open already; try again in a moment"
            return error_reply(503, "busy", message)
        if can is None:
            message = f"nothing tests a model of this kind; call {model} itself once it is saved"
            return error_reply(400, "no_test", message)
        # What is not saved can send a secret somewhere too, and is in no history.
        await note_asked(audit, request, "account.tested", kind, account)
        return json_reply(await tests.run(config, model, can))

    return [Route(PATH, test, methods=["POST"])]


def _asked(body: Mapping[str, Any]) -> tuple[str, str | None, str | dict[str, Any], str | None]:
    """Type, name, content and the model of what is to be tried.

    Raises:
        BodyRefused: They are not such.
    """
    kind, name, model = body.get("type"), body.get("name"), body.get("model")
    text, fields = body.get("yaml"), body.get("manifest")
    if not isinstance(kind, str) or not kind.startswith(_ACCOUNT):
        raise BodyRefused(400, "invalid_parameter", f"'type' is that of an account: {_ACCOUNT}...")
    if not isinstance(name, str | None) or not isinstance(model, str | None):
        raise BodyRefused(400, "invalid_parameter", "'name' and 'model' are texts, or absent")
    content = fields if text is None else text
    if not isinstance(content, str | dict) or (text is not None and fields is not None):
        raise BodyRefused(400, "invalid_parameter", "send 'yaml' as text, or 'manifest' as an object")
    return kind, name, content, model


def _model(config: Config, account: str, wanted: str | None) -> tuple[str, str | None]:
    """The name of the model to call, and what it can do of what can be tested; None for nothing.

    Raises:
        BodyRefused: The account has no such model.
    """
    accounts: list[ProviderAccount | VirtualModelAccount] = [
        *config.provider_accounts,
        *config.virtual_models,
    ]
    found = [
        model
        for one in accounts
        if one.name == account
        for model in one.integrations
        if wanted in (None, model.name)
    ]
    if not found:
        message = "the account has no model yet" if wanted is None else f"the account has no model '{wanted}'"
        raise BodyRefused(400, "invalid_parameter", message)
    return f"{account}/{found[0].name}", _testable(found[0].model_types)


def _testable(kinds: Sequence[str]) -> str | None:
    return next((kind for kind in QUESTIONS if kind in kinds), None) if kinds else "chat"
