"""What a call may use, before it is known: what limits on tokens and money take in advance.

Input is the bytes of its text / 4, 8 tokens for each message, and for what is no text what its provider is
known to count at most. Output is the maximum that the call asks for, for each of its choices; where it says
none, what replies of the target hardly ever exceed. Both are corrected when the call has ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import repeat
from math import ceil
from typing import Any, Final, Literal

import msgspec

from gateway.endpoints.bedrock_catalogue import INVOKE
from gateway.endpoints.catalogue import IMAGE
from gateway.endpoints.openai_reply import MEDIA_BYTES_PER_TOKEN
from gateway.endpoints.spoken_usage import find_spoken
from gateway.limits.output_sizes import OutputSizes
from gateway.limits.rules import MICRO_USD
from gateway.model import Call, LimitKind, Price, Target, Usage

_BYTES_PER_TOKEN: Final = 4
_TOKENS_PER_MESSAGE: Final = 8
_MOST: Final = 1 << 40
"""No call uses more; what a body says beyond is as much."""

_MOST_AS_READ: Final = float(_MOST)

_IMAGE_TOKENS: Final = {"anthropic": 1_600, "gemini": 1_120, "vertex_ai": 1_120}
_IMAGE_TOKENS_ELSEWHERE: Final = 1_445
"""OpenAI's of the biggest picture at high detail: 85 and 170 for each of 8 tiles."""

_MAXIMA: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens", "max_tokens_to_sample")
_INVOKED_MAXIMA: Final = (*_MAXIMA, "max_gen_len", "max_new_tokens", "maxTokens", "maxTokenCount")
_MAXIMA_OF: Final = {
    "chat": ("max_completion_tokens", "max_tokens"),
    "completion": ("max_tokens",),
    "messages": ("max_tokens",),
    "responses": ("max_output_tokens",),
    INVOKE.name: _INVOKED_MAXIMA,
}
"""By the endpoint's name: what another API calls its maximum, a server may pass over, and write on."""

_CONFIGS: Final = ("inferenceConfig", "textGenerationConfig")
"""Members of what is invoked at Bedrock that may have one."""

_CHAT: Final = "messages"
_MESSAGES: Final = (_CHAT, "contents", "input")
_SCHEMAS: Final = frozenset({"tools", "functions", "response_format", "toolConfig", "text", "json_schema"})
"""Members whose names are read by the model too, so their JSON counts as it is."""

_TEXTS: Final = frozenset({"input", "prompt", "system", "instructions", "query", "inputText", "suffix"})
"""Members of a body that are read where they are a text; other words of it are settings."""

_SETTINGS: Final = frozenset({"model", "stream", "n", "seed", "temperature", "top_p", *_MAXIMA})
"""Members that are never a text."""

_SMALL_BYTES: Final = 16 * 1024
"""Of a body whose names are no burden to keep."""

_NO_TEXT: Final = frozenset({"type", "role", "model", "id", "mimeType", "media_type", "format", "detail"})
_READ_AS_IT_IS: Final = _TEXTS | {"content", "text"}
"""Members that are a text whatever they look like: a prompt may begin as an address of data does."""

_DATA: Final = frozenset({"data", "bytes", "file_data", "b64_json"})
_TEXT_FORMATS: Final = frozenset({"txt", "md", "csv", "html"})
"""Bedrock's of documents that are a text."""

_TEXT_TYPES: Final = ("text/", "application/json", "application/xml")
_Kind = Literal["", "image", "text", "encoded text"]
"""What the data of an object are; "" for sound, film and what else is no text."""

_IMAGES: Final = frozenset({"image_url", "input_image", "image"})
_WITHOUT_OUTPUT: Final = frozenset({"embeddings"})
_COUNTING: Final = "count_tokens"
"""The operation that costs nothing."""

_UNREAD: Final = (1, 0)
"""Tokens of a call of which nobody can tell before: refused where nothing is left, and counted in the end."""

_UNPRICED_MICRO_USD: Final = 1
"""The same of money, where there is no price."""

