"""What a call may use, before it is known: what limits on tokens and money take in advance.

Input is the bytes of its text / 4, 8 tokens for each message, and for what is no text what its provider is
known to count at most. Output is the maximum that the call asks for, for each of its choices; where it says
none, what replies of the target hardly ever exceed. Both are corrected when the call has ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import repeat
from math import ceil
from typing import Any, Final

import msgspec

from gateway.limits.output_sizes import OutputSizes
from gateway.limits.rules import MICRO_USD
from gateway.model import Call, LimitKind, Target, Usage

_BYTES_PER_TOKEN: Final = 4
_TOKENS_PER_MESSAGE: Final = 8
_MOST: Final = 1 << 40
"""No call uses more; what a body says beyond is as much."""

_IMAGE_TOKENS: Final = {"anthropic": 1_600, "gemini": 1_120, "vertex_ai": 1_120}
_IMAGE_TOKENS_ELSEWHERE: Final = 1_445
"""OpenAI's of the biggest picture at high detail: 85 and 170 for each of 8 tiles."""

_BYTES_PER_MEDIA_TOKEN: Final = 500
"""Of sound and film: 32 tokens a second at 128 kbit/s."""

_MAXIMA: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens", "max_tokens_to_sample")

_CHAT: Final = "messages"
_MESSAGES: Final = (_CHAT, "contents", "input")
_SCHEMAS: Final = frozenset({"tools", "functions", "response_format", "toolConfig", "text", "json_schema"})
"""Members whose names are read by the model too, so their JSON counts as it is."""

_TEXTS: Final = frozenset({"input", "prompt", "system", "instructions", "query", "inputText", "suffix"})
"""Members of a body that are read where they are a text; other words of it are settings."""

_SETTINGS: Final = frozenset({"model", "stream", "n", "seed", "temperature", "top_p", *_MAXIMA})
"""Members that are never a text."""

_NO_TEXT: Final = frozenset({"type", "role", "model", "id", "mimeType", "media_type", "format", "detail"})
_DATA: Final = frozenset({"data", "bytes", "file_data", "b64_json"})
_IMAGES: Final = frozenset({"image_url", "input_image", "image"})
_WITHOUT_OUTPUT: Final = frozenset({"embeddings"})
_COUNTING: Final = "count_tokens"
"""The operation that costs nothing."""

_UNREAD_TOKENS: Final = 1
"""Of a call of which nobody can tell before: it is refused where nothing is left, and counted in the end."""

_UNPRICED_MICRO_USD: Final = 1
"""The same of money, where there is no price."""

_NESTED: Final = frozenset({b"[", b"{"})
_DATA_URL: Final = "data:"
_IMAGE_URL: Final = "data:image/"
_numbers: Final = msgspec.json.Decoder(float)


class _PlainMessage(msgspec.Struct, forbid_unknown_fields=True):
    role: str
    content: str


