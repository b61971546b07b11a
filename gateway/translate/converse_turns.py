"""The conversation of one Converse call: system prompt and turns, as Bedrock and the model take them.

Turns take turns, no text is blank, a conversation begins with the user, a document has a text beside it, and
cache points stand where they may. Some models refuse results of tools beside other things, or a system
prompt. Where something has to be said so that a rule holds, it is a single full stop: blanks are refused.

Shape: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html
"""

from __future__ import annotations

from typing import Any, Final, Literal

from gateway.translate.conversation import trim_prefill
from gateway.translate.converse_media import Block
from gateway.translate.converse_models import BedrockModel

Role = Literal["user", "assistant"]

NOTHING_SAID: Final = "."
_READ_IT: Final = "Here is the document."
_POINT: Final = "cachePoint"
_RESULT: Final = "toolResult"
_FILES: Final = frozenset({"document", "video"})
_SHOWN: Final = _FILES | {"image"}
_SEE_BELOW: Final = "What the tool gave is shown below."
_HOUR: Final = "1h"


class Turns:
    """A conversation while it is put together."""

    def __init__(self, model: BedrockModel) -> None:
        self._model = model
        self._system: list[Block] = []
        self._turns: list[dict[str, Any]] = []
        self._beside: list[Block] = []

    def add_system(self, blocks: list[Block]) -> None:
        """Add to the system prompt; where it stands between turns says nothing."""
        self._system += blocks

    def add(self, role: Role, blocks: list[Block]) -> None:
        """Add to a turn; what one side says in a row is one turn, and results of tools come first in it.

        Files in them come behind all of them, where a model takes none within.
        """
        results: list[Block] = []
        others: list[Block] = []
        group = others
        for block in blocks:
            if _POINT not in block:
                group = results if _RESULT in block else others
            group.append(block)
        if results and not self._model.takes_files_in_results:
            results = list(map(self._without_files, results))
        self._add(role, results)
        if others:
            self._show_files()
        self._add(role, others)

    def mark_end(self, mark: object) -> None:
        """Put a cache point behind all that was said so far."""
        self._show_files()
        if self._turns and isinstance(mark, dict) and self._model.caches:
            self._turns[-1]["content"].append(point(mark, self._model))

    def trim_prefill(self) -> None:
        """Of callers who may not know that Claude takes no blanks at the end of what it is to go on with."""
        if self._model.is_claude:
            trim_prefill(self._turns)

    @property
    def tools_used(self) -> list[str]:
        """Names of the tools that were called, each once."""
        names = [
            block["toolUse"]["name"]
            for turn in self._turns
            for block in turn["content"]
            if "toolUse" in block
        ]
        return list(dict.fromkeys(names))

    @property
    def has_lost_thoughts(self) -> bool:
        """A tool was called without the thoughts before it; then some models must not think now either."""
        said: list[Block] = next(
            (turn["content"] for turn in reversed(self._turns) if turn["role"] == "assistant"), []
        )
        has_call = any("toolUse" in block for block in said)
        return has_call and "reasoningContent" not in said[0]

    def finish(self) -> tuple[list[Block], list[dict[str, Any]]]:
        """The system prompt and the turns; nothing is added after that."""
        self._show_files()
        if self._system and not self._model.takes_system:
            texts, self._system = self._system, []
            if not self._turns or self._turns[0]["role"] != "user":
                self._turns.insert(0, {"role": "user", "content": []})
            self._turns[0]["content"][:0] = texts
        begins_wrong = not self._turns or (
            self._turns[0]["role"] == "assistant" and not self._model.begins_with_either
        )
        if begins_wrong:
            self._turns.insert(0, {"role": "user", "content": [{"text": NOTHING_SAID}]})
        for turn in self._turns:
            content = turn["content"] = _with_points_settled(turn["content"])
            if any("document" in block for block in content) and not any(
                "text" in block for block in content
            ):
                content.append({"text": _READ_IT})
        return self._system, self._turns

    def _without_files(self, block: Block) -> Block:
        """A result of a tool without its files, which are kept to come behind it."""
        content = block[_RESULT]["content"] if _RESULT in block else []
        files = [inner for inner in content if not _SHOWN.isdisjoint(inner)]
        if not files:
            return block
        self._beside += files
        rest = [inner for inner in content if _SHOWN.isdisjoint(inner)] or [{"text": _SEE_BELOW}]
        return {_RESULT: {**block[_RESULT], "content": rest}}

    def _show_files(self) -> None:
        """Add the files that are to come behind the results before."""
        files, self._beside = self._beside, []
        self._add("user", files)

    def _add(self, role: Role, blocks: list[Block]) -> None:
        if not blocks:
            return
        last = self._turns[-1] if self._turns else None
        if last is None or last["role"] != role:
            self._turns.append({"role": role, "content": list(blocks)})
        elif role == "user" and self._must_not_meet(last["content"], blocks):
            self._turns.append({"role": "assistant", "content": [{"text": NOTHING_SAID}]})
            self._turns.append({"role": role, "content": list(blocks)})
        else:
            last["content"] += blocks

    def _must_not_meet(self, said: list[Block], more: list[Block]) -> bool:
        """Whether this model refuses these in one turn; Claude refuses files beside results of tools."""
        both = [block for block in (*said, *more) if _POINT not in block]
        others = [block for block in both if _RESULT not in block]
        if not others or len(others) == len(both):
            return False
        is_file = any(not _FILES.isdisjoint(block) for block in others)
        return self._model.wants_results_alone or (self._model.is_claude and is_file)


def text_blocks(text: str) -> list[Block]:
    """*text* as a block; Bedrock refuses blank ones."""
    return [{"text": text}] if text.strip() else []


def with_point(blocks: list[Block], mark: object, model: BedrockModel) -> list[Block]:
    """*blocks* with the cache point that *mark* asks for behind them.

    A mark changes no answer, so where the model knows none it is left out without a word.
    """
    return [*blocks, point(mark, model)] if blocks and isinstance(mark, dict) and model.caches else blocks


def point(mark: dict[str, Any], model: BedrockModel) -> Block:
    """The cache point for Anthropic's `cache_control`."""
    lives_an_hour = mark.get("ttl") == _HOUR and model.caches_for_an_hour
    return {_POINT: {"type": "default", "ttl": _HOUR} if lives_an_hour else {"type": "default"}}


def _with_points_settled(content: list[Block]) -> list[Block]:
    """*content* with its cache points where Bedrock takes them: behind something that is no file."""
    settled: list[Block] = []
    for block in content:
        at = len(settled)
        if _POINT in block:
            while at and not _FILES.isdisjoint(settled[at - 1]):
                at -= 1
            if not at or _POINT in settled[at - 1]:
                continue
        settled.insert(at, block)
    return settled
