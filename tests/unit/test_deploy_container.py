"""The container image and the compose files agree with the gateway, with each other and with the repository.

Nothing here builds or starts a container; what can be run without one is run in tests/e2e/test_container.py.
"""

from __future__ import annotations

import importlib
import json
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from gateway.settings import OPTIONS, read_settings
from tests.rig.requires import requires

ROOT: Final = Path(__file__).resolve().parents[2]
COMPOSE: Final = ROOT / "deploy" / "compose"
DOCKERFILE: Final = (ROOT / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8")
VARIABLES: Final = {option.variable for option in OPTIONS} | {"GATEWAY_ADMIN_TOKEN"}
GATEWAYS: Final = ("gateway-1", "gateway-2", "gateway-3")
# ${NAME:-default}, or ${NAME:?why it is needed}.
_VARIABLE: Final = re.compile(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)?\}")
_REQUIRED: Final = re.compile(r"\$\{(\w+):\?")
_INSTRUCTION: Final = re.compile(r"^([A-Z]+) ((?:.*\\\n)*.*)$", re.MULTILINE)


class _Loader(yaml.SafeLoader):
    """Also knows the tags by which one file of compose replaces what another one says."""


def _plain(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return None


for _tag in ("!override", "!reset"):
    _Loader.add_constructor(_tag, _plain)


def load(name: str) -> dict[str, Any]:
    """A file of `deploy/compose`."""
    with (COMPOSE / name).open(encoding="utf-8") as file:
        found: dict[str, Any] = yaml.load(file, _Loader)  # noqa: S506 - a safe loader, with two tags more
    return found


def put_together(*names: str) -> dict[str, Any]:
    """Files of `deploy/compose` one over the other, with a value for each variable.

    It knows no more of compose's rules than these files use: what a later one says of a service stands
    instead of what was there, and nothing is there where it says null.
    """
    made: dict[str, Any] = {}
    for name in names:
        for part, found in load(name).items():
            if not isinstance(found, dict):
                made[part] = found
                continue
            for key, value in found.items():
                before = made.setdefault(part, {}).get(key)
                made[part][key] = (
                    {one: said for one, said in {**before, **value}.items() if said is not None}
                    if isinstance(before, dict)
                    else value
                )
    values = _VARIABLE.sub(lambda found: found[1] or "7", json.dumps(made))
    whole_text: dict[str, Any] = json.loads(values)
    return whole_text


def refusal(document: dict[str, Any]) -> str | None:
    """What the specification of compose has against *document*, None when nothing."""
    # Not where tests are collected: the package is a tool that can be absent.
    reader = importlib.import_module("compose_spec").PyCompose
    try:
        reader.from_json(json.dumps(document)).validate()
    except ValueError as error:
        return str(error)
    return None


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of the Dockerfile with that name."""
    lines = "\n".join(line for line in DOCKERFILE.splitlines() if not line.startswith("#"))
    return [found[2].replace("\\\n", " ") for found in _INSTRUCTION.finditer(lines) if found[1] == name]


def image_environment() -> dict[str, str]:
    """What the image says of the gateway's settings."""
    words = " ".join(instructions("ENV")).split()
    return dict(word.split("=", 1) for word in words if word.startswith("GATEWAY_"))


# -- the image


def test_what_is_copied_is_there_and_sent_to_the_builder() -> None:
    """Each source of a COPY exists, and `Dockerfile.dockerignore` lets it pass."""
    ignore = (ROOT / "deploy" / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    passed = [line[1:] for line in ignore.splitlines() if line.startswith("!")]
    sources = [
        source for words in instructions("COPY") if "--from" not in words for source in words.split()[:-1]
    ]
    assert len(sources) > 3
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if not any(fnmatch(source, each) for each in passed)] == []


def test_only_the_hashed_lock_is_installed() -> None:
    """No `pip install` fetches anything that the lock does not name by hash."""
    installs = [part for run in instructions("RUN") for part in run.split("&&") if "pip install" in part]
    assert len(installs) == 2
    for install in installs:
        assert "--require-hashes" in install or "--no-deps --no-build-isolation --no-index" in install


def test_the_image_runs_as_nobody() -> None:
    """The last user is one by number, so that Kubernetes can see that it is not root."""
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", instructions("USER")[-1])
    assert len(instructions("FROM")) == 2


def test_the_settings_of_the_image_are_settings() -> None:
    """Each variable stands for a flag and has a value that can be used; the ports are those exposed."""
    environment = image_environment()
    assert environment.keys() <= VARIABLES
    settings = read_settings({}, environment)
    assert instructions("EXPOSE") == [f"{settings.port} {settings.control_port}"]
    assert instructions("VOLUME") == [str(settings.state_dir)]


# -- compose


STACKS: Final = pytest.mark.parametrize(
    "names", [("compose.yaml",), ("compose.yaml", "compose.nginx.yaml")], ids=["haproxy", "nginx"]
)


@requires("compose-spec")
@STACKS
def test_the_specification_takes_what_is_put_together(names: tuple[str, ...]) -> None:
    """Every key, port, duration and mount is one of compose's; what services name is declared."""
    document = put_together(*names)
    assert document["services"].keys() == {*GATEWAYS, "balancer", "valkey", "collector"}
    assert refusal(document) is None


@requires("compose-spec")
@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("port", ["eighty:8080"]), ("ports", ["eighty:8080"]), ("networks", ["elsewhere"]),
        ("stop_grace_period", "1 parsec"), ("configs", [{"source": "missing", "target": "/run/x"}]),
    ],
    ids=["key", "port", "network", "duration", "config"],
)  # fmt: skip
def test_the_specification_refuses_what_is_wrong(part: str, wrong: Any) -> None:
    """The check before this one can fail."""
    document = put_together("compose.yaml")
    document["services"]["valkey"][part] = wrong
    assert refusal(document) is not None


