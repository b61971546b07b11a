"""docs/routing.md and its example hold."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Final

import yaml

from gateway.config import SecretSource, check
from gateway.config.manifests.global_settings import GlobalSettings
from gateway.config.manifests.load_balancing import FALLBACK_STATUS_CODES, AnyRouting, WeightedTarget
from gateway.config.manifests.virtual_model import VirtualModelAccount
from gateway.model import SkipReason

_ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (_ROOT / "docs" / "routing.md").read_text(encoding="utf-8")
EXAMPLE: Final = _ROOT / "deploy" / "examples" / "routing.yaml"


def manifests(kind: str) -> list[dict[str, object]]:
    """The manifests of this type that the page shows."""
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    return [block for block in blocks if block["type"] == kind]


def test_the_example_is_right() -> None:
    """What operators copy has no finding."""
    environ = {name: f"canary-{name}" for name in re.findall(r"env:(\w+)", EXAMPLE.read_text())}
    checked = check.check(EXAMPLE, strict=True, secrets=SecretSource(environ))
    assert checked.problems == ()
    assert checked.config is not None
    settings = checked.config.global_settings.model_dump(exclude={"keep_alive_settings"})
    assert settings == GlobalSettings(type="gateway-global-settings").model_dump(
        exclude={"keep_alive_settings"}
    )


def test_what_the_page_shows_loads() -> None:
    """Each as it stands there, and `what you see are the defaults` is true."""
    assert [VirtualModelAccount.model_validate(one) for one in manifests("provider-account/virtual-model")]
    shown = [GlobalSettings.model_validate(one) for one in manifests("gateway-global-settings")]
    assert len(shown) == 2
    circuit = next(one for one in shown if one.keep_alive_settings is None)
    assert circuit == GlobalSettings(type="gateway-global-settings")


def test_every_strategy() -> None:
    """A row for each."""
    for routing in typing.get_args(AnyRouting):
        (kind,) = typing.get_args(routing.model_fields["type"].annotation)
        assert len(re.findall(rf"^\| `{kind}` \|", PAGE, re.MULTILINE)) == 1, kind


def test_defaults() -> None:
    """What is said of retries, fallbacks and limits is what holds."""
    retry = WeightedTarget(target="a/b", weight=1).retry_config
    assert f"({', '.join(map(str, retry.on_status_codes))})" in PAGE
    assert f"up to `attempts` times more ({retry.attempts} where nothing is written)" in PAGE
    theirs, ours = re.findall(r"TrueFoundry's \(([\d, ]+)\) and, beyond it, ([\d, \nand]+):", PAGE)[0]
    said = [int(code) for code in re.findall(r"\d+", theirs + " " + ours)]
    assert sorted(said) == list(FALLBACK_STATUS_CODES)
    limits = GlobalSettings(type="gateway-global-settings").timeout_settings
    rows = dict(re.findall(r"^\| `(\w+_ms)` \| (?:(\d+) s|none) \|", PAGE, re.MULTILINE))
    assert {name: int(seconds) * 1000 if seconds else None for name, seconds in rows.items()} == (
        limits.model_dump()
    )


def test_why_targets_are_passed_over() -> None:
    """Reasons that the page names are some."""
    rows = re.findall(r"^\| `(drained|circuit|cool_down)` \|", PAGE, re.MULTILINE)
    assert len(rows) == len(set(rows) & set(typing.get_args(SkipReason))) == 3
