"""The `model` field of a multipart form, found and replaced while the form passes through. Pure.

Everything else passes byte for byte. Only the reading that leaves no doubt is taken: what another parser
could read as one field more (a boundary that is none to the letter, a folded or doubled header, an escaped
name) is refused, since the provider might then use a model that was not looked at here.

Format: RFC 7578 and RFC 2046, 5.1.1.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from typing import Final

from gateway.errors import InvalidBody

MAX_MODEL_BYTES: Final = 1024
MAX_PART_HEAD_BYTES: Final = 16 * 1024

_BOUNDARY: Final = re.compile(
    r"multipart/form-data\s*;(?:[^\"]*;)?\s*boundary=(?:\"([^\"\\]{1,70})\"|([^\s;\",]{1,70}))\s*(?:;[^\"]*)?",
    re.IGNORECASE,
)
_BOUNDARIES: Final = re.compile(r"boundary\s*=", re.IGNORECASE)
_ALLOWED: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE: Final = rb"(?:\"(?:[^\"\\]|\\.)*\"|[^\";\s]+)"
_DISPOSITION: Final = re.compile(
    rb"form-data(?:[ \t]*;[ \t]*" + _TOKEN + rb"=" + _VALUE + rb")*", re.IGNORECASE | re.DOTALL
)
# Looked for in the whole line, so that it does not matter where a parser takes a quoted text to end.
_NAME: Final = re.compile(
    rb"(?<![\w*-])name(\*?)\s*=\s*(?:\"([^\"\\]*)\"|([^\";\s\\]+))(?=\s*(?:;|\Z))", re.IGNORECASE
)
# Also in the pieces of RFC 2231 (`name*0=mo; name*1=del`), which some parsers put behind what `name` says.
_NAMES: Final = re.compile(rb"(?<![\w*-])name(?:\*[0-9]*\*?)?\s*=", re.IGNORECASE)
_LINE_END: Final = b"\r\n"
_HEAD_END: Final = b"\r\n\r\n"
_CLOSE: Final = b"--"
_MODEL: Final = b"model"
_MODEL_HEAD: Final = b'Content-Disposition: form-data; name="model"\r\n\r\n'


class _State(enum.Enum):
    CONTENT = enum.auto()
    BOUNDARY = enum.auto()
    HEAD = enum.auto()
    MODEL = enum.auto()
    END = enum.auto()


def find_boundary(content_type: str) -> bytes:
    """The boundary that a content type names.

    Raises:
        InvalidBody: It names none that can be used.
    """
    match = _BOUNDARY.fullmatch(content_type.strip())
    boundary = (match[1] or match[2]) if match else ""
    if len(_BOUNDARIES.findall(content_type)) != 1 or not _ALLOWED.fullmatch(boundary):
        raise InvalidBody("The form's content-type has no usable boundary.", param="content-type")
    return boundary.encode()


class ModelField:
    """Passes a form on, its `model` fields replaced.

    Attributes:
        is_ended: The last boundary has passed.
    """

    def __init__(
        self, boundary: bytes, replace: Callable[[str], str], missing: Callable[[], str] | None = None
    ) -> None:
        """Begin.

        Args:
            boundary: As `find_boundary` gives it.
            replace: Gives what goes out for a model that came in; called once for each such field.
            missing: Gives what a form gets at its end that has no such field; "" or None: nothing.
        """
        self._missing = missing
        self._mark = b"--" + boundary
        self._delimiter = _LINE_END + self._mark
        self._replace = replace
        self._buffer = b""
        # Where in it we are: cutting off each part of a piece would copy the rest of that piece every time.
        self._at = 0
        self._state = _State.CONTENT
        self._is_first = True
        self.is_ended = False

    def feed(self, data: bytes) -> bytes:
        """Take the next piece of the form and give what can go on.

        Raises:
            InvalidBody: It is no form, or one that could be read in two ways.
        """
        self._buffer = self._buffer + data if self._buffer else data
        out: list[bytes] = []
        while self._step(out):
            pass
        self._buffer = self._buffer[self._at :]
        self._at = 0
        return b"".join(out)

    def finish(self) -> bytes:
        """Take the end and give what is left.

        Raises:
            InvalidBody: The form has no end.
        """
        if not self.is_ended:
            raise InvalidBody("The form ends before its last boundary.")
        left, self._buffer = self._buffer, b""
        return left

    def _step(self, out: list[bytes]) -> bool:
        """Move on by one part of the form; False when more of it is needed."""
        match self._state:
            case _State.CONTENT:
                return self._pass_content(out)
            case _State.BOUNDARY:
                return self._pass_boundary(out)
            case _State.HEAD:
                return self._pass_head(out)
            case _State.MODEL:
                return self._pass_model(out)
            case _State.END:
                if self._buffer.find(self._mark, self._at) >= 0:
                    raise InvalidBody("The form goes on after its last boundary.")
                self._give(out, len(self._buffer) - len(self._mark) + 1)
                return False

    def _pass_content(self, out: list[bytes]) -> bool:
        at = self._buffer.find(self._mark, self._at)
        if at < 0:
            # What may be the beginning of a delimiter waits.
            self._give(out, len(self._buffer) - len(self._delimiter) + 1)
            return False
        if self._is_first:
            if at:
                raise InvalidBody("The form does not begin with its boundary.")
        elif self._buffer[max(self._at, at - 2) : at] != _LINE_END:
            raise InvalidBody("The form's boundary stands within a line.")
        self._is_first = False
        self._give(out, at + len(self._mark))
        self._state = _State.BOUNDARY
        return True

    def _pass_boundary(self, out: list[bytes]) -> bool:
        following = self._buffer[self._at : self._at + len(_LINE_END)]
        if len(following) < len(_LINE_END):
            return False
        if following == _CLOSE:
            if self._missing is not None and (model := self._missing()):
                out.append(_LINE_END + _MODEL_HEAD + model.encode() + self._delimiter)
            self._state = _State.END
            self.is_ended = True
        elif following == _LINE_END:
            self._state = _State.HEAD
        else:
            raise InvalidBody("The form's boundary is followed by something else than a line end.")
        self._give(out, self._at + len(following))
        return True

    def _pass_head(self, out: list[bytes]) -> bool:
        end = self._buffer.find(_HEAD_END, self._at)
        if (end if end >= 0 else len(self._buffer)) - self._at > MAX_PART_HEAD_BYTES:
            raise InvalidBody(f"A part of the form has more than {MAX_PART_HEAD_BYTES} bytes of headers.")
        if end < 0:
            return False
        name = _field_name(self._buffer[self._at : end])
        if name != _MODEL and name.lower() == _MODEL:
            # To servers that do not tell upper and lower case apart this is a second one.
            raise InvalidBody('The form\'s "model" is to be written in lower case.', param="model")
        self._give(out, end + len(_HEAD_END))
        if name == _MODEL:
            self._missing = None
        self._state = _State.MODEL if name == _MODEL else _State.CONTENT
        return True

    def _pass_model(self, out: list[bytes]) -> bool:
        at = self._buffer.find(self._delimiter, self._at)
        if (at if at >= 0 else len(self._buffer) - len(self._delimiter)) - self._at > MAX_MODEL_BYTES:
            raise InvalidBody(f'The form\'s "model" is longer than {MAX_MODEL_BYTES} bytes.', param="model")
        if at < 0:
            return False
        try:
            model = self._buffer[self._at : at].decode()
        except UnicodeDecodeError as error:
            raise InvalidBody('The form\'s "model" is not UTF-8.', param="model") from error
        out.append(self._replace(model).encode())
        self._at = at
        self._state = _State.CONTENT
        return True

    def _give(self, out: list[bytes], end: int) -> None:
        """Let pass what is before *end*."""
        if end > self._at:
            out.append(self._buffer[self._at : end])
            self._at = end


def _field_name(head: bytes) -> bytes:
    """The name of the field whose part begins with *head*.

    Raises:
        InvalidBody: It has none, or one that could be read in two ways.
    """
    dispositions = []
    for line in head.split(_LINE_END):
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip() or b"\n" in line or b"\r" in line or b"\0" in line:
            raise InvalidBody("A part of the form has a malformed header.")
        if name.lower() == b"content-disposition":
            dispositions.append(value.strip())
    disposition = dispositions[0] if len(dispositions) == 1 else b""
    match = _NAME.search(disposition) if _DISPOSITION.fullmatch(disposition) else None
    if match is None or match[1] or len(_NAMES.findall(disposition)) != 1:
        raise InvalidBody("A part of the form has no name that can be read in one way only.")
    return match[2] or match[3] or b""
