"""Bodies that are passed on: held whole where they are short, else sent on as they come.

A form names its model somewhere in it, and each target knows that by a name of its own. So what is held of a
form is held as it came, and written for one target at a time: as often as targets are tried if all of it is
held, else only as long as none of it has been sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from gateway.endpoints.openai_call import model_in, rewrite_model, split_body, write_fields
from gateway.errors import BodyTooLarge, InvalidBody
from gateway.model import BodySource, Client
from gateway.wire.multipart import ModelField

MAX_HEAD_BYTES: Final = 1024 * 1024
"""Most of a body that is held: shorter ones whole, of a form the part where its model is looked for."""

_WINDOW_BYTES: Final = 4096
_LEAST_BYTES: Final = 1024

Rename = Callable[[str], str]
"""Gives a target's name of a model for the one that came."""


class Naming(Protocol):
    """What the model that a body names means to its call."""

    @property
    def is_settled(self) -> bool:
        """The call can go on without a model in its body."""

    @property
    def may_change_late(self) -> bool:
        """A model that comes late may leave with another length."""

    @property
    def missing_model(self) -> str:
        """The model of a body that names none where it has to, by what was said beside it; "" for nothing."""

    def take(self, model: str) -> None:
        """Take the model that the body names; raises where it cannot be the call's."""

    def take_late(self, model: str) -> None:
        """The same for one that comes when it has been chosen already who gets the call."""


class PassedBody(Protocol):
    """The body of a call that is passed on."""

    @property
    def held(self) -> bytes | None:
        """All of it as it came, None of one that is sent on while it comes."""

    @property
    def can_repeat(self) -> bool:
        """It can be sent once more: it is held, or none of it has been sent."""

    @property
    def length(self) -> int | None:
        """Its bytes, as far as they are known."""

    def written_for(self, rename: Rename) -> bytes | BodySource:
        """The body as a target gets it that knows the model by the name that *rename* gives."""


def data_in(piece: bytes) -> int:
    """How much of a piece of JSON is data in base64, as pictures are: 14 us in 64 KiB of it, 4 of text.

    No text that long is without blanks, quotes and escapes, but in scripts that are not ASCII.
    """
    found = 0
    for at in range(0, len(piece), _WINDOW_BYTES):
        window = piece[at : at + _WINDOW_BYTES]
        if b" " in window or b'"' in window or b"\\" in window:
            continue
        if len(window) >= _LEAST_BYTES and window.isascii():
            found += len(window)
    return found


class HeldBody:
    """A short body of any kind."""

    can_repeat = True

    def __init__(self, body: bytes) -> None:
        """Hold *body*."""
        self.held = body

    @property
    def length(self) -> int:
        """Its bytes."""
        return len(self.held)

    def written_for(self, _: Rename) -> bytes:
        """It goes out as it came."""
        return self.held


class HeldJson(HeldBody):
    """A JSON object, if it is one, that may name a model."""

    def __init__(self, body: bytes, naming: Naming) -> None:
        """Hold *body*, whose model *naming* learns."""
        super().__init__(body)
        rewrite_model(body, lambda model: _taken(model, naming))

    def written_for(self, rename: Rename) -> bytes:
        """With another name of its model; as it came where that is the same."""
        return rewrite_model(self.held, rename)


class HeldCall(HeldBody):
    """A JSON object that calls a model: what was looked at goes out, and nothing that it may be taken for.

    Attributes:
        fields: Its members, each as it came.
    """

    def __init__(self, body: bytes, naming: Naming) -> None:
        """Hold *body*, whose model *naming* learns.

        Raises:
            InvalidJson, InvalidBody: It is no JSON object, or its model none.
        """
        super().__init__(body)
        self._naming = naming
        self.fields = split_body(body)
        self._model = model_in(self.fields)
        if self._model:
            naming.take(self._model)

    def written_for(self, rename: Rename) -> bytes:
        """Written anew, each member once."""
        model = self._model or self._naming.missing_model
        return write_fields(self.fields, rename(model) if model else "")


class StreamedBody:
    """A body that is sent on as it comes, once; see `gateway.model.BodySource`.

    Attributes:
        taken_bytes: How much of it has come.
        data_bytes: Of that what looks as pictures in JSON do.
        is_whole: All of it has.
    """

    held = None
    can_repeat = False

    def __init__(self, client: Client, limit_bytes: int) -> None:
        """Prepare.

        Args:
            client: Whose it is.
            limit_bytes: Longest that is taken.
        """
        self._client = client
        self._limit_bytes = limit_bytes
        self.taken_bytes = 0
        self.data_bytes = 0
        self.is_whole = False

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
        self.taken_bytes += len(data)
        if self.taken_bytes > self._limit_bytes:
            raise too_large(self._limit_bytes)
        self.data_bytes += data_in(data)
        self.is_whole = not data
        return data

    async def until_gone(self) -> None:
        """Wait for the caller to leave."""
        await self._client.until_gone()

    def written_for(self, _: Rename) -> BodySource:
        """It goes out as it comes."""
        return self