def test_nginx_stands_where_haproxy_stood() -> None:
    """It has nothing of HAProxy's, is called on the same port, and begins when gateways are ready."""
    haproxy = put_together("compose.yaml")["services"]["balancer"]
    nginx = put_together("compose.yaml", "compose.nginx.yaml")["services"]["balancer"]
    assert "nginx" in nginx["image"]
    assert nginx["ports"] == haproxy["ports"]
    assert "environment" not in nginx
    assert [mount for mount in nginx["volumes"] if "haproxy" in mount] == []
    # nginx asks nobody for health, and looks names up once.
    assert nginx["depends_on"] == {name: {"condition": "service_healthy"} for name in GATEWAYS}
    assert nginx["read_only"] is True


def test_only_who_has_the_password_uses_valkey() -> None:
    """It is on the network of the services alone, is not published, wants a password and forgets nothing."""
    document = put_together("compose.yaml")
    service = document["services"]["valkey"]
    assert service["networks"] == ["inside"]
    assert "ports" not in service
    assert document["networks"]["inside"] == {"internal": True}
    lines = document["configs"]["valkey"]["content"].splitlines()
    assert {"requirepass 7", "appendonly yes", "maxmemory-policy noeviction"} <= set(lines)
    assert not [word for word in service["command"] if "pass" in word]


@STACKS
def test_what_compose_has_to_copy_goes_where_it_can_be_written(names: tuple[str, ...]) -> None:
    """A config or secret that is no file is copied into its container; Docker refuses that of a fixed one.

    https://github.com/docker/compose/issues/12031
    """
    document = put_together(*names)
    copied = {
        source
        for part in ("configs", "secrets")
        for source, found in document.get(part, {}).items()
        if "file" not in found
    }
    assert copied
    for name, service in document["services"].items():
        used = {one["source"] for part in ("configs", "secrets") for one in service.get(part, [])}
        assert not (used & copied and service.get("read_only")), name


def test_the_collector_exports_to_elasticsearch_by_variables() -> None:
    """Endpoint and key come from outside and stand in no file; every pipeline ends at Elastic's exporter."""
    with (COMPOSE / "collector.yaml").open(encoding="utf-8") as file:
        config = yaml.safe_load(file)
    (name,) = config["exporters"]
    exporter = config["exporters"][name]
    assert name.partition("/")[0] == "elasticsearch"
    assert exporter["endpoints"] == ["${env:ELASTICSEARCH_ENDPOINT}"]
    assert exporter["api_key"] == "${env:ELASTICSEARCH_API_KEY}"
    assert all(name in pipeline["exporters"] for pipeline in config["service"]["pipelines"].values())


def test_the_settings_of_compose_are_settings() -> None:
    """Each `GATEWAY_*` of a gateway stands for a flag, and what a gateway gets can be used together."""
    for name in GATEWAYS:
        environment = load("compose.yaml")["services"][name]["environment"]
        ours = {key: str(value) for key, value in environment.items() if key.startswith("GATEWAY_")}
        assert ours.keys() <= VARIABLES
        told = {key: re.sub(r"\$\{\w+:[-?]([^}]*)\}", "7", value) for key, value in ours.items()}
        settings = read_settings({}, {**image_environment(), **told})
        assert settings.redis_url == "redis://:7@valkey:6379/0"


def test_a_stop_has_the_time_it_needs() -> None:
    """Compose waits longer than the gateway takes: delay + timeout + 15 s."""
    settings = read_settings({}, image_environment())
    for name in GATEWAYS:
        grace = load("compose.yaml")["services"][name]["stop_grace_period"]
        assert int(grace.removesuffix("s")) > settings.drain_delay_s + settings.drain_timeout_s + 15


