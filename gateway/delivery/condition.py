"""How a destination is doing: told once per change, not once per batch, to the log and to whoever asks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from gateway.delivery.advice import Try, explain
from gateway.delivery.destination import Destination
from gateway.delivery.ledger import rfc3339
from gateway.delivery.outcome import Outcome

State = Literal["ok", "retrying", "paused", "disabled"]

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

    Attributes:
        last_success_s: Unix time of the last delivered batch, None before the first.
    """

    def __init__(self, destination: Destination, now_s: Callable[[], float]) -> None:
        self._destination = destination
        self._now_s = now_s
        self._refused_status: int | None = None
        self._last_remark = ""
        self.state: State = "ok"
        self.last_success_s: float | None = None
        self.last_failure: Failure | None = None
        self.begin(destination)

    def begin(self, destination: Destination) -> None:
        """Start over with a new or changed configuration."""
        self._destination = destination
        self._refused_status = None
        self.state = "disabled" if destination.disabled else "ok"
        if destination.disabled:
            advice = "Mend the configuration; its calls wait in the spool."
            self.last_failure = Failure(self._now_s(), None, destination.disabled, advice)

    def delivered(self, outcome: Outcome) -> None:
        """The endpoint took a batch."""
        self.last_success_s = self._now_s()
        if outcome.rejected:
            self._fail(outcome, f"{outcome.rejected} spans rejected: {outcome.message}")
        if outcome.message != self._last_remark:
            self._last_remark = outcome.message
            if outcome.message:
                _log.warning("%s: delivered, with a remark: %s", self._destination.name, outcome.message)
        if self.state in ("retrying", "paused"):
            _log.info("%s: delivers again", self._destination.name)
        self._refused_status = None
        self.state = "ok"

    def retrying(self, outcome: Outcome) -> None:
        """A batch could not be delivered, and is tried again."""
        failure = self._fail(outcome, outcome.message)
        if self.state != "retrying":
            _log.warning(
                "%s: cannot deliver, retrying: %s. %s",
                self._destination.name,
                failure.message,
                failure.advice,
            )
        self.state = "retrying"

    def paused(self, outcome: Outcome) -> None:
        """The endpoint lets us write nothing; it is asked now and then."""
        failure = self._fail(outcome, outcome.message)
        if self.state != "paused":
            _log.error(
                "%s: paused, spans wait in the spool: %s. %s",
                self._destination.name,
                failure.message,
                failure.advice,
            )
        self.state = "paused"

    def refused(self, outcome: Outcome) -> None:
        """A batch was refused and is dropped."""
        failure = self._fail(outcome, outcome.message)
        if outcome.status != self._refused_status:
            _log.error(
                "%s: spans are refused and dropped: %s. %s",
                self._destination.name,
                failure.message,
                failure.advice,
            )
        self._refused_status = outcome.status
        self.state = "disabled" if self._destination.disabled else "ok"

    def entry(self) -> dict[str, Any]:
        """As `GET /api/telemetry` shows it."""
        return {
            "state": self.state,
            "last_success_at": rfc3339(self.last_success_s),
            "last_error": self.last_failure.to_dict() if self.last_failure is not None else None,
        }

    def _fail(self, outcome: Outcome, message: str) -> Failure:
        destination = self._destination
        words = explain(
            Try(
                endpoint=destination.endpoint,
                protocol=destination.protocol,
                authorization=next(
                    (value for name, value in destination.headers.items() if name.lower() == "authorization"),
                    "",
                ),
                status=outcome.status,
                message=outcome.message,
                clock_ahead_s=outcome.clock_ahead_s,
            )
        )
        failure = self.last_failure = Failure(self._now_s(), outcome.status, message, words.advice)
        return failure
