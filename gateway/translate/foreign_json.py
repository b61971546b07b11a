"""JSON of others, which may have any shape, and JSON of ours for them."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from gateway.endpoints.openai_content import decode_leniently, find_object
from gateway.endpoints.openai_reply import UNREADABLE, excerpt, text_of
from gateway.errors import InvalidBody, UpstreamBadReply
from gateway.model import Call

_encoder: Final = msgspec.json.Encoder()
_NO_WORDS: Final = "The provider answered with an error."
_MAX_WORDS: Final = 1000


def read_fields(call: Call) -> dict[str, Any]:
    """The members of *call*'s body, decoded; those that are null are as if not there.

    Raises:
        InvalidBody: One of them is nested too deeply, or no JSON on closer look.
    """
    fields = {}
    for name, raw in call.fields.items():
        try:
            value = decode_leniently(raw)
        except UNREADABLE as error:
            raise InvalidBody(f'"{name}" cannot be read: {error}.', param=name) from error
        if value is not None:
            fields[name] = value
    return fields


def read_object(body: bytes) -> dict[str, Any]:
    """A provider's reply.

    Raises:
        UpstreamBadReply: It is no JSON object.
    """
    found = find_object(body)
    if found is None:
        msg = "The provider answered with something that is not a JSON reply."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    return found


def object_of(value: object) -> dict[str, Any]:
    """*value* if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """*value* if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def write_json(value: object) -> bytes:
    """*value* as JSON; half a surrogate pair, which UTF-8 cannot carry, is escaped again.

    Raises:
        RecursionError: It is nested too deeply.
    """
    try:
        return _encoder.encode(value)
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(value, separators=(",", ":")).encode()


def write_reply(value: object) -> bytes:
    """Something for a caller as JSON.

    Raises:
        UpstreamBadReply: What the provider sent is nested so deeply that it cannot be put into other words.
    """
    try:
        return write_json(value)
    except RecursionError as error:
        raise UpstreamBadReply("The provider's reply is nested too deeply.") from error


class DepthLimit:
    """A block that puts a call into other words; one nested too deeply for that is its caller's mistake.

    Raises:
        InvalidBody: It is.
    """

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Put the kind of error right."""
        if isinstance(error, RecursionError):
            raise InvalidBody("The body is nested too deeply to be put into other words.") from error


def write_text(value: object) -> str:
    """*value* as JSON in a text."""
    return write_json(value).decode()


def error_message(found: dict[str, Any]) -> str:
    """What an error says, wherever servers of one dialect put it.

    What is no text is told as JSON: of a call that is wrong, servers on FastAPI list under `detail` which
    fields are, and Mistral does under `message`.
    """
    error = found.get("error")
    told = (object_of(error).get("message"), error, found.get("message"), found.get("detail"))
    said = next(filter(None, map(text_of, told)), "")
    if said:
        return said
    listed = next((value for value in told if isinstance(value, dict | list) and value), None)
    return _NO_WORDS if listed is None else write_reply(listed).decode()[:_MAX_WORDS]


def read_arguments(text: object) -> dict[str, Any]:
    """The arguments of a tool call as an object.

    Models now and then write what is none; it is kept under `arguments`, so that the conversation can go on.
    """
    if isinstance(text, dict):
        return text
    if not isinstance(text, str) or not text.strip():
        return {}
    try:
        found = decode_leniently(text.encode(errors="surrogatepass"))
    except UNREADABLE:
        return {"arguments": text}
    return found if isinstance(found, dict) else {"arguments": text}


def is_json(text: str) -> bool:
    """Whether *text*, the arguments of a tool call so far, is JSON from end to end: no more can follow."""
    try:
        decode_leniently(text.encode(errors="surrogatepass"))
    except UNREADABLE:
        return False
    return True


def data_event(value: object) -> bytes:
    """A stream event as OpenAI sends it; raises as `write_reply`."""
    return b"data: " + write_reply(value) + b"\n\n"


def named_event(value: dict[str, Any]) -> bytes:
    """A stream event as Anthropic sends it, named by its type; raises as `write_reply`."""
    return b"event: " + str(value["type"]).encode() + b"\ndata: " + write_reply(value) + b"\n\n"
