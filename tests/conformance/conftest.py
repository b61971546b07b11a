"""The stack behind the official SDKs' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.rig.sdk_stack import SdkStack, running_stack


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SdkStack]:
    with running_stack(tmp_path_factory.mktemp("sdk")) as stack:
        yield stack


@pytest.fixture
def stack(running: SdkStack) -> SdkStack:
    """The running stack, the fake upstreams' records cleared."""
    running.upstream.forget()
    running.claude.forget()
    return running


@pytest.fixture
def client(stack: SdkStack) -> Iterator[OpenAI]:
    with stack.client() as each:
        yield each


@pytest.fixture
def claude(stack: SdkStack) -> Iterator[Anthropic]:
    """Anthropic's client."""
    with stack.anthropic() as each:
        yield each
