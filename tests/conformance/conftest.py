"""The stack behind the official SDKs' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.rig.certificates import Authority
from tests.rig.sdk_stack import SdkStack, running_stack


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with one authority that nobody here shows a certificate of."""
    return Authority(tmp_path_factory.mktemp("authorities")).file


@pytest.fixture(scope="module", autouse=True)
def _few_authorities(authorities: Path) -> Iterator[None]:
    """Clients of SDKs read whom TLS trusts, up to three times each: 20 ms where that is the whole world."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(authorities))
        yield


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