_NESTED: Final = frozenset({b"[", b"{"})
_DATA_URL: Final = "data:"
_IMAGE_URL: Final = "data:image/"
_TEXT_URLS: Final = tuple([_DATA_URL + kind for kind in _TEXT_TYPES])
_numbers: Final = msgspec.json.Decoder(float)
_loose_numbers: Final = msgspec.json.Decoder(float | str)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _PlainMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: str
    content: str


Aside = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Does work, and gives what that gives."""

_plain: Final = msgspec.json.Decoder(list[_PlainMessage])


class _Sizes:
    """What was found in a call."""

    __slots__ = ("images", "media_bytes", "messages", "text_bytes")

    def __init__(self) -> None:
        self.messages = 0
        self.text_bytes = 0
        self.images = 0
        self.media_bytes = 0


class Estimate(msgspec.Struct, eq=False, gc=False):
    """`gateway.limits.permit.Need` of one call; worked out when a limit first asks.

    Attributes:
        call: As it was asked.
        targets: Who may answer.
        sizes: How long replies of these usually are.
        aside: Does what takes long; None: nothing does.
    """

    call: Call
    targets: Sequence[Target]
    sizes: OutputSizes
    aside: Aside | None = None
    # As `_input_of` found it.
    _input: tuple[int, int, int | None, int] | None = None
    # Of every target that has nothing of its own to say, once one has been asked about; and of others.
    _alike: tuple[int, int] | None = None
    _tokens_of: dict[str, tuple[int, int]] | None = None
    # The last cost that was worked out, and of what: a model has one price at most of its targets.
    _paid: tuple[object, tuple[int, int], int] | None = None

    # Without what is asked, and of whom.
    __repr__ = object.__repr__

    @property
    def is_unread(self) -> bool:
        """See `gateway.limits.held.Need`."""
        return self.aside is not None

    async def read(self) -> None:
        """Look through the call aside, before the first amount is asked for."""
        if self.aside is not None and self.call.endpoint.counts_tokens:
            self._input = await self.aside(partial(_input_of, self.call))
        self.aside = None

    def amount(self, kind: LimitKind, target: str) -> int:
        """Most of it, at *target*; "" for whichever it will be."""
        asked = self.targets
        if len(asked) == 1:
            # As most calls have it.
            tokens = self._alike
            if tokens is None:
                tokens = self._tokens(asked[0])
            return tokens[0] + tokens[1] if kind == "tokens" else self._cost(asked[0], tokens)
        if target:
            asked = [one for one in asked if one.name == target] or asked
        most = 0
        for one in asked:
            tokens = self._alike
            if tokens is None or one.parameters:
                tokens = self._tokens(one)
            amount = tokens[0] + tokens[1] if kind == "tokens" else self._cost(one, tokens)
            most = amount if amount > most else most  # noqa: FURB136  each call is asked
        return most

    def input_tokens(self, target: Target) -> int | None:
        """See `gateway.limits.held.Need`."""
        if self.is_unread or not (self.call.endpoint.counts_tokens and self.call.fields):
            return None
        return self._tokens(target)[0]

    def _cost(self, target: Target, tokens: tuple[int, int]) -> int:
        """In millionths of a USD."""
        price, paid = target.price, self._paid
        if paid is not None and paid[0] is price and paid[1] is tokens:
            return paid[2]
        if self.call.endpoint.operation == _COUNTING:
            return 0
        if price is None:
            cost = _UNPRICED_MICRO_USD
        elif (cost_usd := price.tokens_usd(*tokens)) is None:
            spoken = find_spoken(self.call)
            cost = _UNPRICED_MICRO_USD if spoken is None else _micro_usd(price.cost_usd(spoken))
        elif tokens is _UNREAD:
            cost = least_cost(price)
        elif self.call.endpoint.name == IMAGE.name:
            cost = _micro_usd(price.cost_usd(_drawing(*tokens)))
        else:
            cost = _micro_usd(cost_usd)
        self._paid = (price, tokens, cost)
        return cost

    def _tokens(self, target: Target) -> tuple[int, int]:
        """Of input and output at *target*, kept for the next time."""
        if self._tokens_of is not None and (kept := self._tokens_of.get(target.name)) is not None:
            return kept
        call, endpoint = self.call, self.call.endpoint
        operation, parameters = endpoint.operation, target.parameters
        if operation == _COUNTING:
            tokens = self._alike = (0, 0)
            return tokens
        if not endpoint.counts_tokens or not (call.fields or call.body):
            if endpoint.name == IMAGE.name:
                return self._keep(target, self._drawn(target))
            tokens = self._alike = _UNREAD
            return tokens
        if self._input is None:
            self._input = _input_of(call)
        asked, images, most, least = self._input
        if images:
            asked += images * _IMAGE_TOKENS.get(target.provider, _IMAGE_TOKENS_ELSEWHERE)
        if parameters:
            most, least = _maxima_over(parameters, most, least, self.sizes.usual(target.name))
        answered = 0
        if operation not in _WITHOUT_OUTPUT:
            answered = self.sizes.usual(target.name) if most is None else most
            answered = least if least > answered else answered  # noqa: FURB136  each call is asked
            has_more = parameters or "best_of" in call.fields
            answered = min(_MOST, answered * (_replies(call, parameters) if has_more else call.choices))
        tokens = (asked, answered)
        if most is not None and not images and not parameters:
            self._alike = tokens
        else:
            self._keep(target, tokens)
        return tokens

    def _drawn(self, target: Target) -> tuple[int, int]:
        """Of pictures: as many as earlier ones of *target* had; nothing else says that of a first one.

        Of a form, which is not read before, those of one call, however many that makes.
        """
        call, usual = self.call, self.sizes.known(target.name)
        if usual is None:
            return _UNREAD
        if not call.fields:
            return _UNREAD[0], usual
        replies = _replies(call, target.parameters) if target.parameters else call.choices
        return call.body_bytes // _BYTES_PER_TOKEN, min(_MOST, usual * replies)

    def _keep(self, target: Target, tokens: tuple[int, int]) -> tuple[int, int]:
        if self._tokens_of is None:
            self._tokens_of = {target.name: tokens}
        else:
            self._tokens_of[target.name] = tokens
        return tokens


def _micro_usd(cost_usd: float | None) -> int:
    return _UNPRICED_MICRO_USD if cost_usd is None else min(ceil(cost_usd * MICRO_USD), _MOST)


def _drawing(input_tokens: int, output_tokens: int) -> Usage:
    """Whose output is pictures, which may have a rate of their own."""
    return Usage(input_tokens, output_tokens, "estimated", image_output_tokens=output_tokens)


def least_cost(price: Price) -> int:
    """What a call of which nothing is known costs at least, in millionths of a USD; 0 only where all is free.

    One token of input would not do: there are models of which only what they write has a price.
    """
    of_any = ceil((price.tokens_usd(0, 0) or 0.0) * MICRO_USD)
    return max(of_any, _UNPRICED_MICRO_USD) if price.tokens_usd(1, 1) != 0 else of_any


def _input_of(call: Call) -> tuple[int, int, int | None, int]:
    """Tokens of the input without its images, how many of these there are, and the maximum of the output.

    The last is what such a maximum is at least to servers that read more than this one does.
    """
    if not call.fields:
        most = None if call.parameters is None else _maximum(call.parameters)
        return call.body_bytes // _BYTES_PER_TOKEN, 0, most, 0
    text_bytes = messages = 0
    others: _Sizes | None = None
    fields = call.fields
    form = _kept_form_of if call.body_bytes <= _SMALL_BYTES else _form_of
    maxima, texts, configs, alike = form(call.endpoint.name, tuple(fields))
    most, least = _maxima_in(fields, maxima, alike) if maxima or alike else (None, 0)
    for name in configs:
        most = _maximum_within(fields[name], most)
    for name in texts:
        raw = fields[name]
        if name == _CHAT and (plain := _plain_messages(raw)) is not None:
            messages, text_bytes = plain
        else:
            others = others or _Sizes()
            _add(name, bytes(raw), others)
    if call.parameters is not None:
        most = _maximum(call.parameters)
    if others is None:
        return -(-text_bytes // _BYTES_PER_TOKEN) + messages * _TOKENS_PER_MESSAGE, 0, most, least
    text = -(-(text_bytes + others.text_bytes) // _BYTES_PER_TOKEN)
    media = others.media_bytes // MEDIA_BYTES_PER_TOKEN
    tokens = text + (messages + others.messages) * _TOKENS_PER_MESSAGE + media
    return tokens, others.images, most, least


def _maxima_in(
    fields: Mapping[str, msgspec.Raw], names: Sequence[str], alike: Sequence[str]
) -> tuple[int | None, int]:
    """The largest maximum, and what it is at least to servers that read more: *alike* are names to them."""
    most, least = None, 0
    for name in names:
        number = _number(fields[name])
        if number is None:
            least = max(least, _loose_number(fields[name]))
        elif most is None or number > most:
            most = number
    for name in alike:
        least = max(least, _loose_number(fields[name]))
    return most, least


_Form = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _form_of(endpoint: str, names: tuple[str, ...]) -> _Form:
    """Of the members of a body those that say how long a reply may be, that may have texts, or one such.

    And those that say the former to servers that do not tell upper and lower case apart (Go's JSON, and so
    Ollama).
    """
    known = _MAXIMA_OF.get(endpoint, _MAXIMA)
    maxima = tuple([name for name in names if name in known])
    configs = tuple([name for name in names if endpoint == INVOKE.name and name in _CONFIGS])
    alike = tuple([name for name in names if name not in known and name.lower() in known])
    return maxima, tuple([name for name in names if name not in _SETTINGS]), configs, alike


_kept_form_of: Final = lru_cache(maxsize=256)(_form_of)
"""The same of bodies without long names: an application sends the same members again and again."""


def _plain_messages(raw: msgspec.Raw) -> tuple[int, int] | None:
    """How many messages, and bytes, of messages that are a text and no more, as most are; else None."""
    try:
        messages = _plain.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None
    text_bytes = 0
    for message in messages:
        text = message.content
        text_bytes += len(text) if text.isascii() else _length(text)
    return len(messages), text_bytes


def _add(name: str, value: bytes, sizes: _Sizes) -> None:
    """Add up a member of the body."""
    if value[:1] not in _NESTED and name not in _TEXTS:
        return
    if name in _SCHEMAS:
        sizes.text_bytes += len(value)
        return
    try:
        decoded = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        sizes.text_bytes += len(value)
        return
    if name in _MESSAGES and isinstance(decoded, list):
        sizes.messages += sum(isinstance(message, dict) for message in decoded)
    _measure(name, decoded, sizes)


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _measure(name: str, root: Any, sizes: _Sizes) -> None:
    """Add up what is below *root*, without recursion: how deep it goes is the caller's choice."""
    # Iterators, since a list of what is left of a million small things would take a hundred megabytes.
    left: list[Iterator[tuple[str, Any, _Kind]]] = [iter(((name, root, ""),))]
    while left:
        for key, value, kind in left[-1]:
            if isinstance(value, str):
                _measure_text(key, value, sizes, kind)
            elif isinstance(value, dict):
                below = kind if kind == "image" else _kind_of(value) or kind
                if below == "image" and kind != "image":
                    sizes.images += 1
                left.append(_below(value.items(), below))
                break
            elif key in _TEXTS and isinstance(value, int):
                # What is asked for already stands in tokens.
                sizes.text_bytes += _BYTES_PER_TOKEN
            elif isinstance(value, list):
                left.append(zip(repeat(key), value, repeat(kind)))
                break
        else:
            left.pop()