def test_gateways_are_alike_but_for_state_and_port() -> None:
    """Each has a state of its own, the same manifests, and no rights it does not need."""
    services = load("compose.yaml")["services"]
    states = {services[name]["volumes"][1] for name in GATEWAYS}
    ports = {services[name]["ports"][0] for name in GATEWAYS}
    assert len(states) == len(ports) == len(GATEWAYS)
    assert all(port.startswith("127.0.0.1:") and port.endswith(":8788") for port in ports)
    for name in GATEWAYS:
        assert services[name]["volumes"][0] == "./manifests:/etc/gateway/manifests:ro"
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    assert load("compose.yaml")["volumes"].keys() >= {state.split(":")[0] for state in states}


def test_the_balancers_know_the_gateways() -> None:
    """HAProxy by the variables of its file, nginx by addresses; both come in on the published port."""
    balancer = load("compose.yaml")["services"]["balancer"]
    haproxy = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text(encoding="utf-8")
    assert list(balancer["environment"].values()) == [f"{name}:8787" for name in GATEWAYS]
    assert all(f'"${name}"' in haproxy for name in balancer["environment"])
    upstream = (COMPOSE / "nginx-upstream.conf").read_text(encoding="utf-8")
    assert re.findall(r"server ([\w:-]+)", upstream) == [f"{name}:8787" for name in GATEWAYS]
    nginx = (ROOT / "deploy" / "nginx" / "gateway.conf").read_text(encoding="utf-8")
    (port,) = {each.rsplit(":", 1)[1] for each in balancer["ports"]}
    assert f"bind :{port}\n" in haproxy
    assert f"listen {port};" in nginx


def test_nginx_takes_the_same_care_with_both_lists_of_addresses() -> None:
    """The list of compose differs from the one for hosts in addresses alone."""

    def rules(file: Path) -> list[str]:
        lines = [line.partition("#")[0] for line in file.read_text(encoding="utf-8").splitlines()]
        return [re.sub(r"server \S+:\d+", "server", line).strip() for line in lines if line.strip()]

    assert rules(COMPOSE / "nginx-upstream.conf") == rules(ROOT / "deploy" / "nginx" / "upstream.conf")


@pytest.mark.parametrize("name", ["compose.yaml", "compose.nginx.yaml"])
def test_files_that_are_mounted_are_there(name: str) -> None:
    """Each bind mount has its file or folder in the repository; networks and volumes are declared."""
    document = load(name)
    for service in document["services"].values():
        mounts = [each for each in service.get("volumes", []) if each.startswith(".")]
        assert [each for each in mounts if not (COMPOSE / each.split(":")[0]).exists()] == []
        assert set(service.get("networks", [])) <= document.get("networks", {}).keys()
        assert set(service.get("depends_on", [])) <= load("compose.yaml")["services"].keys()


def test_what_compose_wants_stands_in_the_example() -> None:
    """`env.example` has each variable without a default, and no other."""
    wanted = set(_REQUIRED.findall((COMPOSE / "compose.yaml").read_text(encoding="utf-8")))
    example = (COMPOSE / "env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)=$", example, re.MULTILINE)) == wanted


def test_references_of_the_manifests_reach_the_gateways() -> None:
    """Each `env:NAME` of the manifests is a variable of every gateway."""
    text = "".join(file.read_text(encoding="utf-8") for file in (COMPOSE / "manifests").glob("*.yaml"))
    referred = set(re.findall(r"env:(\w+)", text))
    assert referred
    for name in GATEWAYS:
        assert referred <= load("compose.yaml")["services"][name]["environment"].keys()


def test_the_collector_is_put_together_from_what_it_has() -> None:
    """Each part of a pipeline is declared, each variable comes from compose, and manifests send there."""
    with (COMPOSE / "collector.yaml").open(encoding="utf-8") as file:
        text = file.read()
    config = yaml.safe_load(text)
    joints = config["connectors"].keys()
    for pipeline in config["service"]["pipelines"].values():
        assert set(pipeline["receivers"]) <= config["receivers"].keys() | joints
        assert set(pipeline.get("processors", [])) <= config["processors"].keys()
        assert set(pipeline["exporters"]) <= config["exporters"].keys() | joints
    service = load("compose.yaml")["services"]["collector"]
    assert set(re.findall(r"\$\{env:(\w+)\}", text)) == service["environment"].keys()
    port = config["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rsplit(":", 1)[1]
    manifests = (COMPOSE / "manifests" / "gateway.yaml").read_text(encoding="utf-8")
    assert f"http://collector:{port}/v1/traces" in manifests


@pytest.mark.parametrize(
    "file",
    [
        file
        for file in sorted((ROOT / "deploy").rglob("*"))
        if file.is_file()
        and file.suffix in {".yaml", ".cfg", ".conf", ".service", ""}
        and not {"examples", "templates"} & set(file.parts)
    ],
    ids=lambda file: str(file.relative_to(ROOT / "deploy")),
)
def test_each_file_says_who_uses_it(file: Path) -> None:
    """A reader of one file knows in its head whom it is for."""
    head = file.read_text(encoding="utf-8")[:1500].lower()
    assert "who uses it" in head or "install:" in head
