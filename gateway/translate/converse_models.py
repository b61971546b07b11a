"""What the models of Bedrock can do, as far as a Converse call has to know before it is sent.

Converse takes the same call for every model, and refuses what one of them has no word for. A model is known
by a word in its id, wherever it stands (`us.anthropic.claude-sonnet-4-5-20250929-v1:0`, the ARN of a shared
profile). The ARN of a profile of one's own, of bought throughput or of an own model says nothing of what is
behind it: there the model's name in the gateway is looked at. Of one that is not known everything is asked
that Converse has a word for.

Facts, below https://docs.aws.amazon.com/ : bedrock/latest/userguide/structured-output.html ,
bedrock/latest/APIReference/API_runtime_ToolResultContentBlock.html ,
bedrock/latest/userguide/conversation-inference-supported-models-features.html ,
bedrock/latest/userguide/prompt-caching.html , bedrock/latest/APIReference/API_runtime_ToolChoice.html ,
nova/latest/nova2-userguide/extended-thinking.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from gateway.model import Target
from gateway.translate.claude_models import BUDGETS, Generation, can_be_forced, generation_of
from gateway.translate.gpt_models import LEAST_EFFORT, always_thinks

CLAUDE: Final = "claude"
NOVA: Final = "nova"
GPT: Final = "gpt"
"""OpenAI's own models, not those that it gives away."""

UNKNOWN: Final = ""

_FAMILIES: Final = re.compile(
    r"claude|nova|titan|llama|mi[sx]tral|ministral|magistral|pixtral|voxtral|devstral|gpt-oss|gpt-\d|qwen"
    r"|deepseek|jamba|command|palmyra|glm|kimi|gemma|minimax|nemotron|grok"
)
_SHAPES_OUTPUT: Final = re.compile(
    r"qwen3|glm|kimi|minimax-m2|nemotron-nano|gemma-3-(?:12|27)b|magistral-small|ministral-3|mistral-large-3|voxtral"
)
_OF_MISTRAL: Final = frozenset(
    {"mistral", "mixtral", "ministral", "magistral", "pixtral", "voxtral", "devstral"}
)
# They refuse a system prompt.
_WITHOUT_SYSTEM: Final = re.compile(
    r"titan-text|titan-tg1|mistral-7b-instruct|mixtral-8x7b|command-(?:light-)?text"
)
_WITHOUT_STOPS: Final = re.compile(r"gpt-oss|qwen|deepseek[.-]v3")
_FILES_IN_RESULTS: Final = re.compile(r"llama-?4")
_RESULTS_ALONE: Final = _OF_MISTRAL | {"llama", "palmyra"}
_BEGINS_WITH_EITHER: Final = frozenset({CLAUDE, GPT, "grok", "qwen", "glm", "kimi", UNKNOWN})
_FORCES_A_TOOL: Final = frozenset({CLAUDE, NOVA, GPT, "grok", "glm", "kimi", UNKNOWN})
_FORCES_ANY: Final = re.compile(r"mistral-large|deepseek")
_OLD_HAIKU: Final = re.compile(r"claude-3-5-haiku")
_NOVA_2: Final = re.compile(r"nova-2")

_FIRST_SHAPING_CLAUDE: Final = Generation(4, 5)
_NO_LONGER_SHAPING_CLAUDE: Final = Generation(4, 7)
_FIRST_CACHING_CLAUDE: Final = Generation(3, 7)
_FIRST_CLAUDE_ONE_AT_A_TIME: Final = Generation(4, 0)
_NOVA_EFFORTS: Final = {"minimal": "low", "low": "low", "medium": "medium"}
_GPT_EFFORTS: Final = {"minimal": "low", "low": "low", "medium": "medium"}
_QWEN_EFFORTS: Final = {"minimal": "low", "low": "low"}
_HIGH: Final = "high"


