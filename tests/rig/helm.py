"""The chart of `deploy/helm`, rendered by the real helm, and the plain manifests that are made from it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from tests.rig.requires import ROOT, find_program

CHART: Final = ROOT / "deploy" / "helm" / "gateway"
PLAIN: Final = ROOT / "deploy" / "kubernetes" / "gateway.yaml"
_HEAD: Final = """\
# Three to twenty gateways on Kubernetes, as the chart of deploy/helm makes them from its defaults.
#
#   who uses it: whoever installs without Helm, as it is or as a base of Kustomize:
#                kubectl apply --namespace gateway --filename gateway.yaml
#   before:      the Secret `gateway` with GATEWAY_ADMIN_TOKEN, OPENAI_API_KEY and APP_TOKEN, and with
#                GATEWAY_REDIS_URL for limits of all of them together; the image of deploy/docker in your
#                registry, and its name below; your manifests in the ConfigMap below
#   made by:     make golden, where helm is

"""


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm."""
    command = [find_program("helm") or "", *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def render(*options: str) -> list[dict[str, Any]]:
    """The objects that the chart makes with *options*.

    Raises:
        AssertionError: helm refuses.
    """
    done = run("template", "gateway", CHART, *options)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def plain_text() -> str:
    """What `deploy/kubernetes/gateway.yaml` has to be."""
    done = run("template", "gateway", CHART)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("# Source:")]
    return _HEAD + "\n".join(lines).strip() + "\n"
