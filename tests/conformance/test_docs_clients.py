"""What docs/clients.md shows works as it stands there, but for address, key and model."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import openai
import pytest
from anthropic import NotFoundError

from tests.rig.behaviours import TEXT
from tests.rig.manifests import APP_TOKEN
from tests.rig.requires import requires
from tests.rig.sdk_stack import SdkStack

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "clients.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"^```python(?: (\S+))?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
MODEL: Final = "lab/normal"


def run(stack: SdkStack, code: str) -> list[str]:
    """What it prints, as a program of its own: it closes nothing before its end."""
    for shown, real in (
        ("https://gateway", f"http://127.0.0.1:{stack.gateway.port}"),
        ("<gateway key>", APP_TOKEN),
        ("openai-main/gpt-4o", MODEL),
    ):
        assert shown in code
        code = code.replace(shown, real)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, marks=[requires(framework)] if framework else [], id=code.splitlines()[0])
        for framework, code in BLOCKS
    ],
)
def test_what_is_shown(stack: SdkStack, code: str) -> None:
    """Each piece of Python prints what the model said, the last one more before it."""
    printed = run(stack, code)
    assert printed[-1] == TEXT
    if len(printed) > 1:
        assert printed[0] == MODEL
        assert re.fullmatch("[0-9a-f]{32}", printed[1])


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_by_variables(stack: SdkStack, monkeypatch: pytest.MonkeyPatch, sdk: str) -> None:
    """Those that the table names: programs that take no base URL often take these."""
    where = f"http://127.0.0.1:{stack.gateway.port}"
    messages: Any = [{"role": "user", "content": "Hello"}]
    if sdk == "openai":
        monkeypatch.setenv("OPENAI_BASE_URL", f"{where}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", APP_TOKEN)
        with openai.OpenAI() as client:
            reply = client.chat.completions.create(model="fake/normal", messages=messages)
        assert reply.choices[0].message.content == TEXT
        return
    from anthropic import Anthropic

    monkeypatch.setenv("ANTHROPIC_BASE_URL", where)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", APP_TOKEN)
    with Anthropic() as client:
        said: Any = client.messages.create(model="fake/normal", max_tokens=9, messages=messages)
    assert said.content[0].text == TEXT


def test_the_base_url_of_another_sdk(stack: SdkStack) -> None:
    """Anthropic's with that of OpenAI's is a 404 that says what to do."""
    with stack.anthropic(prefix="/v1") as client, pytest.raises(NotFoundError, match="Leave /v1 out"):
        client.messages.create(
            model="fake/normal", max_tokens=9, messages=[{"role": "user", "content": "Hello"}]
        )


def test_the_code_of_an_error(stack: SdkStack) -> None:
    """Where the page says that it is."""
    with stack.client() as client, pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="fake/none", messages=[{"role": "user", "content": "Hello"}])
    body: Any = raised.value.body
    assert body["code"] == "model_not_found"
