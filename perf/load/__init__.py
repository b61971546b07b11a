"""The load generator: sends calls to a server on this machine and judges every answer.

Only against loopback, and bounded in time, count and connections: this is no tool to point at others. An
answer must have status 200 and exactly the expected bytes (`Accept.TEXT`: the same text in a chat reply of
other bytes); anything else is a failure, counted by reason.

    amount      how much, within which bounds     connection  one connection: sends, parses, judges
    target      where to send what                closed      the next call when the last is answered
    result      what came back                    open        calls at a fixed rate, whatever the server does
    ticks       a precise beat                    streams     closed, looking at every event of a stream
"""

from perf.load.amount import MAX_RPS, MAX_SECONDS, Amount, UnsafeTargetError
from perf.load.connection import PATIENCE_S
from perf.load.result import LoadResult, StreamFigures
from perf.load.target import Accept

__all__ = [
    "MAX_RPS",
    "MAX_SECONDS",
    "PATIENCE_S",
    "Accept",
    "Amount",
    "LoadResult",
    "StreamFigures",
    "UnsafeTargetError",
]