def _below(members: Iterable[tuple[Any, Any]], kind: _Kind) -> Iterator[tuple[str, Any, _Kind]]:
    for name, member in members:
        yield str(name), member, kind


def _measure_text(key: str, value: str, sizes: _Sizes, kind: _Kind) -> None:
    if key in _NO_TEXT:
        return
    is_data = key in _DATA or value.startswith(_DATA_URL)
    if key in _READ_AS_IT_IS or not (is_data or kind == "image"):
        sizes.text_bytes += _length(value)
    elif kind == "image":
        # A picture counts as one, however many bytes it has.
        pass
    elif value.startswith(_IMAGE_URL):
        sizes.images += 1
    elif kind == "text":
        sizes.text_bytes += _length(value)
    elif kind or value.startswith(_TEXT_URLS):
        sizes.text_bytes += len(value) * 3 // 4
    else:
        sizes.media_bytes += len(value) * 3 // 4


def _kind_of(value: Mapping[str, Any]) -> _Kind:
    """What the data of an object are, in any API's words."""
    kind = value.get("type")
    # A caller may put anything there.
    if isinstance(kind, str) and kind in _IMAGES:
        return "image"
    media_type = value.get("mimeType") or value.get("mime_type") or value.get("media_type")
    if isinstance(media_type, str):
        if media_type.startswith("image/"):
            return "image"
        if media_type.startswith(_TEXT_TYPES):
            return "text" if kind == "text" else "encoded text"
        return ""
    # Bedrock's, whose parts are named by their only member.
    if isinstance(value.get("image"), dict):
        return "image"
    written = value.get("format")
    return "encoded text" if isinstance(written, str) and written in _TEXT_FORMATS else ""


