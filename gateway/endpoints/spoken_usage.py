"""What is counted of a text that is to be spoken: its characters, which are paid for and told by nobody."""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.endpoints.catalogue import SPEECH
from gateway.model import Call, Usage

_TEXT: Final = "input"
_texts: Final = msgspec.json.Decoder(str)


def find_spoken(call: Call) -> Usage | None:
    """The characters that *call* has spoken, None of one that has nothing spoken."""
    if call.endpoint is not SPEECH or _TEXT not in call.fields:
        return None
    try:
        text = _texts.decode(call.fields[_TEXT])
    except msgspec.DecodeError:
        return None
    return Usage(None, None, "estimated", input_characters=len(text))
