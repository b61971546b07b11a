"""The stack behind the official SDK's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.rig.sdk_stack import SdkStack, running_stack


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SdkStack]:
    with running_stack(tmp_path_factory.mktemp("sdk")) as stack:
        yield stack


@pytest.fixture
def stack(running: SdkStack) -> SdkStack:
    """The running stack, the fake upstream's records cleared."""
    running.upstream.forget()
    return running


@pytest.fixture
def client(stack: SdkStack) -> Iterator[OpenAI]:
    with stack.client() as each:
        yield each