def _maximum(
    parameters: Mapping[str, msgspec.Raw] | Mapping[str, bytes], names: Sequence[str] = _MAXIMA
) -> int | None:
    """Most tokens of one choice that *parameters* allow under these *names*, None when they do not say."""
    most = None
    for name in names:
        if name in parameters:
            most = _larger(most, parameters[name])
    return most


def _maxima_over(
    parameters: Mapping[str, bytes], most: int | None, least: int, usual: int
) -> tuple[int | None, int]:
    """As `_maxima_in`, by what a route puts over a call's own maximum, which it may take away."""
    put_over = _maximum(parameters)
    if put_over is not None:
        return put_over, 0
    if not parameters.keys().isdisjoint(_MAXIMA):
        return max(usual, most or 0), least
    return most, least


def _maximum_within(config: msgspec.Raw, most: int | None) -> int | None:
    """The larger of *most* and what a member of a body says."""
    try:
        found = _members.decode(config)
    except (msgspec.DecodeError, RecursionError):
        return most
    within = _maximum(found, _INVOKED_MAXIMA)
    return most if within is None else max(within, most or 0)


def _larger(most: int | None, value: msgspec.Raw | bytes) -> int | None:
    """The larger of two maxima, as far as they are some."""
    number = _number(value)
    return number if most is None or (number is not None and number > most) else most