Aside = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Does work, and gives what that gives."""

_plain: Final = msgspec.json.Decoder(list[_PlainMessage])


class _Sizes:
    """What was found in a call."""

    __slots__ = ("images", "media_bytes", "text_bytes")

    def __init__(self) -> None:
        self.text_bytes = 0
        self.images = 0
        self.media_bytes = 0


class Estimate:
    """`gateway.limits.permit.Need` of one call; worked out when a limit first asks."""

    __slots__ = (
        "_aside",
        "_call",
        "_input",
        "_paid",
        "_sizes",
        "_targets",
        "_tokens_of",
        "_tokens_of_most",
        "is_unread",
    )

    def __init__(
        self, call: Call, targets: Sequence[Target], sizes: OutputSizes, aside: Aside | None = None
    ) -> None:
        """Prepare.

        Args:
            call: As it was asked.
            targets: Who may answer.
            sizes: How long replies of these usually are.
            aside: Does what takes long, where that does.
        """
        self._aside = aside
        self.is_unread = aside is not None
        self._call = call
        self._targets = targets
        self._sizes = sizes
        self._input: tuple[int, int, int | None] | None = None
        self._tokens_of: dict[str, tuple[int, int]] = {}
        # Of every target that has nothing of its own to say, once one has been asked about.
        self._tokens_of_most: tuple[int, int] | None = None
        # The last cost that was worked out, and of what: a model has one price at most of its targets.
        self._paid: tuple[object, tuple[int, int], int] | None = None

    async def read(self) -> None:
        """Look through the call aside, before the first amount is asked for."""
        if self._aside is not None and self._call.endpoint.counts_tokens:
            self._input = await self._aside(partial(_input_of, self._call))
        self.is_unread = False

    def amount(self, kind: LimitKind, target: str) -> int:
        """Most of it, at *target*; "" for whichever it will be."""
        asked = self._targets
        if len(asked) == 1:
            return self._amount_at(kind, asked[0])
        if target:
            asked = [one for one in asked if one.name == target] or asked
        return max([self._amount_at(kind, one) for one in asked], default=0)

    def _amount_at(self, kind: LimitKind, target: Target) -> int:
        tokens = None if target.parameters else self._tokens_of_most
        if tokens is None:
            tokens = self._tokens_of.get(target.name)
        if tokens is None:
            tokens = self._tokens_of[target.name] = self._tokens(target)
        if kind == "tokens":
            return tokens[0] + tokens[1]
        if self._call.endpoint.operation == _COUNTING:
            return 0
        price, paid = target.price, self._paid
        if paid is not None and paid[0] is price and paid[1] is tokens:
            return paid[2]
        cost_usd = None if price is None else price.cost_usd(Usage(*tokens, "estimated"))
        cost = _UNPRICED_MICRO_USD if cost_usd is None else min(_MOST, ceil(cost_usd * MICRO_USD))
        self._paid = (price, tokens, cost)
        return cost

    def _tokens(self, target: Target) -> tuple[int, int]:
        """Of input and output at *target*."""
        call = self._call
        endpoint = call.endpoint
        if endpoint.operation == _COUNTING:
            return 0, 0
        if not endpoint.counts_tokens or not (call.fields or call.body):
            return _UNREAD_TOKENS, 0
        if self._input is None:
            self._input = _input_of(call)
        asked, images, most = self._input
        if images:
            asked += images * _IMAGE_TOKENS.get(target.provider, _IMAGE_TOKENS_ELSEWHERE)
        if endpoint.operation in _WITHOUT_OUTPUT:
            return asked, 0
        if target.parameters:
            most = _maximum(target.parameters) or most
        answered = self._sizes.usual(target.name) if most is None else most
        tokens = (asked, min(_MOST, answered * _replies(call, target)))
        if most is not None and not images and not target.parameters:
            self._tokens_of_most = tokens
        return tokens


def _input_of(call: Call) -> tuple[int, int, int | None]:
    """Tokens of the input without its images, how many of these there are, and the maximum of the output."""
    most = _maximum(call.fields if call.parameters is None else call.parameters)
    if not call.fields:
        return call.body_bytes // _BYTES_PER_TOKEN, 0, most
    sizes = _Sizes()
    messages = 0
    for name, raw in call.fields.items():
        if name in _SETTINGS:
            continue
        value = bytes(raw)
        if value[:1] not in _NESTED and name not in _TEXTS:
            continue
        if name == _CHAT and (plain := _plain_messages(value)) is not None:
            messages += len(plain)
            sizes.text_bytes += sum(map(_length, plain))
            continue
        if name in _SCHEMAS:
            sizes.text_bytes += len(value)
            continue
        try:
            decoded = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            sizes.text_bytes += len(value)
            continue
        if name in _MESSAGES and isinstance(decoded, list):
            messages += sum(isinstance(message, dict) for message in decoded)
        _measure(name, decoded, sizes)
    media = sizes.media_bytes // _BYTES_PER_MEDIA_TOKEN
    text = -(-sizes.text_bytes // _BYTES_PER_TOKEN)
    return min(_MOST, text + messages * _TOKENS_PER_MESSAGE + media), sizes.images, most


def _plain_messages(value: bytes) -> list[str] | None:
    """The texts of messages that have nothing else, as most do; None where one has."""
    try:
        messages = _plain.decode(value)
    except (msgspec.MsgspecError, RecursionError):
        return None
    texts = []
    for message in messages:
        text = message.content
        if text.startswith(_DATA_URL):
            return None
        texts.append(text)
    return texts


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _measure(name: str, root: Any, sizes: _Sizes) -> None:
    """Add up what is below *root*, without recursion: how deep it goes is the caller's choice."""
    # Iterators, since a list of what is left of a million small things would take a hundred megabytes.
    left: list[Iterator[tuple[str, Any, bool]]] = [iter(((name, root, False),))]
    while left:
        for key, value, is_image in left[-1]:
            if isinstance(value, str):
                _measure_text(key, value, sizes, is_image=is_image)
            elif isinstance(value, dict):
                is_picture = is_image or _is_picture(value)
                if is_picture and not is_image:
                    sizes.images += 1
                left.append(_below(value.items(), is_image=is_picture))
                break
            elif key in _TEXTS and isinstance(value, int):
                # What is asked for already stands in tokens.
                sizes.text_bytes += _BYTES_PER_TOKEN
            elif isinstance(value, list):
                left.append(zip(repeat(key), value, repeat(is_image)))
                break
        else:
            left.pop()


