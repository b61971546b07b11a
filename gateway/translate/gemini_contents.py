"""A conversation on its way to Gemini: what is said in turns, calls of functions, and their results in order.

Gemini knows a result by the name of its function and by its place: the results of one turn stand together
right behind the calls, one for each and in their order. Callers have ids instead. Gemini from 3 on has ids as
well, where it gave them itself, and wants the first call of each turn signed.

Rules: https://ai.google.dev/gemini-api/docs/function-calling ,
https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.translate.gemini_models import signs_calls
from gateway.translate.gemini_parts import INVENTED, UNSIGNED, Part, signed

Content = dict[str, Any]

_LAST: Final = 1 << 30


class Contents:
    """The `contents` of one call."""

    def __init__(self, model_id: str) -> None:
        self._is_signed = signs_calls(model_id)
        self._turns: list[Content] = []
        self._names: dict[str, str] = {}
        self._places: dict[str, int] = {}
        self._calls = 0
        self._results: list[tuple[int, list[Part]]] = []

    def say(self, role: str, parts: list[Part]) -> None:
        """Add to what `user` or `model` say; what one of them says in a row is one turn."""
        if not parts:
            return
        self._give_results()
        last = self._turns[-1] if self._turns else None
        if last is not None and last["role"] == role and "functionResponse" not in last["parts"][0]:
            last["parts"] += parts
        else:
            self._turns.append({"role": role, "parts": list(parts)})

    def call(self, call_id: str, name: str, args: dict[str, Any], signature: str = "") -> None:
        """Add a call of a function that the model made.

        Args:
            call_id: As its caller knows it.
            name: Of the function.
            args: What it was called with.
            signature: What came with it, "" when nothing did.
        """
        call = {"name": name, "args": args, **self._id(call_id)}
        self.say("model", [signed({"functionCall": call}, signature)])
        # Counted by itself: some callers begin their ids anew in each turn.
        self._places[call_id] = self._calls
        self._calls += 1
        self._names[call_id] = name

    def name_of(self, call_id: str) -> str:
        """The function that was called under this id, "" when none was."""
        return self._names.get(call_id, "")

    def result(self, call_id: str, name: str, response: dict[str, Any], files: Sequence[Part] = ()) -> None:
        """Add the result of a call.

        Args:
            call_id: Of the call.
            name: Of the function.
            response: The result: `output` or `error`, or members of its own.
            files: `inlineData` and `fileData` that belong to it.
        """
        given: dict[str, Any] = {"name": name, "response": response, **self._id(call_id)}
        beside = list(files)
        if self._is_signed and files:
            # Older models want them beside it.
            given["parts"], beside = beside, []
        self._results.append((self._places.get(call_id, _LAST), [{"functionResponse": given}, *beside]))

    def whole(self) -> list[Content]:
        """All turns."""
        self._give_results()
        if self._is_signed:
            for turn in self._turns:
                _sign(turn)
        return self._turns

    def _id(self, call_id: str) -> dict[str, str]:
        return {"id": call_id} if self._is_signed and call_id and not call_id.startswith(INVENTED) else {}

    def _give_results(self) -> None:
        if not self._results:
            return
        in_order = [parts for _, parts in sorted(self._results, key=lambda result: result[0])]
        # All results first: what is beside them must not stand between.
        parts = [part[0] for part in in_order] + [part for parts in in_order for part in parts[1:]]
        self._results = []
        self._turns.append({"role": "user", "parts": parts})


def _sign(turn: Content) -> None:
    """Sign the first call where no call of *turn* is signed."""
    calls = [at for at, part in enumerate(turn["parts"]) if "functionCall" in part]
    if calls and not any("thoughtSignature" in turn["parts"][at] for at in calls):
        turn["parts"][calls[0]] = signed(turn["parts"][calls[0]], UNSIGNED)