class Form:
    """A form, and the model in it."""

    def __init__(
        self,
        client: Client,
        boundary: bytes,
        naming: Naming,
        limit_bytes: int,
        hold: Callable[[int], None],
    ) -> None:
        """Prepare.

        Args:
            client: Whose it is.
            boundary: Between its parts.
            naming: Learns the model.
            limit_bytes: Longest that is taken.
            hold: Told of the bytes that are held; raises where there is no room for them.
        """
        self._hold = hold
        self._source = StreamedBody(client, limit_bytes)
        self._boundary = boundary
        self._naming = naming
        self._head: list[bytes] = []
        self._head_bytes = 0
        self._has_model = False
        self._is_ended = False
        self._is_touched = False

    async def begin(self) -> None:
        """Read on until the model has come, or as far as it is looked for.

        Raises:
            InvalidBody: It is no form, or names no model where the call needs one.
            BodyTooLarge: There is more than may be.
            Overloaded: There is no room for it.
        """
        looking = ModelField(self._boundary, self._find)
        while not (self._is_ended or self._has_model or self._head_bytes >= MAX_HEAD_BYTES):
            await self._take(looking)
        declared = self.length
        # A short form is taken whole, so that it can go out in one piece, with its length, and once more.
        while not self._is_ended and declared is not None and declared <= MAX_HEAD_BYTES:
            await self._take(looking)
        if not self._is_ended and not self._has_model and not self._naming.is_settled:
            message = (
                f'The form\'s "model" is not within its first {MAX_HEAD_BYTES} bytes. Put it before '
                "the file, or name it with the header x-tfy-model-name too."
            )
            raise InvalidBody(message, param="model")

    async def _take(self, looking: ModelField) -> None:
        data = await self._source.read_piece()
        if not data:
            self._is_ended = True
            looking.finish()
            return
        self._hold(len(data))
        self._head.append(data)
        self._head_bytes += len(data)
        looking.feed(data)

    def _find(self, model: str) -> str:
        self._has_model = True
        return _taken(model, self._naming)

    @property
    def held(self) -> bytes | None:
        """All of it as it came, None while it comes."""
        return b"".join(self._head) if self._is_ended else None

    @property
    def can_repeat(self) -> bool:
        """It is held, or none of it has been sent."""
        return not self._is_touched

    @property
    def length(self) -> int | None:
        """What has come of a whole one, else what the caller declared."""
        return self._head_bytes if self._is_ended else self._source.length

    def written_for(self, rename: Rename) -> bytes | BodySource:
        """The form with another name of its model."""
        head = b"".join(self._head)
        if not self._is_ended:
            return _FormOnItsWay(self, self._boundary, head, rename)
        field = ModelField(self._boundary, rename, self.missing_for(rename))
        return field.feed(head) + field.finish()

    def missing_for(self, rename: Rename) -> Callable[[], str]:
        """Gives the name of the model for a target where the form itself names none."""

        def name() -> str:
            missing = self._naming.missing_model
            return rename(missing) if missing else ""

        return name

    def length_with(self, grown_bytes: int) -> int | None:
        """How long it gets by what the model's name adds; None while that may still change."""
        declared = self._source.length
        if declared is None or (not self._has_model and self._naming.may_change_late):
            return None
        return declared + grown_bytes

    def touch(self) -> None:
        """Note that somebody is sent it: from here on nobody else can be."""
        self._is_touched = True
        self._head.clear()

    async def read_on(self) -> bytes:
        """The next piece behind the part that is held, b"" at the form's end."""
        return await self._source.read_piece()

    async def until_gone(self) -> None:
        """Wait for the caller to leave."""
        await self._source.until_gone()

    def take_late(self, model: str) -> None:
        """Take a model that comes while the form is on its way."""
        if self._has_model:
            self._naming.take(model)
        else:
            self._naming.take_late(model)
        self._has_model = True


class _FormOnItsWay:
    """A form for one target: what is held of it, then the rest as it comes."""

    def __init__(self, form: Form, boundary: bytes, head: bytes, rename: Rename) -> None:
        self._form = form
        self._rename = rename
        self._is_late = False
        self._is_ended = False
        self._grown_bytes = 0
        self._field = ModelField(boundary, self._name, form.missing_for(rename))
        self._head = self._field.feed(head)
        self._is_late = True

    @property
    def length(self) -> int | None:
        """Its bytes, None when that is known only at its end."""
        return self._form.length_with(self._grown_bytes)

    async def read_piece(self) -> bytes:
        """The next piece, the model replaced."""
        self._form.touch()
        if self._head:
            head, self._head = self._head, b""
            return head
        while not self._is_ended:
            data = await self._form.read_on()
            self._is_ended = not data
            if written := self._field.feed(data) if data else self._field.finish():
                return written
        return b""

    async def until_gone(self) -> None:
        """Wait for the caller to leave."""
        await self._form.until_gone()

    def _name(self, model: str) -> str:
        if self._is_late:
            self._form.take_late(model)
        name = self._rename(model)
        self._grown_bytes += len(name.encode()) - len(model.encode())
        return name


def _taken(model: str, naming: Naming) -> str:
    """*model* as it came, once it has been taken."""
    naming.take(model)
    return model


def too_large(limit_bytes: int) -> BodyTooLarge:
    """Why a body that is sent on is refused."""
    message = f"The body is longer than {limit_bytes} bytes. Send a shorter one, or raise --max-upload-bytes."
    return BodyTooLarge(message)
