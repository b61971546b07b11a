"""Reading a call of a model, OpenAI's or Anthropic's, and writing it out for one target that speaks the same.

The body is split once into its top-level members, each value left as the bytes that came. Only what the
gateway acts on is decoded. Writing replaces `model` (and `stream_options` where usage must be asked for) and
joins the rest unchanged, so an unknown field, a long number or an odd escape arrives upstream exactly as
sent. A repeated top-level key keeps its last value, as JSON parsers do, so gateway and provider cannot read
two different models from one body.

Shapes: https://platform.openai.com/docs/api-reference/chat/create , https://docs.claude.com/en/api/messages
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable
from itertools import product
from typing import Final, TypeVar

import msgspec

from gateway.endpoints.catalogue import COMPLETION
from gateway.endpoints.openai_quirks import adapt
from gateway.errors import InvalidBody, InvalidJson
from gateway.model import Call, Endpoint, Quirks

MAX_MEMBERS: Final = 1000
"""Top-level fields of a body; no API has a hundred."""

# To servers that do not tell upper and lower case apart (Go's JSON, and so Ollama) each is `model`, and the
# last one counts.
_LIKE_MODEL: Final = frozenset(map("".join, product(*("mM", "oO", "dD", "eE", "lL")))) - {"model"}
# msgspec reads past the first half, and calls it truncated where too little follows.
_HALF_PAIR: Final = re.compile("hex escape|surrogate")
_HALF_AT_END: Final = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}[\s\S]{0,5}\Z")
_END_BYTES: Final = 11
_MAX_OPTIONS_BYTES: Final = 16 * 1024
_T = TypeVar("_T")

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_texts: Final = msgspec.json.Decoder(str | None)
_booleans: Final = msgspec.json.Decoder(bool | None)
_numbers: Final = msgspec.json.Decoder(int | None)
_items: Final = msgspec.json.Decoder(list[msgspec.Raw])
_encoder: Final = msgspec.json.Encoder()
_NULL: Final = b"null"
_NO_FIELDS: Final[dict[str, msgspec.Raw]] = {}


STRICT_HEADER: Final = "x-tfy-strict-openai"
"""`true`: nothing in a chat answer that OpenAI's have not; `false`: what a model thinks too."""


class StreamOptions(msgspec.Struct):
    """The part of `stream_options` that the gateway acts on."""

    include_usage: bool | None = None


_options: Final = msgspec.json.Decoder(StreamOptions | None)


def parse_call(endpoint: Endpoint, body: bytes, *, model: str | None, account: str | None) -> Call:
    """Read a call.

    Args:
        endpoint: Which endpoint was asked.
        body: As received.
        model: Model name from `x-tfy-model-name`, used when the body names none.
        account: Provider account from `x-tfy-provider-name`, joined to a bare model name.

    Raises:
        InvalidJson: Not JSON, not UTF-8, or nested too deeply to read.
        InvalidBody: Not an object, or a field that the gateway acts on has the wrong type.
    """
    fields = split_body(body)
    asked = model_in(fields) or model
    if not asked:
        msg = 'The body names no model. Add "model": "<account>/<model>"; GET /v1/models lists yours.'
        raise InvalidBody(msg, param="model")
    if account:
        asked = full_name(asked, account)
    is_stream = endpoint.can_stream and "stream" in fields and bool(_member(fields, "stream", _booleans))
    if endpoint.dialect == "anthropic":
        # One answer, and usage always; what else a body may have is none of our business.
        return Call(endpoint, asked, is_stream, True, 1, fields, len(body))
    if is_stream and len(bytes(fields.get("stream_options", b""))) > _MAX_OPTIONS_BYTES:
        msg = f'"stream_options" is longer than {_MAX_OPTIONS_BYTES} bytes.'
        raise InvalidBody(msg, param="stream_options")
    options = _member(fields, "stream_options", _options) if is_stream else None
    return Call(
        endpoint=endpoint,
        model=asked,
        is_stream=is_stream,
        # Only streams of completions have to be asked for their usage.
        wants_usage=endpoint.reply != "completion" or (options is not None and bool(options.include_usage)),
        choices=choices_of(endpoint, fields) if "n" in fields or endpoint is COMPLETION else 1,
        fields=fields,
        body_bytes=len(body),
    )


def with_strictness(call: Call, strict: str | None) -> Call:
    """*call* with what `x-tfy-strict-openai` says of it.

    Raises:
        InvalidBody: That is neither `true` nor `false`.
    """
    if strict is None:
        return call
    if strict not in ("true", "false"):
        msg = f'{STRICT_HEADER} must be "true" or "false".'
        raise InvalidBody(msg, param=STRICT_HEADER)
    return msgspec.structs.replace(call, shows_thoughts=strict == "false")


def full_name(model: str, account: str | None) -> str:
    """The *model* with the account before it, if one was named beside it and is not there already."""
    return f"{account}/{model}" if account and not model.startswith(account + "/") else model


def unread_call(endpoint: Endpoint, name: str, body_bytes: int = 0) -> Call:
    """A call of which nothing but its name is read: what it has for a body passes as it comes.

    Args:
        endpoint: What is asked for.
        name: Of a model or an account.
        body_bytes: As far as it is known.
    """
    return Call(endpoint, name, False, True, 1, _NO_FIELDS, body_bytes)


def write_renamed(call: Call, model_id: str) -> bytes:
    """The body for one target: *call*'s, under the name *model_id*."""
    fields = dict(call.fields)
    fields["model"] = msgspec.Raw(_encoder.encode(model_id))
    return _encoder.encode(fields)


