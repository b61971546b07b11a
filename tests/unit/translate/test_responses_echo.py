"""What a response repeats of its request."""

from __future__ import annotations

from gateway.model import Usage
from gateway.translate.responses_echo import echo_of, open_answer
from tests.golden.responses_cases import make_responses_call


def test_defaults() -> None:
    """What was not asked, or asked as null, has OpenAI's default; nothing is stored, whatever was asked."""
    echo = echo_of(make_responses_call(model="a/b", input="hi", temperature=None, store=True))
    assert echo["temperature"] == 1.0
    assert echo["text"] == {"format": {"type": "text"}}
    assert echo["tools"] == []
    assert echo["store"] is False
    assert "input" not in echo


def test_what_was_asked() -> None:
    """Is repeated, each function with the members that OpenAI's types demand."""
    tools = [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}]
    call = make_responses_call(
        model="a/b",
        tools=tools,
        reasoning={"effort": "low"},
        text={"verbosity": "low"},
        metadata={"k": "v"},
        instructions="be brief",
    )
    echo = echo_of(call)
    assert echo["tools"] == [{**tools[0], "strict": False, "parameters": None}, tools[1]]
    assert echo["reasoning"] == {"effort": "low", "summary": None}
    assert echo["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert (echo["metadata"], echo["instructions"]) == ({"k": "v"}, "be brief")


def test_an_answer_is_opened_with_it() -> None:
    """Calls of custom tools are known as such, and a model that the target does not name is the one asked."""
    tools = [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}]
    answer = open_answer(make_responses_call(model="a/b", input="hi", tools=tools))
    assert answer.custom_tools == {"c"}
    answer.name("resp_1", "", created_at=1)
    response = answer.end(None, Usage(1, 1, "provider"))
    assert (response["model"], [tool["name"] for tool in response["tools"]]) == ("a/b", ["f", "c"])