def _below(members: Iterable[tuple[Any, Any]], *, is_image: bool) -> Iterator[tuple[str, Any, bool]]:
    for name, member in members:
        yield str(name), member, is_image


def _measure_text(key: str, value: str, sizes: _Sizes, *, is_image: bool) -> None:
    if key in _NO_TEXT:
        return
    if is_image:
        # A picture counts as one, however many bytes it has.
        return
    if key in _DATA or value.startswith(_DATA_URL):
        if value.startswith(_IMAGE_URL):
            sizes.images += 1
        else:
            sizes.media_bytes += len(value) * 3 // 4
        return
    sizes.text_bytes += _length(value)


def _is_picture(value: Mapping[str, Any]) -> bool:
    """Whether an object is a picture, in any API's words."""
    kind = value.get("type")
    # A caller may put anything there.
    if isinstance(kind, str) and kind in _IMAGES:
        return True
    media_type = value.get("mimeType") or value.get("mime_type") or value.get("media_type")
    if isinstance(media_type, str):
        return media_type.startswith("image/")
    # Bedrock's, whose parts are named by their only member.
    return isinstance(value.get("image"), dict)


def _maximum(parameters: Mapping[str, Any]) -> int | None:
    """Most tokens of one choice that *parameters* allow, None when they do not say."""
    most = None
    for name in _MAXIMA:
        if name in parameters:
            number = _number(bytes(parameters[name]))
            if number is not None and (most is None or number > most):
                most = number
    return most


def _replies(call: Call, target: Target) -> int:
    """How many replies are written, of which the caller gets its choices: with `best_of` more than these."""
    own, put_over = call.fields, target.parameters
    if "best_of" not in own and not put_over:
        return max(1, call.choices)
    given = {name: put_over.get(name) or own.get(name) for name in ("n", "best_of")}
    of_each = max(_number(bytes(value)) or 1 if value is not None else 1 for value in given.values())
    asked = own.get("n")
    return max(1, call.choices) * of_each // (1 if asked is None else _number(bytes(asked)) or 1) or 1


def _number(value: bytes) -> int | None:
    """A number of tokens; None for what is none, which a provider refuses or takes for no maximum."""
    try:
        number = _numbers.decode(value)
    except msgspec.DecodeError:
        return None
    return int(min(number, _MOST)) if number > 0 else None
