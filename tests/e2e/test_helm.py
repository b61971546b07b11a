"""The chart of `deploy/helm` as the real helm takes it, and a ConfigMap as Kubernetes mounts it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from gateway.settings import OPTIONS, read_settings
from gateway.tls_files import NO_FILES
from tests.rig import helm
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.kubernetes_schemas import find_problem
from tests.rig.manifests import ENVIRONMENT, bearer, chat_body, openai_account, virtual_account
from tests.rig.requires import requires
from tests.rig.until import until

ROUTE: Final = ("--set", "httpRoute.enabled=true", "--set-json", 'httpRoute.parentRefs=[{"name":"edge"}]')
TLS: Final = ("--set", "tls.secretName=gateway-tls")
MONITORED: Final = ("--set", "serviceMonitor.enabled=true")
# What is switched on -> options of helm; together they render every line of the templates.
VARIANTS: Final[dict[str, tuple[str, ...]]] = {
    "defaults": (),
    "ways in": (
        *ROUTE, "--set", "ingress.enabled=true,ingress.tlsSecretName=edge,ingress.className=edge",
        "--set", "httpRoute.hostnames={ai.test}",
    ),
    "monitoring": (*MONITORED, "--set", "autoscaling.inFlight=50,serviceMonitor.labels.release=prometheus"),
    "tls": (*TLS, *ROUTE, *MONITORED, "--set", "ingress.enabled=true"),
    "mutual tls": (
        *TLS, *ROUTE, *MONITORED,
        "--set", "tls.clientCaSecretName=callers,tls.caConfigMap=ours,tls.hostname=ai.test",
        "--set", "serviceMonitor.tlsConfig.insecureSkipVerify=true",
    ),
    "from redis": (
        "--set", "config.fromRedis=true",
        "--set-json", 'extraVolumes=[{"name":"redis-ca","secret":{"secretName":"redis-ca"}}]',
        "--set-json", 'extraVolumeMounts=[{"name":"redis-ca","mountPath":"/etc/redis-ca","readOnly":true}]',
    ),
    "files": (
        "--set-json", 'secretFiles=[{"secretName":"providers","key":"openai","path":"corp/prod/openai"}]',
    ),
    "place": (
        "--set", "topologySpread.whenUnsatisfiable=DoNotSchedule,nodeSelector.pool=calls,podAnnotations.a=b",
        "--set", "service.type=LoadBalancer,service.annotations.a=b,serviceAccount.annotations.role=calls",
        "--set-json", 'tolerations=[{"key":"calls","operator":"Exists"}]',
        "--set-json", 'imagePullSecrets=[{"name":"registry"}]',
        "--set-json", 'affinity={"nodeAffinity":{}}',
        "--set-json", 'extraEnv=[{"name":"HTTPS_PROXY","value":"http://proxy:3128"}]',
    ),
    "nothing": (
        "--set", "autoscaling.enabled=false,podDisruptionBudget.enabled=false,networkPolicy.enabled=false",
        "--set", "topologySpread.enabled=false,config.existingConfigMap=mine",
    ),
}  # fmt: skip


def by_kind(*options: str) -> dict[str, Any]:
    """What the chart makes; of each kind the last one."""
    return {found["kind"]: found for found in helm.render(*options)}


@requires("helm")
def test_lint() -> None:
    """`helm lint --strict` has nothing to say."""
    done = helm.run("lint", "--strict", helm.CHART)
    assert done.returncode == 0, done.stdout + done.stderr


@requires("helm", "kubernetes-validate")
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_kubernetes_would_know_every_field(options: tuple[str, ...]) -> None:
    """Whatever is switched on, the oldest and the newest version have a schema that it fits, closed."""
    made = helm.render(*options)
    assert [problem for one in made if (problem := find_problem(one))] == []


@requires("helm")
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_gateway_can_begin_with_what_it_is_told(options: tuple[str, ...]) -> None:
    """Each variable of a pod stands for a flag, and all can be used together, whatever is switched on."""
    (container,) = by_kind(*options)["Deployment"]["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one["value"] for one in container["env"] if one["name"].startswith("GATEWAY_")}
    assert told.keys() <= {option.variable for option in OPTIONS}
    of_the_secret = {"GATEWAY_ADMIN_TOKEN": "token", "GATEWAY_REDIS_URL": "redis://valkey:6379/0"}
    settings = read_settings({}, {"GATEWAY_CONFIG": "/etc/gateway/manifests", **told, **of_the_secret})
    is_tls = "GATEWAY_TLS_CERT" in told
    assert (settings.tls is not NO_FILES, settings.control_tls is not NO_FILES) == (is_tls, is_tls)
    assert settings.config_in_redis is ("config.fromRedis=true" in options)


@requires("helm")
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_what_is_said_after_an_install(options: tuple[str, ...]) -> None:
    """Where calls go, where the dashboard is, where manifests come from, by the names of the objects."""
    done = helm.run("install", "mine", helm.CHART, "--namespace", "ai", "--dry-run=client", *options)
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("\nNOTES:\n")[2]
    scheme = "https" if "tls.secretName=gateway-tls" in options else "http"
    assert f"{scheme}://mine.ai.svc " in notes
    assert "kubectl --namespace ai port-forward deployment/mine 8788" in notes
    assert f"{scheme}://localhost:8788" in notes
    is_there = "gateway config push PATH" in notes
    assert is_there is ("config.fromRedis=true" in options)
    if not is_there:
        mine = any("config.existingConfigMap=mine" in option for option in options)
        assert f"of the ConfigMap {'mine' if mine else 'mine-manifests'};" in notes


def test_the_variants_switch_everything_on() -> None:
    """No condition of a template is left out of them: each value that one asks for is set in one."""
    text = "".join(file.read_text(encoding="utf-8") for file in (helm.CHART / "templates").iterdir())
    asked = set(re.findall(r"(?:if|with) (?:not )?\(?(?:or )?\.Values\.([\w.]+)", text))
    told = " ".join(word for options in VARIANTS.values() for word in options)
    assert len(asked) > 20
    in_tests_below = {"networkPolicy.callers", "networkPolicy.control", "networkPolicy.egress"}
    assert {name for name in asked if f"{name}=" not in told and f"{name}." not in told} == in_tests_below


@requires("helm")
def test_tls() -> None:
    """With a Secret all ports but that of health speak TLS, and who asks them is told so."""
    made = by_kind(*VARIANTS["tls"])
    (container,) = made["Deployment"]["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    mounts = {one["mountPath"] for one in container["volumeMounts"]}
    for name in (
        "GATEWAY_TLS_CERT",
        "GATEWAY_TLS_KEY",
        "GATEWAY_CONTROL_TLS_CERT",
        "GATEWAY_CONTROL_TLS_KEY",
    ):
        assert str(Path(environment[name]).parent) in mounts
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "calls", "scheme": "HTTPS"}
    # The health port speaks plain HTTP, always.
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    services = {one["metadata"]["name"]: one for one in helm.render(*TLS) if one["kind"] == "Service"}
    (port,) = services["gateway"]["spec"]["ports"]
    assert (port["port"], port["appProtocol"]) == (443, "https")
    notes = made["Ingress"]["metadata"]["annotations"]
    assert notes["nginx.ingress.kubernetes.io/backend-protocol"] == "HTTPS"
    assert made["HTTPRoute"]["spec"]["rules"][0]["backendRefs"] == [{"name": "gateway", "port": 443}]
    policy = made["BackendTLSPolicy"]["spec"]
    assert policy["targetRefs"] == [{"group": "", "kind": "Service", "name": "gateway"}]
    (scrape,) = made["ServiceMonitor"]["spec"]["endpoints"]
    assert scrape["scheme"] == "https"
    assert scrape["tlsConfig"]["serverName"] == policy["validation"]["hostname"] == "gateway.default.svc"


@requires("helm")
def test_who_has_no_certificate_asks_the_health_port() -> None:
    """Where callers need one, no probe of the kubelet goes to them."""
    made = by_kind(*VARIANTS["mutual tls"])
    (container,) = made["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "GATEWAY_TLS_CLIENT_CA", "value": "/etc/gateway/client-ca/ca.crt"} in container["env"]
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    assert {container[name]["httpGet"]["port"] for name in probes} == {"health"}


@requires("helm")
def test_pods_of_ipv6() -> None:
    """Nothing listens on IPv4 alone, so that probes find it."""
    pod = by_kind("--set", "settings.host=::")["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    told = {one["name"]: one["value"] for one in container["env"] if one["name"].endswith("_HOST")}
    assert told == dict.fromkeys(("GATEWAY_HOST", "GATEWAY_CONTROL_HOST", "GATEWAY_HEALTH_HOST"), "::")


@requires("helm")
def test_secrets_as_files() -> None:
    """They lie where the gateway looks `tfy-secret://` up, and the Secret is named, not copied."""
    pod = by_kind(*VARIANTS["files"])["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {"name": "GATEWAY_SECRETS_DIR", "value": "/etc/gateway/secrets"} in container["env"]
    assert {"name": "secrets", "mountPath": "/etc/gateway/secrets", "readOnly": True} in container[
        "volumeMounts"
    ]
    (volume,) = [one for one in pod["volumes"] if one["name"] == "secrets"]
    items = [{"key": "openai", "path": "corp/prod/openai"}]
    assert volume["projected"]["sources"] == [{"secret": {"name": "providers", "items": items}}]


@requires("helm", "kubernetes-validate")
def test_egress_as_values_yaml_proposes(tmp_path: Path) -> None:
    """The rules in its comment can be used: names, providers but no metadata address, Redis."""
    text = (helm.CHART / "values.yaml").read_text(encoding="utf-8")
    proposed = re.findall(r"^  #   (.*)$", text, re.MULTILINE)
    rules = yaml.safe_load("\n".join(proposed))
    assert len(rules) == 3
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump({"networkPolicy": {"egress": rules, "callers": [{"podSelector": {}}]}}))
    policy = by_kind("--values", str(file))["NetworkPolicy"]
    assert find_problem(policy) is None
    assert policy["spec"]["egress"] == rules
    (block,) = [peer["ipBlock"] for rule in rules for peer in rule.get("to", ()) if "ipBlock" in peer]
    assert "169.254.0.0/16" in block["except"]


@requires("helm")
def test_wrong_values_are_refused() -> None:
    """Helm itself goes by values.schema.json."""
    done = helm.run("template", "gateway", helm.CHART, "--set", "replica=5")
    assert done.returncode != 0
    assert "replica" in done.stderr


@requires("helm", "kubernetes-validate")
@pytest.mark.parametrize("name", ["123", "true", "0x1f"])
def test_names_that_yaml_takes_for_something_else(name: str) -> None:
    """What an operator calls a Secret, a key or a class is text to Kubernetes, whatever it looks like."""
    files = json.dumps([{"secretName": name, "key": name, "path": f"corp/prod/{name}"}])
    made = helm.render(
        *ROUTE, *MONITORED, "--set", "ingress.enabled=true",
        "--set-string", f"secretName={name},config.existingConfigMap={name},ingress.className={name}",
        "--set-string", f"tls.secretName={name},tls.clientCaSecretName={name},tls.caConfigMap={name}",
        "--set-string", f"ingress.host={name},ingress.tlsSecretName={name},tls.hostname={name}",
        "--set-json", f"secretFiles={files}",
    )  # fmt: skip
    assert [problem for one in made if (problem := find_problem(one))] == []


@requires("helm")
def test_a_host_for_all_names() -> None:
    """A wildcard is a host of an Ingress, and nothing of YAML's."""
    ingress = by_kind("--set", "ingress.enabled=true,ingress.tlsSecretName=edge,ingress.host=*.ai.test")[
        "Ingress"
    ]
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == ["*.ai.test"]
    assert ingress["spec"]["tls"][0]["hosts"] == ["*.ai.test"]


