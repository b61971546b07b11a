"""The chart of `deploy/helm` as the real helm takes it, and a ConfigMap as Kubernetes mounts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.rig import helm
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import ENVIRONMENT, openai_account, virtual_account
from tests.rig.requires import requires
from tests.rig.until import until


def by_kind(*options: str) -> dict[str, Any]:
    """What the chart makes; of each kind the last one."""
    return {found["kind"]: found for found in helm.render(*options)}


@requires("helm")
def test_lint() -> None:
    """`helm lint --strict` has nothing to say."""
    done = helm.run("lint", "--strict", helm.CHART)
    assert done.returncode == 0, done.stdout + done.stderr


@requires("helm")
def test_wrong_values_are_refused() -> None:
    """Helm itself goes by values.schema.json."""
    done = helm.run("template", "gateway", helm.CHART, "--set", "replica=5")
    assert done.returncode != 0
    assert "replica" in done.stderr


@requires("helm")
def test_ways_in() -> None:
    """Ingress and HTTPRoute lead to the calls alone, buffer nothing and leave time limits to the gateway."""
    made = by_kind(
        "--set", "ingress.enabled=true,ingress.tlsSecretName=edge-tls,httpRoute.enabled=true",
        "--set-json", 'httpRoute.parentRefs=[{"name":"edge"}]',
        "--set", "httpRoute.hostnames={ai.example.com}",
    )  # fmt: skip
    ingress, route = made["Ingress"], made["HTTPRoute"]
    notes = {name.rpartition("/")[2]: value for name, value in ingress["metadata"]["annotations"].items()}
    assert (notes["proxy-buffering"], notes["proxy-request-buffering"]) == ("off", "off")
    # Over the 15 minutes that a WebSocket may be silent.
    assert int(notes["proxy-read-timeout"]) > 15 * 60
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"] == {"name": "gateway", "port": {"name": "calls"}}
    assert ingress["spec"]["tls"] == [{"hosts": ["gateway.example.com"], "secretName": "edge-tls"}]
    (rule,) = route["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    assert rule["backendRefs"] == [{"name": "gateway", "port": 80}]
    assert route["spec"]["hostnames"] == ["ai.example.com"]


@requires("helm")
def test_config_from_redis() -> None:
    """Then there is no ConfigMap, neither made nor mounted."""
    made = by_kind("--set", "config.fromRedis=true")
    assert "ConfigMap" not in made
    spec = made["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert {"name": "GATEWAY_CONFIG", "value": "redis:"} in container["env"]
    names = {one["name"] for one in (*container["volumeMounts"], *spec["volumes"])}
    assert names == {"state", "tmp"}


@requires("helm")
def test_what_is_switched_on() -> None:
    """Calls in flight scale, Prometheus finds the control port and is let there, egress is bounded."""
    peers: list[Document] = [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]
    made = by_kind(
        "--set", "autoscaling.inFlight=50",
        "--set", "serviceMonitor.enabled=true,serviceMonitor.labels.release=prometheus",
        "--set-json", f"networkPolicy.control={json.dumps(peers)}",
        "--set-json", 'networkPolicy.egress=[{"ports":[{"port":443}]}]',
    )  # fmt: skip
    cpu, calls = made["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert cpu["resource"]["name"] == "cpu"
    assert calls["pods"]["target"] == {"type": "AverageValue", "averageValue": "50"}
    monitor = made["ServiceMonitor"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    services = [one for one in helm.render() if one["kind"] == "Service"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert [one["metadata"]["name"] for one in services if wanted <= one["metadata"]["labels"].items()] == [
        "gateway-control"
    ]
    policy = made["NetworkPolicy"]["spec"]
    assert policy["ingress"][1] == {"ports": [{"port": "control"}], "from": peers}
    assert (policy["policyTypes"], policy["egress"]) == (["Ingress", "Egress"], [{"ports": [{"port": 443}]}])


@requires("helm")
def test_what_is_switched_off() -> None:
    """Without the autoscaler the deployment says how many; a ConfigMap that is there is used as it is."""
    switches = ("autoscaling", "podDisruptionBudget", "networkPolicy", "topologySpread")
    off = ",".join(f"{name}.enabled=false" for name in switches)
    made = by_kind(
        "--set", f"{off},replicas=5,config.existingConfigMap=mine,settings.drainTimeoutSeconds=600"
    )
    assert made.keys() == {"ServiceAccount", "Deployment", "Service"}
    spec = made["Deployment"]["spec"]
    assert spec["replicas"] == 5
    pod = spec["template"]["spec"]
    assert pod["volumes"][0] == {"name": "manifests", "configMap": {"name": "mine"}}
    assert pod["terminationGracePeriodSeconds"] == 5 + 5 + 600 + 20


def test_a_mounted_config_map_is_followed(upstream: FakeUpstream, tmp_path: Path) -> None:
    """Files are links through `..data`, which is changed as a whole: the new version is taken up."""

    def documents(model: str) -> list[Document]:
        account = openai_account("fake", upstream.base_url, [model])
        return [account, virtual_account("app", ["env:APP_TOKEN"], ["*"])]

    process = GatewayProcess(tmp_path / "gateway", documents("first"), environment=ENVIRONMENT)

    def publish(version: str, model: str) -> None:
        folder = process.config / f"..{version}"
        folder.mkdir()
        (folder / "gateway.yaml").write_text(yaml.safe_dump_all(documents(model)))
        link = process.config / "..data_tmp"
        link.symlink_to(folder.name)
        link.replace(process.config / "..data")

    publish("2026_01", "first")
    (process.config / "gateway.yaml").unlink()
    (process.config / "gateway.yaml").symlink_to("..data/gateway.yaml")
    with process:
        before = process.get("/api/config")["version"]
        publish("2026_02", "second")
        until(lambda: process.get("/api/config")["version"] != before, what="the new version to be in force")
