"""The demo provider answers the official SDK as a provider would."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from gateway import demo_provider
from gateway.demo_provider import embed

ROOT = Path(__file__).resolve().parents[2]
START = "import sys; from gateway.demo_provider import main; sys.exit(main('127.0.0.1', int(sys.argv[1])))"


@pytest.fixture(scope="module")
def provider() -> Iterator[openai.OpenAI]:
    command = [sys.executable, "-c", START, "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("demo provider listening on ").strip()
        assert url.startswith("http://127.0.0.1:")
        with openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0, timeout=60) as client:
            yield client
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_at_an_address_of_version_6() -> None:
    """Its URL has brackets, and leads there."""
    command = [sys.executable, "-c", START.replace("127.0.0.1", "::1"), "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("demo provider listening on ").strip()
        assert url.startswith("http://[::1]:")
        with openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0, timeout=60) as client:
            assert [model.id for model in client.models.list()] == ["echo"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_echoes_the_last_user_message(provider: openai.OpenAI) -> None:
    """A plain call gets the text back, with its usage in words."""
    reply = provider.chat.completions.create(
        model="echo",
        messages=[{"role": "system", "content": "Be kind."}, {"role": "user", "content": "a b  c"}],
    )
    assert reply.choices[0].message.content == "a b  c"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (5, 3)


def test_streams_word_by_word(provider: openai.OpenAI) -> None:
    """A stream has one chunk a word, then the reason, then the usage that was asked for."""
    stream = provider.chat.completions.create(
        model="echo",
        messages=[{"role": "user", "content": [{"type": "text", "text": "one two three"}]}],
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = list(stream)
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", "one", " two", " three", None]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 6


def test_stops_at_the_limit(provider: openai.OpenAI) -> None:
    """`max_tokens` cuts the answer."""
    reply = provider.chat.completions.create(
        model="echo", messages=[{"role": "user", "content": "one two three"}], max_tokens=2
    )
    assert reply.choices[0].message.content == "one two"
    assert reply.choices[0].finish_reason == "length"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_calls_a_tool_that_is_named(provider: openai.OpenAI, *, stream: bool) -> None:
    """A tool named in the message is called; its result is echoed in the next turn."""
    tools: list[openai.types.chat.ChatCompletionToolUnionParam] = [
        {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}
    ]
    question: openai.types.chat.ChatCompletionMessageParam = {
        "role": "user",
        "content": "please get_time now",
    }
    if stream:
        chunks = list(
            provider.chat.completions.create(model="echo", messages=[question], tools=tools, stream=True)
        )
        called = [chunk.choices[0].delta.tool_calls for chunk in chunks if chunk.choices[0].delta.tool_calls]
        assert called[0][0].function is not None
        assert called[0][0].function.name == "get_time"
        assert chunks[-1].choices[0].finish_reason == "tool_calls"
        return
    reply = provider.chat.completions.create(model="echo", messages=[question], tools=tools)
    assert reply.choices[0].message.tool_calls is not None
    call = reply.choices[0].message.tool_calls[0]
    assert call.type == "function"
    assert call.function.name == "get_time"
    turn = provider.chat.completions.create(
        model="echo",
        messages=[
            question,
            {"role": "assistant", "tool_calls": [call.model_dump()]},  # type: ignore[list-item]
            {"role": "tool", "tool_call_id": call.id, "content": "12:00"},
        ],
        tools=tools,
    )
    assert turn.choices[0].message.content == "12:00"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_completes_a_prompt(provider: openai.OpenAI, *, stream: bool) -> None:
    """The older completions endpoint echoes its prompt."""
    if stream:
        pieces = provider.completions.create(model="echo", prompt="one two", stream=True)
        assert "".join(piece.choices[0].text for piece in pieces) == "one two"
    else:
        assert provider.completions.create(model="echo", prompt="one two").choices[0].text == "one two"


def test_embeds(provider: openai.OpenAI) -> None:
    """Vectors arrive in order, of the asked length, also in the SDK's own base64."""
    reply = provider.embeddings.create(model="echo", input=["a", "b"], dimensions=8)
    assert [item.index for item in reply.data] == [0, 1]
    assert reply.data[0].embedding == pytest.approx(embed("a", 8), rel=1e-5)
    assert reply.data[1].embedding == pytest.approx(embed("b", 8), rel=1e-5)


def test_embedding_depends_on_the_text_alone() -> None:
    """The same text has the same vector, another text another, each of length 1."""
    assert embed("a", 16) == embed("a", 16)
    assert embed("a", 16) != embed("b", 16)
    assert sum(number * number for number in embed("a", 16)) == pytest.approx(1.0)


def test_lists_its_model(provider: openai.OpenAI) -> None:
    """`GET /v1/models` and the single model agree."""
    assert [model.id for model in provider.models.list()] == ["echo"]
    assert provider.models.retrieve("echo").id == "echo"


def test_unknown_model_is_refused_as_openai_does(provider: openai.OpenAI) -> None:
    """The error has OpenAI's shape, so that SDKs show it."""
    with pytest.raises(openai.NotFoundError) as caught:
        provider.chat.completions.create(model="gpt-0", messages=[{"role": "user", "content": "hi"}])
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/chat/completions", {"model": "echo"}, id="no messages"),
        pytest.param(
            "/chat/completions", {"model": "echo", "messages": ["hi"]}, id="messages of another kind"
        ),
        pytest.param("/chat/completions", ["hi"], id="not an object"),
        pytest.param("/completions", {"model": "echo"}, id="no prompt"),
        pytest.param("/embeddings", {"model": "echo", "input": []}, id="no input"),
        pytest.param("/embeddings", {"model": "echo", "input": "a", "dimensions": 0}, id="no dimensions"),
    ],
)
def test_bad_requests_are_refused(provider: openai.OpenAI, path: str, body: object) -> None:
    """What cannot be served is a 400, not a broken server."""
    with pytest.raises(openai.BadRequestError):
        provider.post(path, body=body, cast_to=object)


def test_port_taken_is_told() -> None:
    """A taken port ends the command with one message and exit code 3."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-c", START, str(taken.getsockname()[1])]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "choose another with --port" in done.stderr


def test_a_host_that_is_none_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """Another port would not help, and is not proposed."""
    assert demo_provider.main("192.0.2.1", 0) == 3
    assert "give an address of this machine with --host" in capsys.readouterr().err