@requires("helm", "kubernetes-validate")
def test_an_ingress_of_another_controller() -> None:
    """Notes for ingress-nginx can be taken away or said otherwise, and the cluster's own class be used."""
    for options in (("--set-json", "ingress.annotations=null"), ("--set", "ingress.className=")):
        for tls in ((), TLS):
            ingress = by_kind("--set", "ingress.enabled=true", *tls, *options)["Ingress"]
            assert find_problem(ingress) is None
    assert "ingressClassName" not in ingress["spec"]
    note = "nginx.ingress.kubernetes.io/backend-protocol"
    told = json.dumps({note: "GRPCS"})
    made = by_kind(*TLS, "--set", "ingress.enabled=true", "--set-json", f"ingress.annotations={told}")
    assert made["Ingress"]["metadata"]["annotations"][note] == "GRPCS"


@requires("helm")
def test_the_example_among_the_manifests_can_be_left_out() -> None:
    """Helm adds an operator's files to it; with null there are the operator's alone."""
    told = json.dumps({"gateway.yaml": None, "ours.yaml": "type: virtual-account"})
    made = by_kind("--set-json", f"config.manifests={told}")
    assert made["ConfigMap"]["data"] == {"ours.yaml": "type: virtual-account"}


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
    assert "topologySpreadConstraints" not in pod


