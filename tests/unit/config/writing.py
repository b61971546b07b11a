"""Manifests as tests write them, and checks of them in one call."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.config import Checked, Config, SecretSource, check

# Right by themselves and together, without a warning; tests add what they are about.
ACCOUNT: Final = """\
type: provider-account/self-hosted-model
name: lab
integrations:
  - name: qwen
    type: integration/model/self-hosted-model
    hosted_model_name: qwen2
    url: http://localhost:8000/v1
    model_server: openai-compatible
    model_types: [chat]
"""
CALLER: Final = f"""\
type: virtual-account
name: app
tokens: ["sha256:{"0" * 64}"]
models: ["lab/*"]
"""
TEAM: Final = """\
type: team
name: ml
members: [a@x.io]
models: ["lab/*"]
"""
TOKEN: Final = f"""\
type: pat
name: laptop
user_fqn: a@x.io
tokens: ["sha256:{"1" * 64}"]
"""


def documents(*texts: str) -> str:
    """Several manifests as one text."""
    return "---\n".join(textwrap.dedent(text) for text in texts)


def check_text(
    folder: Path,
    *texts: str,
    strict: bool = False,
    environ: Mapping[str, str] | None = None,
    secrets_dir: Path | None = None,
) -> Checked:
    """Check these manifests as `m.yaml` in *folder*."""
    file = folder / "m.yaml"
    file.write_text(documents(*texts))
    return check.check(file, strict=strict, secrets=SecretSource(environ or {}, secrets_dir))


def found(checked: Checked) -> list[str]:
    """The problems as `SEVERITY LINE PATH: what. how to mend`."""
    return [
        f"{problem.severity.value} {problem.line} {problem.path}: {problem.message}. {problem.fix}"
        for problem in checked.problems
    ]


def accepted_config(checked: Checked) -> Config:
    """The configuration of a check that found no error."""
    assert checked.config is not None, found(checked)
    return checked.config