@dataclass(frozen=True, slots=True)
class BedrockModel:
    """One model, as far as it is known.

    Attributes:
        name: What says which it is: its id, or its name here.
        family: The word it is known by, "" for one that is not known.
    """

    name: str
    family: str

    @property
    def is_claude(self) -> bool:
        """It takes what is Anthropic's own; so may one that is not known."""
        return self.family in (CLAUDE, UNKNOWN)

    @property
    def shapes_output(self) -> bool:
        """It takes a JSON schema for its answer, and strict tools: the same models do both.

        Bedrock holds calls of Claude from 4.7 on against a schema of its own that lacks both.
        """
        generation = generation_of(self.name)
        if generation is not None:
            return _FIRST_SHAPING_CLAUDE <= generation < _NO_LONGER_SHAPING_CLAUDE
        return self.family in (GPT, "grok", UNKNOWN) or _SHAPES_OUTPUT.search(self.name) is not None

    @property
    def can_be_forced(self) -> bool:
        """It can be made to call some tool."""
        return self.can_be_forced_to_one or _FORCES_ANY.search(self.name) is not None

    @property
    def can_be_forced_to_one(self) -> bool:
        """It can be made to call a certain tool."""
        return self.family in _FORCES_A_TOOL and can_be_forced(self.name)

    @property
    def takes_one_at_a_time(self) -> bool:
        """It can be kept from calling several tools at once."""
        generation = generation_of(self.name)
        return generation is not None and generation >= _FIRST_CLAUDE_ONE_AT_A_TIME

    @property
    def caches(self) -> bool:
        """It takes cache points; elsewhere they are an error."""
        if self.family == CLAUDE:
            generation = generation_of(self.name)
            is_new = generation is not None and generation >= _FIRST_CACHING_CLAUDE
            return is_new or _OLD_HAIKU.search(self.name) is not None
        return self.family in (NOVA, UNKNOWN)

    @property
    def caches_tools(self) -> bool:
        """It takes them among tools as well."""
        return self.caches and self.family != NOVA

    @property
    def caches_for_an_hour(self) -> bool:
        """It takes them with a time to live."""
        return self.caches_tools

    @property
    def takes_system(self) -> bool:
        """It takes a system prompt."""
        return _WITHOUT_SYSTEM.search(self.name) is None

    @property
    def takes_status(self) -> bool:
        """It takes a result of a tool that says whether it failed."""
        return self.family in (CLAUDE, NOVA, UNKNOWN)

    @property
    def takes_thoughts(self) -> bool:
        """What it thought before, signed or hidden, may come back to it."""
        return self.is_claude or self.family in (GPT, "grok")

    @property
    def takes_sampling(self) -> bool:
        """It takes `temperature` and `topP`; of Claude more is to be known (`claude_models`)."""
        return self.family not in (GPT, "grok")

    @property
    def takes_stops(self) -> bool:
        """It takes texts to stop at."""
        return _WITHOUT_STOPS.search(self.name) is None

    @property
    def takes_files_in_results(self) -> bool:
        """It takes pictures and files within a result of a tool; the others take them beside it."""
        return self.family in (CLAUDE, NOVA, UNKNOWN) or _FILES_IN_RESULTS.search(self.name) is not None

    @property
    def wants_results_alone(self) -> bool:
        """It refuses results of tools beside anything else in one turn."""
        return self.family in _RESULTS_ALONE

    @property
    def begins_with_either(self) -> bool:
        """A conversation may begin with its own words."""
        return self.family in _BEGINS_WITH_EITHER

    @property
    def is_nova_2(self) -> bool:
        """It is a Nova that can think."""
        return _NOVA_2.search(self.name) is not None


def model_of(target: Target) -> BedrockModel:
    """Which model *target* is."""
    name = target.model_id.lower()
    found = _FAMILIES.search(name)
    if found is None:
        name = target.name.partition("/")[2].lower()
        found = _FAMILIES.search(name)
    if found is None:
        return BedrockModel(target.model_id, UNKNOWN)
    return BedrockModel(name, _family_by(found[0]))


def _family_by(word: str) -> str:
    if word in _OF_MISTRAL:
        return "mistral"
    return GPT if word.removeprefix("gpt-").isdigit() else word


def top_k_fields(model: BedrockModel, top_k: object) -> dict[str, Any] | None:
    """Where *model* takes `top_k`, for which Converse has no word; None when nowhere."""
    if model.is_claude:
        return {"top_k": top_k}
    if model.family == NOVA:
        return {"inferenceConfig": {"topK": top_k}}
    return None


def effort_fields(model: BedrockModel, effort: str, *, is_limited: bool) -> dict[str, Any] | None:
    """What makes a model other than Claude think this hard, None when it cannot be told.

    Args:
        model: Which.
        effort: OpenAI's word, one of `claude_models.BUDGETS`, or `none`.
        is_limited: The call has a limit of tokens or says how to sample, both of which the highest effort of
            Nova refuses; it thinks less hard then.
    """
    if model.family == GPT:
        return _openai_effort(model, effort)
    if effort not in BUDGETS:
        # Of the others each thinks always or never.
        return {} if effort == "none" and model.family == NOVA else None
    if model.is_nova_2:
        level = _NOVA_EFFORTS.get(effort, "medium" if is_limited else _HIGH)
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}
    if model.family == "gpt-oss":
        return {"reasoning_effort": _GPT_EFFORTS.get(effort, _HIGH)}
    if model.family == "qwen":
        return {"reasoning_config": _QWEN_EFFORTS.get(effort, _HIGH)}
    return None


def _openai_effort(model: BedrockModel, effort: str) -> dict[str, Any] | None:
    if effort != "none" and effort not in BUDGETS:
        return None
    is_least = effort == "minimal" or (effort == "none" and always_thinks(model.name))
    return {"reasoning": {"effort": LEAST_EFFORT if is_least else effort}}