def mount(folder: Path, version: str, file: str, text: str) -> None:
    """What Kubernetes does to change what it has mounted: a new folder, and one link to it that is replaced.

    The names at the top are links through that one, whether they are files or folders.
    """
    new = folder / f"..{version}" / file
    new.parent.mkdir(parents=True)
    new.write_text(text)
    link = folder / "..data_tmp"
    link.symlink_to(f"..{version}")
    link.replace(folder / "..data")
    top = Path(file).parts[0]
    if not (folder / top).is_symlink():
        (folder / top).unlink(missing_ok=True)
        (folder / top).symlink_to(f"..data/{top}")


def test_what_kubernetes_mounts_is_followed(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A changed ConfigMap, and a changed Secret of `secretFiles`, are taken up without a restart."""

    def documents(model: str) -> list[Document]:
        key = "tfy-secret://corp:prod:openai"
        account = openai_account("fake", upstream.base_url, [model, "normal"], key=key)
        return [account, virtual_account("app", ["env:APP_TOKEN"], ["*"])]

    def sent_key() -> str | None:
        """What the provider gets to see of a call."""
        with process.connect() as connection:
            headers = [bearer(), ("content-type", "application/json")]
            reply = connection.exchange("POST", "/v1/chat/completions", headers, chat_body("fake/normal"))
        assert reply.status == 200
        return upstream.exchanges[-1].header("authorization")

    secrets = tmp_path / "secrets"
    mount(secrets, "2026_01", "corp/prod/openai", "sk-first")
    process = GatewayProcess(
        tmp_path / "gateway", documents("first"), environment=ENVIRONMENT,
        options=["--secrets-dir", str(secrets)],
    )  # fmt: skip
    mount(process.config, "2026_01", "gateway.yaml", yaml.safe_dump_all(documents("first")))
    with process:
        before = process.get("/api/config")["version"]
        mount(process.config, "2026_02", "gateway.yaml", yaml.safe_dump_all(documents("second")))
        until(lambda: process.get("/api/config")["version"] != before, what="the new version to be in force")
        assert sent_key() == "Bearer sk-first"
        mount(secrets, "2026_02", "corp/prod/openai", "sk-second")
        until(lambda: sent_key() == "Bearer sk-second", what="the new key to be used")
