"""The plain manifests for Kubernetes are what the chart makes from its defaults."""

from __future__ import annotations

from tests.rig import helm
from tests.rig.requires import requires


@requires("helm")
def test_plain_manifests_are_those_of_the_chart(*, golden_rewrite: bool) -> None:
    """A change of the chart reaches those who install without it."""
    text = helm.plain_text()
    if golden_rewrite:
        helm.PLAIN.write_text(text, encoding="utf-8")
    assert helm.PLAIN.read_text(encoding="utf-8") == text
