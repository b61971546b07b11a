"""How a destination is doing: told to whoever asks, and to the log once, not once per batch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.delivery.advice import Try, explain
from gateway.delivery.destination import Destination
from gateway.delivery.ledger import rfc3339
from gateway.delivery.outcome import Outcome, Verdict
from gateway.elastic import authorization_in

State = Literal["ok", "retrying", "refusing", "paused", "disabled"]
Signal = Literal["traces", "metrics"]

SEVERITY: Final[tuple[State, ...]] = ("ok", "retrying", "refusing", "paused", "disabled")
"""The states, the worst last."""

# An endpoint that fails and recovers by turns is no news with each turn.
_TELL_AGAIN_S: Final = 600.0
_ITEMS: Final = {"traces": "spans", "metrics": "data points"}
_WAITS: Final = {"traces": "its calls wait in the spool", "metrics": "the next request holds them"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """What last went wrong.

    Attributes:
        at_s: Unix time.
        status: HTTP status, None without an answer.
        message: In words, without secrets.
        advice: What an operator can do about it.
    """

    at_s: float
    status: int | None
    message: str
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "at": rfc3339(self.at_s),
            "status": self.status,
            "message": self.message,
            "advice": self.advice,
        }


class Condition:
    """The state of one destination.

    Args:
        destination: Which.
        now_s: Unix time.
        signal: What goes there.

    Attributes:
        last_success_s: Unix time of the last delivered batch, None before the first.
    """

    def __init__(
        self, destination: Destination, now_s: Callable[[], float], signal: Signal = "traces"
    ) -> None:
        self._destination = destination
        self._now_s = now_s
        self._signal = signal
        # What is the matter, and whether the log has it; when it was told of what, by the advice.
        self._trouble = ""
        self._is_told = False
        self._told_s: dict[str, float] = {}
        self.state: State = "ok"
        self.last_success_s: float | None = None
        self.last_failure: Failure | None = None
        self.begin(destination)

    def begin(self, destination: Destination) -> None:
        """Start over with a new or changed configuration."""
        self._destination = destination
        self._trouble, self._is_told = "", False
        self._told_s.clear()
        self.state = "disabled" if destination.disabled else "ok"
        if destination.disabled:
            advice = f"Mend the configuration; {_WAITS[self._signal]}."
            self.last_failure = Failure(self._now_s(), None, destination.disabled, advice)

    def delivered(self, outcome: Outcome) -> None:
        """The endpoint took a batch."""
        self.last_success_s = self._now_s()
        if outcome.rejected:
            what = f"{outcome.rejected} {_ITEMS[self._signal]} rejected: {outcome.message}"
            failure = self._fail(outcome, what)
            if self._is_news("rejected"):
                _log.error("%s: %s. %s", self._name, what, failure.advice)
        elif outcome.message and self._is_news("a remark"):
            _log.warning("%s: delivered, with a remark: %s", self._name, outcome.message)
        if self._is_told:
            _log.info("%s: delivers %s again", self._name, self._signal)
        self._trouble, self._is_told = "", False
        self.state = "ok"

    def retrying(self, outcome: Outcome) -> None:
        """A batch could not be delivered, and is tried again."""
        self._enter("retrying", outcome, logging.WARNING, f"cannot deliver {self._signal}, retrying")

    def paused(self, outcome: Outcome) -> None:
        """The endpoint lets us write nothing; it is asked now and then."""
        self._enter("paused", outcome, logging.ERROR, f"paused, {_WAITS[self._signal]}")

    def refused(self, outcome: Outcome) -> None:
        """A batch was refused and is dropped."""
        if outcome.verdict is Verdict.REFUSED:
            state: State = "refusing"
        else:  # it is about these spans, and says nothing of the next ones
            state = "disabled" if self._destination.disabled else "ok"
        self._enter(state, outcome, logging.ERROR, f"{_ITEMS[self._signal]} are refused and dropped")

    def entry(self) -> dict[str, Any]:
        """As `GET /api/telemetry` shows it."""
        return {
            "state": self.state,
            "last_success_at": rfc3339(self.last_success_s),
            "last_error": self.last_failure.to_dict() if self.last_failure is not None else None,
        }

    @property
    def _name(self) -> str:
        return self._destination.name

    def _enter(self, state: State, outcome: Outcome, level: int, what: str) -> None:
        failure = self._fail(outcome, outcome.message)
        self.state = state
        trouble = f"{what}: {failure.advice}"
        if trouble != self._trouble:
            self._trouble = trouble
            if self._is_news(trouble):
                self._is_told = True
                _log.log(level, "%s: %s: %s. %s", self._name, what, failure.message, failure.advice)

    def _is_news(self, trouble: str) -> bool:
        """Whether the log has not had it for a while."""
        now_s, told_s = self._now_s(), self._told_s.get(trouble)
        if told_s is not None and 0 <= now_s - told_s < _TELL_AGAIN_S:
            return False
        self._told_s[trouble] = now_s
        return True

    def _fail(self, outcome: Outcome, message: str) -> Failure:
        destination = self._destination
        words = explain(
            Try(
                endpoint=destination.endpoint,
                protocol=destination.protocol,
                signal=self._signal,
                authorization=authorization_in(destination.headers),
                is_proxied=outcome.is_proxied,
                status=outcome.status,
                message=outcome.message,
                rejected=outcome.rejected,
                clock_ahead_s=outcome.clock_ahead_s,
            )
        )
        failure = self.last_failure = Failure(self._now_s(), outcome.status, message, words.advice)
        return failure
