"""What a stream has told so far, as the pipeline asks for it, where an end marker tells that it is whole."""

from __future__ import annotations

from typing import Any, Final, Generic, Protocol, TypeVar

from gateway.endpoints.openai_content import decode_leniently
from gateway.endpoints.openai_reply import UNREADABLE, ReplyFacts, excerpt
from gateway.errors import UpstreamBadReply
from gateway.wire.sse import DONE

_OF_DATA: Final = 2
_OF_NAME_AND_DATA: Final = 3
"""Line ends of an event."""


class StreamFacts(Protocol):
    """What the events of one stream say of it.

    Attributes:
        has_content: The reply itself has begun.
        is_done: The end marker was seen.
        failure: Body of an error that came inside the stream, b"" while there is none.
    """

    has_content: bool
    is_done: bool
    failure: bytes

    def facts(self) -> ReplyFacts:
        """What was learned so far."""


def read_event(data: bytes) -> Any:
    """What the data of an event say; None for OpenAI's end marker, which servers of other dialects send too.

    Raises:
        UpstreamBadReply: They are no JSON, so that the reply has a hole.
    """
    if data == DONE:
        return None
    try:
        return decode_leniently(data)
    except UNREADABLE as error:
        msg = "The provider's stream has an event that is not JSON."
        raise UpstreamBadReply(msg, excerpt=excerpt(data)) from error


def may_be_answer(data: bytes) -> bool:
    """Whether the data of an event, of another shape than the dialect's, may be a piece of the answer.

    An object may: the client's parser decides. No answer has anything else in it.

    Raises:
        UpstreamBadReply: They are no JSON, or an error in a list, as Google writes it.
    """
    found = read_event(data)
    if isinstance(found, list) and any(isinstance(one, dict) and one.get("error") for one in found):
        msg = "The provider's stream ended with an error."
        raise UpstreamBadReply(msg, excerpt=excerpt(data))
    return isinstance(found, dict)


def is_one_object(events: bytes) -> bool:
    """Whether these whole events are one, of one line of data that ends as a JSON object does.

    As nearly every piece of a stream is, in some dialects with the event's name before it: then none
    `may_be_broken`, none is an end marker, and one is to be counted.
    """
    if not events.endswith(b"}\n\n") or b"\r" in events:
        return False
    line_ends = events.count(b"\n")
    if line_ends == _OF_DATA:
        return events.startswith(b"data:")
    return line_ends == _OF_NAME_AND_DATA and events.startswith(b"event:") and b"\ndata:" in events


def may_be_broken(events: bytes) -> bool:
    """Whether one of these whole events does not end as a JSON object does.

    For relays, which do not decode every event: it finds those that were cut. A comment makes it true as
    well, and so do other line ends. A fifth of a microsecond where one event came alone, as most do.
    """
    if events.endswith(b"}\n\n") and events.find(b"\n\n") == len(events) - 2:
        return False
    return events.count(b"}\n\n") != events.count(b"\n\n") or b"\r" in events


def count_objects(events: bytes) -> int:
    """How many whole events these are if none `may_be_broken`, else 0; for as much as that alone."""
    if events.endswith(b"}\n\n") and events.find(b"\n\n") == len(events) - 2:
        return 1
    ends = events.count(b"\n\n")
    return ends if events.count(b"}\n\n") == ends and b"\r" not in events else 0


Facts = TypeVar("Facts", bound=StreamFacts)


class StreamReading(Generic[Facts]):
    """What one stream has told so far, for whoever reads it.

    Attributes:
        has_data: An event with data has been seen; a ping is none.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.has_data = False

    @property
    def has_content(self) -> bool:
        """The reply itself has begun."""
        return self._facts.has_content

    @property
    def failure(self) -> bytes:
        """Body of an error that came inside the stream, b"" while there is none."""
        return self._facts.failure

    @property
    def has_ended(self) -> bool:
        """Nothing that matters can follow: the end or an error was seen."""
        return self._facts.is_done or bool(self._facts.failure)

    @property
    def is_complete(self) -> bool:
        """The stream ended by its end marker."""
        return self._facts.is_done and not self._facts.failure

    @property
    def is_said(self) -> bool:
        """The last word of the answer has come, after which a usage may follow; here it comes with it."""
        return self.is_complete

    def facts(self) -> ReplyFacts:
        """What was learned so far."""
        return self._facts.facts()
