"""Prompts, replies and tools of one call on its span: masked, and never longer than allowed.

While the call runs only references to the bytes that pass are kept. Everything else happens after the reply
was sent, in slices: a long stream is put together bit by bit, and of a long conversation only what will be
shown is read (the newest messages and the first), so that a megabyte of it costs what its shown part costs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

import msgspec

from gateway.endpoints.content import Assembler, ContentReader, reader_of
from gateway.endpoints.content_parts import Shaped
from gateway.endpoints.openai_content import Items
from gateway.model import Call
from gateway.telemetry import attributes as names
from gateway.telemetry.redactor import RedactionTimeout, Redactor
from gateway.telemetry.secrets_in_spans import NO_SECRETS, Secrets

MAX_REPLY_BYTES: Final = 2 * 1024 * 1024
"""Of one reply at most this is kept; a stream of it has some 8,000 chunks."""

_WORK_BYTES: Final = 32 * 1024
"""Of a stream this is put together in one slice: about a quarter of a millisecond."""

_MARGIN_CHARACTERS: Final = 4096
"""A text is masked this far beyond its cut, so that the cut never falls into what a pattern would find."""

_MAX_VALUES: Final = 4_000
_LEAST_VALUES: Final = 8
_BYTES_PER_VALUE: Final = 8
"""What a value takes at least, about: more of them than fit are not looked at."""
_MAX_DEPTH: Final = 24
_LEAST_CHARACTERS: Final = 64
_TRIES: Final = 3
"""How often the texts of a message are cut in proportion before they are made as short as they may be."""
_PER_ITEM_BYTES: Final = 64
_UNSHARED: Final = 4
"""Each of many members may take at least this part of the room."""
_CUT: Final = "…"
_MAX_STOP_BYTES: Final = 16 * 1024
_MAX_STOP_TEXTS: Final = 16
_MAX_STOP_CHARACTERS: Final = 256
_STOP_SHARE: Final = 4
"""Stop sequences take at most this part of the room."""

_PLAIN_BYTES: Final = 32 * 1024
"""Of a call with more there may be so many messages, or parts of one, that some are left out."""

_log: Final = logging.getLogger(__name__)
_encode: Final = msgspec.json.Encoder().encode


class ContentCapture:
    """Takes what passes of one call and makes the content attributes of it.

    Attributes:
        held_bytes: Size of what is kept of the reply.
        is_given_up: The content is left out, whatever was kept.
    """

    __slots__ = (
        "_assembler",
        "_at",
        "_is_over",
        "_max_bytes",
        "_pieces",
        "_redactor",
        "held_bytes",
        "is_given_up",
    )

    def __init__(self, redactor: Redactor, *, max_bytes: int) -> None:
        """Begin with nothing.

        Args:
            redactor: Masks every text.
            max_bytes: For all content attributes together.
        """
        self._redactor = redactor
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._assembler: Assembler | None = None
        self._at = 0
        self._is_over = False
        self.held_bytes = 0
        self.is_given_up = False

    def keep(self, data: bytes) -> None:
        """Take a piece of the reply: its whole body, or whole events of its stream."""
        if self._is_over or self.held_bytes + len(data) > MAX_REPLY_BYTES:
            self._is_over = True
            return
        self.held_bytes += len(data)
        self._pieces.append(data)

    def restart(self) -> None:
        """Forget the reply: another attempt begins."""
        self._pieces.clear()
        self._is_over = False
        self.held_bytes = 0

    def give_up(self) -> None:
        """Leave the content out and let go of it."""
        self.restart()
        self.is_given_up = True

    def work(self, call: Call) -> bool:
        """Do a bit of what can be done bit by bit; True when `attributes` may be asked for."""
        if not call.is_stream or self.is_given_up:
            return True
        if self._assembler is None:
            self._assembler = reader_of(call.endpoint).assembler()
        if self._at == len(self._pieces):
            return True
        begin, done = self._at, 0
        while self._at < len(self._pieces) and done < _WORK_BYTES:
            done += len(self._pieces[self._at])
            self._at += 1
        # In one go: a turn of an assembler costs as much as an event.
        try:
            self._assembler.feed(b"".join(self._pieces[begin : self._at]))
        except Exception:
            self._fail()
            return True
        self._pieces[begin : self._at] = [b""] * (self._at - begin)
        return self._at >= len(self._pieces)

    def attributes(self, call: Call, secrets: Secrets = NO_SECRETS) -> bytes:
        """The content attributes as `Span.attributes` fields.

        Args:
            secrets: The credentials that are known, to be masked.
        """
        while not self.work(call):
            pass
        if self.is_given_up:
            return names.CONTENT_DROPPED.boolean(True)
        try:
            with self._redactor:
                return self._attributes(call, secrets)
        except RedactionTimeout:
            return names.CONTENT_DROPPED.boolean(True)
        except Exception:
            self._fail()
            return names.CONTENT_DROPPED.boolean(True)

    def _fail(self) -> None:
        """Do without what cannot be shown, by a mistake of ours: it must not cost the call its spans."""
        _log.exception("what was said in a call cannot be shown; its spans are recorded without it")
        self.give_up()

    def _attributes(self, call: Call, secrets: Secrets) -> bytes:
        reader = reader_of(call.endpoint)
        whole = b"".join(self._pieces)
        parameters = call.fields if call.parameters is None else call.parameters
        plain = None if reader.stop_field in parameters else self._plainly(reader, call, whole, secrets)
        if plain is not None:
            return plain
        output = self._assembler.messages() if self._assembler else reader.read_output(whole)
        hide, redact = secrets.hide_keys, self._redactor.mask
        if self._redactor:
            trimmer = Trimmer(lambda text: redact(hide(text)))
        else:
            trimmer = Trimmer(hide, secrets.spares)
        trimmer.is_cut = self._is_over
        stop = _stop_sequences(parameters.get(reader.stop_field), trimmer, self._max_bytes // _STOP_SHARE)
        # What was said matters more than what could have been called, so tools are fitted last.
        lists: list[tuple[Any, _Listed]] = [
            (names.OUTPUT_MESSAGES, _Listed.of(output)),
            (names.INPUT_MESSAGES, _Listed.lazily(reader.read_input(call))),
            (names.TOOL_DEFINITIONS, _Listed.lazily(reader.read_tools(call))),
        ]
        shares = share_out(self._max_bytes - len(stop), [listed.need for _, listed in lists])
        parts = [stop]
        for (key, listed), share in zip(lists, shares, strict=True):
            if not listed.sizes:
                continue
            if listed.is_cut or share < len("[]"):
                trimmer.is_cut = True
            if share < len("[]"):
                continue
            parts.append(key.utf8(fit(listed.sizes, listed.read, share, trimmer)))
        if trimmer.is_cut:
            parts.append(names.CONTENT_TRUNCATED.boolean(True))
        return b"".join(parts)

    def _plainly(self, reader: ContentReader, call: Call, body: bytes, secrets: Secrets) -> bytes | None:
        """The same where all of it are texts, and none is to be cut, as mostly; None otherwise."""
        if self._is_over or self._assembler is not None:
            return None
        if call.body_bytes + len(body) > min(_PLAIN_BYTES, self._max_bytes // _UNSHARED):
            return None
        talk = reader.read_plain(call, body)
        if talk is None or not all(talk):
            return None
        redactor = self._redactor
        if redactor:
            for message in chain(*talk):
                for part in message.parts:
                    part.content = redactor.mask(secrets.hide_keys(part.content))
                if message.finish_reason is not None:
                    message.finish_reason = redactor.mask(secrets.hide_keys(message.finish_reason))
        asked, said = map(_encode, talk)
        is_clean = redactor or secrets.spares((said + asked).decode())
        # A mask may be longer than what it masks.
        if not is_clean or len(asked) + len(said) > self._max_bytes // 2:
            return None
        return names.OUTPUT_MESSAGES.utf8(said) + names.INPUT_MESSAGES.utf8(asked)


def _stop_sequences(raw: msgspec.Raw | None, trimmer: Trimmer, limit: int) -> bytes:
    """Where to stop: words of the caller, which may be those of the prompt."""
    if raw is None or len(memoryview(raw)) > _MAX_STOP_BYTES:
        return b""
    try:
        stop = msgspec.json.decode(raw, type=str | list[str] | None)
    except (ValueError, RecursionError):
        return b""
    texts = [stop] if isinstance(stop, str) else (stop or [])
    if not texts:
        return b""
    data = names.STOP_SEQUENCES.texts(trimmer.trim(texts[:_MAX_STOP_TEXTS], _MAX_STOP_CHARACTERS))
    if len(data) <= limit and len(texts) <= _MAX_STOP_TEXTS:
        return data
    trimmer.is_cut = True
    return data if len(data) <= limit else b""


class _Listed:
    """A list to be shown: how long its members are, how to get one, and whether some are left out already."""

    __slots__ = ("is_cut", "need", "read", "sizes")

    def __init__(
        self, sizes: Sequence[int], read: Callable[[int], Shaped | None], *, is_cut: bool = False
    ) -> None:
        self.sizes = sizes
        self.read = read
        self.is_cut = is_cut
        self.need = sum(sizes) + _PER_ITEM_BYTES * (len(sizes) + 1)

    @staticmethod
    def of(values: list[Shaped]) -> _Listed:
        return _Listed([_rough_size(value) for value in values], values.__getitem__)

    @staticmethod
    def lazily(items: Items) -> _Listed:
        return _Listed(items.sizes, items.read, is_cut=items.is_cut)


class Trimmer:
    """Cuts and masks the texts of a value, however it is nested.

    Attributes:
        is_cut: Something was left out.
    """

    __slots__ = ("_characters", "_mask", "_spares", "_values", "is_cut")

    def __init__(
        self, mask: Callable[[str], str] | None, spares: Callable[[str], bool] | None = None
    ) -> None:
        """Begin.

        Args:
            mask: Masks one text, None when nothing is masked.
            spares: Whether *mask* changes no text of a JSON document; None: that cannot be said.
        """
        self._mask = mask
        self._spares = spares
        self._characters = 0
        self._values = 0
        self.is_cut = False

    def untouched(self, value: Any, most_bytes: int, values: int, beside: int = 0) -> bytes | None:
        """The JSON of a *value* of which nothing is to be cut or masked; None where it may be otherwise.

        Most messages are such. To write one and look at it takes a sixth of what a copy of it takes.

        Args:
            values: More of them are not looked at.
            beside: Containers in *value* of which none is within another.
        """
        if self._spares is None:
            return None
        try:
            data = _encode(value)
        except (ValueError, OverflowError, RecursionError):
            return None
        nested = data.count(b"{") + data.count(b"[")
        is_flat = nested - beside <= _MAX_DEPTH and nested + data.count(b",") < values
        return data if is_flat and len(data) <= most_bytes and self._spares(data.decode()) else None

    def trim(self, value: Any, characters: int, values: int = _MAX_VALUES) -> Any:
        """A copy of at most *values* of *value*, every text masked and none longer than *characters*."""
        self._characters = characters
        self._values = values
        return self._trimmed(value, _MAX_DEPTH)

    def _trimmed(self, value: Any, depth: int) -> Any:
        self._values -= 1
        match value:
            case str():
                return self._text(value)
            case bool() | None:
                return value
            case int() | float():
                return self._number(value)
            case _ if depth <= 0 or self._values <= 0:
                self.is_cut = True
                return _CUT
            case list():
                return [self._trimmed(item, depth - 1) for item in self._some(value)]
        members = self._some(value.items())
        return {self._text(str(key)): self._trimmed(item, depth - 1) for key, item in members}

    def _some(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            if self._values <= 0:
                self.is_cut = True
                return
            yield value

    def _text(self, text: str) -> str:
        most = self._characters
        is_long = len(text) > most
        is_seen_whole = len(text) <= most + _MARGIN_CHARACTERS
        if not is_seen_whole:
            text = text[: most + _MARGIN_CHARACTERS]
        if self._mask is not None:
            text = self._mask(text)
        if is_long:
            self.is_cut = True
            # What was not seen whole may end in half of a secret.
            kept = most if is_seen_whole else min(most, max(0, len(text) - _MARGIN_CHARACTERS))
            text = text[:kept] + _CUT
        # UTF-8 has no lone surrogates, which JSON may escape.
        return text if text.isascii() else text.encode(errors="replace").decode()

    def _number(self, value: float) -> Any:
        """A number, which may be a card's or a telephone's as well."""
        if self._mask is None:
            return value
        text = str(value)
        masked = self._mask(text)
        return value if masked == text else masked


def share_out(total: int, needs: Sequence[int]) -> list[int]:
    """Share *total* out: who needs less than an equal share gets that, the others share the rest."""
    if max(needs) <= total // len(needs):
        # As nearly always: there is room for all.
        bonus = (total - sum(needs)) // len(needs)
        return [need + bonus for need in needs]
    shares = [0] * len(needs)
    left, open_ones = total, list(range(len(needs)))
    while open_ones:
        equal = left // len(open_ones)
        small = [index for index in open_ones if needs[index] <= equal]
        if not small:
            for index in open_ones:
                shares[index] = equal
            break
        for index in small:
            shares[index] = needs[index]
            left -= needs[index]
            open_ones.remove(index)
    # What nobody needs may still be used: sizes are estimates, and masks may be longer than what they mask.
    else:
        bonus = left // len(needs)
        shares = [share + bonus for share in shares]
    return shares


def fit(sizes: Sequence[int], read: Callable[[int], Shaped | None], limit: int, trimmer: Trimmer) -> bytes:
    """A JSON list of at most *limit* bytes: all of it, or the last member, the first, and then the newest.

    Args:
        sizes: Bytes of each member, about.
        limit: At least 2, which an empty list takes.
        read: Gives one member.
        trimmer: Told what had to be left out.
    """
    count = len(sizes)
    size = sum(sizes)
    if size <= limit // _UNSHARED:
        # No text of it could be longer than the share of its member.
        values = [value for index in range(count) if (value := read(index)) is not None]
        data = trimmer.untouched(values, limit // _UNSHARED, _values_in(limit // 2), len(values))
        if data is not None:
            return data
    others = size + _PER_ITEM_BYTES * count
    order = [count - 1] if count == 1 else [count - 1, 0, *range(count - 2, 0, -1)]
    kept: dict[int, bytes] = {}
    left = limit - 2
    for place, index in enumerate(order):
        others -= sizes[index] + _PER_ITEM_BYTES
        value = read(index)
        if value is None:
            continue
        # Its own part, and what those that follow leave.
        share = max(_LEAST_CHARACTERS, limit // (2 if place == 0 else _UNSHARED), left - others)
        shown = None
        if sizes[index] <= share:
            shown = trimmer.untouched(value, min(share, left - 1), _values_in(left - 1))
        if shown is None:
            shown = _fitted(value, share, left - 1, trimmer)
        if shown is None:
            trimmer.is_cut = True
            if place > 1:
                break
            continue
        kept[index] = shown
        left -= len(shown) + 1
    return b"[" + b",".join([kept[index] for index in sorted(kept)]) + b"]"


def _values_in(limit: int) -> int:
    """How many values are looked at for so many bytes."""
    return min(_MAX_VALUES, max(_LEAST_VALUES, limit // _BYTES_PER_VALUE))


def _fitted(value: Shaped, characters: int, limit: int, trimmer: Trimmer) -> bytes | None:
    """*value* in at most *limit* bytes: texts cut shorter, then members left out; None when it does not."""
    values = _values_in(limit)
    shown = trimmer.trim(value, characters, values)
    data = _encode(shown)
    # What is masked already is only made shorter.
    shortener = Trimmer(None)
    tries = 0
    while len(data) > limit:
        trimmer.is_cut = True
        tries += 1
        if characters > _LEAST_CHARACTERS:
            # An escaped or a Chinese letter takes more bytes than one, and a message may have many texts.
            fitting = characters * limit // len(data) * 31 // 32 if tries <= _TRIES else 0
            characters = max(_LEAST_CHARACTERS, fitting)
        elif values > _LEAST_VALUES:
            values = max(_LEAST_VALUES, values * limit // len(data) * 7 // 8)
        else:
            return None
        shown = shortener.trim(shown, characters, values)
        data = _encode(shown)
    return data


def _rough_size(value: Any, depth: int = _MAX_DEPTH) -> int:
    """About how long the JSON of *value* is, without making it."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict) and depth:
        size = 0
        for key, item in value.items():
            size += len(key) + 6 + (len(item) if isinstance(item, str) else _rough_size(item, depth - 1))
        return size
    if isinstance(value, list) and depth:
        return sum([2 + _rough_size(item, depth - 1) for item in value])
    return 8
