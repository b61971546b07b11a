"""The plain manifests for Kubernetes, made from the chart, fit the image and the gateway's settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml

from gateway.config import SecretSource, check
from gateway.settings import OPTIONS, read_settings
from tests.rig.kubernetes_schemas import find_problem
from tests.rig.requires import requires

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "deploy" / "helm" / "gateway"
OBJECTS: Final[dict[str, Any]] = {
    f"{found['kind']}/{found['metadata']['name']}": found
    for found in yaml.safe_load_all(
        (ROOT / "deploy" / "kubernetes" / "gateway.yaml").read_text(encoding="utf-8")
    )
}
POD: Final = OBJECTS["Deployment/gateway"]["spec"]["template"]
CONTAINER: Final = POD["spec"]["containers"][0]
_IMAGE: Final = {
    "GATEWAY_CONFIG": "/etc/gateway/manifests",
}


def environment() -> dict[str, str]:
    """What a pod says itself, with what the Secret must have."""
    own = {one["name"]: one["value"] for one in CONTAINER["env"]}
    return {**_IMAGE, **own, "GATEWAY_ADMIN_TOKEN": "of-the-secret"}


def test_settings_are_settings() -> None:
    """Each variable stands for a flag and has a value that can be used."""
    assert environment().keys() <= {option.variable for option in OPTIONS} | {"GATEWAY_ADMIN_TOKEN"}
    settings = read_settings({}, environment())
    ports = {one["name"]: one["containerPort"] for one in CONTAINER["ports"]}
    assert ports == {
        "calls": settings.port,
        "control": settings.control_port,
        "health": settings.health_port,
    }
    assert {settings.host, settings.control_host, settings.health_host} == {"0.0.0.0"}
    mounts = {one["mountPath"] for one in CONTAINER["volumeMounts"]}
    # A volume is root's: what the gateway makes private is a folder in it.
    assert mounts == {str(settings.config), str(settings.state_dir.parent), "/tmp"}  # noqa: S108 - the pod's own


def test_the_image_says_the_rest() -> None:
    """What the pods do not say the Dockerfile does."""
    text = (ROOT / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert [name for name, value in _IMAGE.items() if f"{name}={value}" not in text] == []
    (user,) = re.findall(r"^USER (\d+):", text, re.MULTILINE)
    assert POD["spec"]["securityContext"]["runAsUser"] == int(user)


def test_a_stop_has_the_time_it_needs() -> None:
    """Kubernetes waits longer than the wait before SIGTERM, the delay, the timeout and 15 s together."""
    settings = read_settings({}, environment())
    program, before = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    needed = int(before) + settings.drain_delay_s + settings.drain_timeout_s + 15
    assert POD["spec"]["terminationGracePeriodSeconds"] > needed


def test_a_control_process_that_starts_anew_takes_no_pod_out_of_service() -> None:
    """It answers the probe for all workers, which serve on while it is away, for some seconds at most."""
    probe = CONTAINER["readinessProbe"]
    assert (probe["failureThreshold"] - 1) * probe["periodSeconds"] >= 4


@requires("kubernetes-validate")
def test_kubernetes_would_know_every_field() -> None:
    """Each object fits a closed schema of the oldest and of the newest version."""
    assert [problem for one in OBJECTS.values() if (problem := find_problem(one))] == []


@requires("kubernetes-validate")
@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "Deployment", "spec": {**OBJECTS["Deployment/gateway"]["spec"], "replica": 3}},
        {"kind": "Deployment", "spec": {"selector": {}}},
        {"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2beta2"},
        {"kind": "HTTPRoute", "spec": {"parentRefs": [{"name": "edge"}], "rules": [{"backendRef": []}]}},
        {"kind": "ServiceMonitor", "spec": {"selector": {"matchLabels": {}}, "endpoints": [{"path": "/"}]}},
    ],
    ids=["unknown field", "no template", "version that is gone", "of the Gateway API", "of Prometheus"],
)
def test_an_unknown_field_is_a_problem(wrong: dict[str, Any]) -> None:
    """The check of the schemas can fail."""
    apis = {"HTTPRoute": "gateway.networking.k8s.io/v1", "ServiceMonitor": "monitoring.coreos.com/v1"}
    api = apis.get(wrong["kind"], "apps/v1")
    assert find_problem({"apiVersion": api, "metadata": {"name": "gateway"}, **wrong}) is not None


def test_a_pod_has_no_rights_that_it_does_not_need() -> None:
    """Nobody's user, two folders to write to, no rarer system calls, no token of Kubernetes."""
    assert OBJECTS["ServiceAccount/gateway"]["automountServiceAccountToken"] is False
    assert POD["spec"]["automountServiceAccountToken"] is False
    context = POD["spec"]["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = {one["mountPath"] for one in CONTAINER["volumeMounts"] if not one.get("readOnly")}
    assert writable == {"/var/lib/gateway", "/tmp"}  # noqa: S108 - the pod's own


def test_no_service_is_taken_for_a_setting() -> None:
    """The Service is called `gateway` too: without this each pod had a GATEWAY_PORT that is no port."""
    assert POD["spec"]["enableServiceLinks"] is False


def test_keys_come_by_reference() -> None:
    """No value of a secret is in any object: a Secret is named, and there is none among them."""
    assert CONTAINER["envFrom"] == [{"secretRef": {"name": "gateway"}}]
    assert not [name for name in OBJECTS if name.startswith("Secret/")]


def test_pods_spread() -> None:
    """Over zones and over hosts, counted among those of one release."""
    spread = POD["spec"]["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for one in spread:
        assert one["labelSelector"]["matchLabels"] == POD["metadata"]["labels"]
        assert one["matchLabelKeys"] == ["pod-template-hash"]


def test_everything_selects_the_pods() -> None:
    """Services, policy, budget and autoscaler are about the pods of the deployment, and ports have names."""
    labels = POD["metadata"]["labels"]
    for name in ("Service/gateway", "Service/gateway-control"):
        assert OBJECTS[name]["spec"]["selector"] == labels
    assert OBJECTS["PodDisruptionBudget/gateway"]["spec"]["selector"]["matchLabels"] == labels
    assert OBJECTS["NetworkPolicy/gateway"]["spec"]["podSelector"]["matchLabels"] == labels
    assert OBJECTS["HorizontalPodAutoscaler/gateway"]["spec"]["scaleTargetRef"]["name"] == "gateway"
    assert "replicas" not in OBJECTS["Deployment/gateway"]["spec"], "the autoscaler says how many"
    probes = [CONTAINER[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert [(one["path"], one["port"], one.get("scheme")) for one in probes] == [
        ("/readyz", "health", None), ("/readyz", "health", None), ("/livez", "calls", "HTTP"),
    ]  # fmt: skip


def test_the_control_plane_is_closed_to_callers() -> None:
    """The policy lets nobody to its port, unless told."""
    (rule,) = OBJECTS["NetworkPolicy/gateway"]["spec"]["ingress"]
    assert rule["ports"] == [{"port": "calls"}]


def test_manifests_can_be_run(tmp_path: Path) -> None:
    """Those of the ConfigMap pass the strict check with what the Secret must have."""
    for name, text in OBJECTS["ConfigMap/gateway-manifests"]["data"].items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    secrets = SecretSource({"OPENAI_API_KEY": "sk-some-key", "APP_TOKEN": "some-token"}, None)
    assert check.check(tmp_path, strict=True, secrets=secrets).problems == ()


def test_the_autoscalers_metric_is_one_of_ours() -> None:
    """What the chart asks for by name is on /metrics."""
    text = (CHART / "templates" / "scaling.yaml").read_text(encoding="utf-8")
    (name,) = re.findall(r"metric: \{name: (\w+)\}", text)
    assert f"`{name.replace('_', '.')}`" in (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")


def schema_and_values() -> tuple[Any, Any]:
    """Of the chart."""
    text = (CHART / "values.schema.json").read_text(encoding="utf-8")
    return yaml.safe_load(text), yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


def test_defaults_fit_the_schema() -> None:
    """The schema knows every value of values.yaml, and values.yaml every one of the schema."""
    schema, values = schema_and_values()
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(values, schema)
    assert schema["properties"].keys() - {"global"} == values.keys()
    for name, part in schema["properties"].items():
        if name not in {"global", "resources"}:
            assert part.get("properties", {}).keys() == (
                values[name].keys() if "properties" in part else set()
            ), name


def test_values_say_what_they_do() -> None:
    """Each value of values.yaml has a comment: within it, or before it in its paragraph."""
    _, *paragraphs = (CHART / "values.yaml").read_text(encoding="utf-8").split("\n\n")
    silent = []
    for paragraph in paragraphs:
        so_far = ""
        for block in re.split(r"\n(?=[a-z])", paragraph):
            so_far += block
            if "#" not in so_far:
                silent.append(block.partition(":")[0])
    assert silent == []


def test_limits_of_the_gateway_can_be_set() -> None:
    """Each of overload's settings is a value of the chart, and its default fits the memory of a pod."""
    _, values = schema_and_values()
    limits = {"GATEWAY_MAX_IN_FLIGHT", "GATEWAY_MAX_INPUT_BYTES_IN_FLIGHT", "GATEWAY_MAX_LOOP_LAG"}
    assert limits <= environment().keys()
    memory = values["resources"]["limits"]["memory"]
    assert memory == "1Gi"
    # Bodies take up to three times their size.
    assert 3 * int(environment()["GATEWAY_MAX_INPUT_BYTES_IN_FLIGHT"]) < 2**30


@pytest.mark.parametrize(
    "wrong",
    [
        {"replica": 3}, {"settings": {"workers": 0}}, {"secretName": ""},
        {"httpRoute": {"enabled": True, "parentRefs": []}}, {"httpRoute": {"enabled": True}},
        {"settings": {"logLevel": "verbose"}}, {"autoscaling": {"cpuPercent": "65"}},
        {"tls": {"clientCaSecretName": "callers"}}, {"service": {"type": "ExternalName"}},
        {"secretFiles": [{"secretName": "providers", "key": "openai", "path": "openai"}]},
    ],
    ids=[
        "unknown", "no worker", "no secret", "route to nowhere", "route to nothing", "level", "text",
        "callers' certificates without one of ours", "type of service", "path of a file",
    ],
)  # fmt: skip
def test_wrong_values_are_refused(wrong: dict[str, Any]) -> None:
    """A misspelt or impossible value is told before anything is installed."""
    schema, _ = schema_and_values()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)
