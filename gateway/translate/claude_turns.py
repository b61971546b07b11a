"""The turns of a conversation on its way to Claude, and what the system says of it. Pure.

What the system says before the first turn is the system prompt. What it says later is so too, unless it may
speak between the turns: there it keeps its place, so that the prompt before it stays the one that has been
cached, and that thoughts in it are bound to. Anthropic takes it right behind a turn of the user's, before the
next answer.

Rules: https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages
"""

from __future__ import annotations

from typing import Any

Block = dict[str, Any]


class Turns:
    """The turns so far.

    Attributes:
        system: The system prompt.
        listed: The turns, taking turns.
    """

    def __init__(self, *, hears_between: bool) -> None:
        self.system: list[Block] = []
        self.listed: list[dict[str, Any]] = []
        self._hears_between = hears_between
        self._said_later: list[Block] = []

    def say(self, role: str, blocks: list[Block]) -> None:
        """Add to a turn; what one side says in a row is one turn, as results of tools must be."""
        if not blocks:
            return
        if self.listed and self.listed[-1]["role"] == role:
            self.listed[-1]["content"] += blocks
            return
        if role == "assistant":
            self._place()
        self.listed.append({"role": role, "content": blocks})

    def say_as_system(self, blocks: list[Block]) -> None:
        """Add what the system says."""
        if self._hears_between and self.listed:
            self._said_later += blocks
        else:
            self.system += blocks

    def end(self) -> None:
        """Nothing more is said."""
        self._place()
        # Behind an answer, which is to go on, there is no place for it.
        self.system += self._said_later
        self._said_later = []

    def _place(self) -> None:
        if self._said_later and self.listed[-1]["role"] == "user":
            self.listed.append({"role": "system", "content": self._said_later})
            self._said_later = []