def _replies(call: Call, put_over: Mapping[str, bytes]) -> int:
    """How many replies are written, of which the caller gets its choices: with `best_of` more than these."""
    own = call.fields
    given = {name: put_over.get(name) or own.get(name) for name in ("n", "best_of")}
    # A server that does not take a number in quotes refuses the call, or makes one reply.
    of_each = max(_loose_number(value) or 1 if value is not None else 1 for value in given.values())
    asked = own.get("n")
    return call.choices * of_each // (1 if asked is None else _number(asked) or 1)


def _number(value: msgspec.Raw | bytes) -> int | None:
    """A number of tokens; None for what is none, which a provider refuses or takes for no maximum."""
    try:
        number = _numbers.decode(value)
    except msgspec.DecodeError:
        return None
    return None if number <= 0 else int(number) if number < _MOST_AS_READ else _MOST


def _loose_number(value: msgspec.Raw | bytes) -> int:
    """The same also in quotes, in which some servers take it and others do not; 0 for what is none.

    As Python reads a number, and so its servers do (vLLM): with blanks around it, a sign, or "1_000".
    """
    try:
        number = float(_loose_numbers.decode(value))
    except (msgspec.DecodeError, ValueError):
        return 0
    return (int(number) if number < _MOST_AS_READ else _MOST) if number > 0 else 0