def write_call(call: Call, model_id: str, quirks: Quirks | None = None) -> bytes:
    """The body for one target: *call*'s, under the name *model_id*, asking for usage if it is a stream."""
    fields = dict(call.fields)
    fields["model"] = msgspec.Raw(_encoder.encode(model_id))
    if call.is_stream and not call.wants_usage:
        fields["stream_options"] = _with_usage(fields.get("stream_options"))
    if quirks is not None:
        adapt(fields, quirks)
    return _encoder.encode(fields)


def rewrite_model(body: bytes, rename: Callable[[str], str]) -> bytes:
    """*body* with another `model`, where it is a JSON object that has one; else as it is.

    Args:
        body: As received; what cannot be read is the provider's to judge.
        rename: Gives the name that goes out for the one that came.
    """
    try:
        body.decode()
        fields = _members.decode(body)
        model = _texts.decode(fields["model"])
    except (ValueError, KeyError, RecursionError):
        return body
    if not model or (name := rename(model)) == model:
        return body
    fields["model"] = msgspec.Raw(_encoder.encode(name))
    return _encoder.encode(fields)


def model_in(fields: dict[str, msgspec.Raw]) -> str:
    """The model that a body names, "" for none.

    Raises:
        InvalidBody: It is no text, or named a second time in other letters.
    """
    if not _LIKE_MODEL.isdisjoint(fields):
        msg = 'The body has a field that servers may take for another "model". Write it once, in lower case.'
        raise InvalidBody(msg, param="model")
    return _member(fields, "model", _texts) or ""


def model_named(body: bytes) -> str:
    """The model that *body* names, "" where it is nothing that names one."""
    try:
        return model_in(split_body(body))
    except (InvalidJson, InvalidBody):
        return ""


def write_fields(fields: dict[str, msgspec.Raw], model: str) -> bytes:
    """A body of *fields* that names *model*, "" for none."""
    named = {"model": msgspec.Raw(_encoder.encode(model))} if model else {}
    return _encoder.encode(fields | named)


def split_body(body: bytes) -> dict[str, msgspec.Raw]:
    """The top-level members of a body, each as it came.

    Raises:
        InvalidJson: Not JSON, not UTF-8, or nested too deeply to read.
        InvalidBody: Not an object, or one of too many members.
    """
    if not body or body.isspace():
        msg = "The body is empty. Send a JSON object with content-type application/json."
        raise InvalidJson(msg)
    try:
        # msgspec skips over values without looking into their strings. To look whether all is ASCII, as most
        # is, makes no copy: of 20 MB that is 8 ms less (perf.overload).
        _ = body.isascii() or body.decode()
        fields = _members.decode(body)
    except UnicodeDecodeError as error:
        msg = f"The body is not UTF-8 (byte {error.start}). Send JSON encoded as UTF-8."
        raise InvalidJson(msg) from error
    except msgspec.ValidationError as error:
        msg = 'The body is JSON but not an object. Send an object such as {"model": ..., "messages": [...]}.'
        raise InvalidBody(msg) from error
    except msgspec.DecodeError as error:
        msg = f"The body is not JSON: {_what_is_wrong(body, str(error))}."
        raise InvalidJson(msg) from error
    except RecursionError as error:
        msg = "The body is nested too deeply to read."
        raise InvalidJson(msg) from error
    if len(fields) > MAX_MEMBERS:
        raise too_many_members()
    return fields


def too_many_members() -> InvalidBody:
    """Why a body of more than `MAX_MEMBERS` is refused."""
    return InvalidBody(f"The body has more than {MAX_MEMBERS} fields at its top level.")


def _what_is_wrong(body: bytes, found: str) -> str:
    """What msgspec has *found*, in words for who wrote it."""
    if body.startswith(BOM_UTF8):
        return "it begins with a byte order mark"
    if _HALF_PAIR.search(found) or _HALF_AT_END.search(body, max(0, len(body) - _END_BYTES)):
        return r"half of a surrogate pair (\ud800 to \udfff) is in it, as if a text was cut within an emoji"
    return found


def _member(fields: dict[str, msgspec.Raw], name: str, decoder: msgspec.json.Decoder[_T | None]) -> _T | None:
    """The member as *decoder* reads it; None when absent or null."""
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        msg = f'"{name}" has the wrong type: {error}.'
        raise InvalidBody(msg, param=name) from error


def choices_of(endpoint: Endpoint, fields: dict[str, msgspec.Raw]) -> int:
    """How many choices a call of these *fields* asks for.

    Raises:
        InvalidBody: `n` is no number.
    """
    return max(1, _member(fields, "n", _numbers) or 1) * _prompts(endpoint, fields)


def _prompts(endpoint: Endpoint, fields: dict[str, msgspec.Raw]) -> int:
    """How many prompts a text completion has: each gets `n` choices. A list of tokens is one prompt."""
    prompt = bytes(fields.get("prompt", b"")) if endpoint is COMPLETION else b""
    if not prompt.startswith(b"["):
        return 1
    try:
        prompts = _items.decode(prompt)
    except (msgspec.DecodeError, RecursionError):
        return 1
    return sum(bytes(item)[:1] in (b'"', b"[") for item in prompts) or 1


def _with_usage(options: msgspec.Raw | None) -> msgspec.Raw:
    members = {} if options is None or bytes(options) == _NULL else _members.decode(options)
    members["include_usage"] = msgspec.Raw(b"true")
    return msgspec.Raw(_encoder.encode(members))
