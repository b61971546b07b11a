"""docs/elastic.md: its manifests run, and its troubleshooting is what the gateway says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from gateway.config import SecretSource
from gateway.control.pages import frame
from gateway.delivery.advice import RULES
from tests.unit.config.writing import ACCOUNT, CALLER, check_text, found

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "elastic.md").read_text(encoding="utf-8")
_MANIFESTS: Final = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
_VARIABLES: Final = dict(re.findall(r'^export (OTEL_\w+)="?(.*?)"?$', PAGE, re.MULTILINE))
KEY: Final = "aWQ6a2V5"


def test_troubleshooting_is_what_is_said() -> None:
    """Every rule in its order, word for word."""
    table = PAGE.partition("<!-- rules -->\n")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    # Markdown's own characters are escaped in a table.
    shown = [tuple(re.sub(r"\\([|<*])", r"\1", cell) for cell in row) for row in rows]
    assert shown == [(rule.what, rule.advice) for rule in RULES]


@pytest.mark.parametrize("manifest", _MANIFESTS)
def test_manifests_run_without_a_remark(manifest: str, tmp_path: Path) -> None:
    """What newcomers copy."""
    checked = check_text(tmp_path, ACCOUNT, CALLER, manifest, strict=True, environ={"ELASTIC_API_KEY": KEY})
    assert found(checked) == []


def test_variables_are_a_destination(tmp_path: Path) -> None:
    """The same one."""
    environ = {name: value.replace("<the key>", KEY) for name, value in _VARIABLES.items()}
    checked = check_text(tmp_path, ACCOUNT, CALLER, environ=environ)
    assert found(checked) == []
    assert checked.config is not None
    (manifest,) = checked.config.otel_configs
    exporter = manifest.otel_traces_exporter_config
    assert exporter is not None
    assert exporter.endpoint.endswith(".elastic.cloud:443/v1/traces")
    header = SecretSource({}, None).resolve(exporter.headers["Authorization"], tmp_path)
    assert header == f"ApiKey {KEY}"
    assert exporter.additional_resource_attributes == {"deployment.environment.name": "production"}


def test_the_page_has_what_is_to_be_filled_in() -> None:
    """Each label that the steps name is on the page of the dashboard."""
    steps = PAGE.partition("### On the page")[2].partition("\n### ")[0]
    labels = re.findall(r"\*\*([^*]+)\*\*", steps)
    template = Path(frame.__file__).with_name("templates") / "otel.html"
    shown = template.read_text(encoding="utf-8")
    assert len(labels) > 6
    assert [label for label in labels if label not in shown] == []
