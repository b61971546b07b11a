"""What a pair of dialects makes of calls, replies, streams and errors, as text for golden files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.endpoints.openai_call import parse_call
from gateway.errors import GatewayError
from gateway.model import Call, Endpoint, RerankApi, Unsupported, Usage
from gateway.translate.pair import Pair
from gateway.translate.registry import pair_of
from tests.unit.makers import make_target

NOW_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class Case:
    """One thing that goes through a pair.

    Attributes:
        call: Members of the call's body.
        model_id: What the target calls its model.
        reply: What the target answers; events of a stream as a list, an error as (status, body), what is no
            object as bytes.
        rerank_api: In whose words the target ranks.
    """

    call: dict[str, Any]
    model_id: str = "model-1"
    unsupported: Unsupported = "drop"
    reply: Any = None
    rerank_api: RerankApi = ""


def translated(endpoint: Endpoint, dialect: Any, case: Case) -> dict[str, Any]:
    """The call as the target gets it, and what the caller gets of the answer."""
    target = make_target(
        model_id=case.model_id,
        dialect=dialect,
        unsupported=case.unsupported,
        rerank_api=case.rerank_api,
    )
    body = json.dumps({"model": target.name, **case.call}).encode()
    call = parse_call(endpoint, body, model=None, account=None)
    pair = pair_of(endpoint, target)
    try:
        written, left_out = pair.write(call, target)
    except GatewayError as error:
        return {"refused": [error.status, error.param, error.message]}
    shown: dict[str, Any] = {"path": pair.path(call, target), "request": json.loads(written)}
    if left_out:
        shown["left_out"] = left_out
    return {**shown, **_answered(pair, call, case.reply)}


def _answered(pair: Pair, call: Call, reply: Any) -> dict[str, Any]:
    match reply:
        case None:
            return {}
        case (int(status), dict(body)):
            refusal = pair.read_error(status, json.dumps(body).encode())
            assert refusal is not None
            return {"status": refusal.status, "error": json.loads(refusal.body)}
        case list():
            stream = pair.open_stream(call, started_at_ns=NOW_NS)
            passed = stream.feed(b"".join(reply)) + stream.finish()
            facts = {"is_complete": stream.is_complete, "usage": _counts(stream.facts().usage)}
            return {"stream": passed.decode().splitlines(), **facts}
    given = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    answer, found = pair.read(call, given, started_at_ns=NOW_NS)
    return {"reply": json.loads(answer), "usage": _counts(found.usage)}


def _counts(usage: Usage | None) -> dict[str, Any]:
    """What was counted, without what was not."""
    counted = msgspec.structs.asdict(usage) if usage is not None else {}
    return {name: value for name, value in counted.items() if value is not None and value != ()}
