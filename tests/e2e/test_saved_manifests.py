"""Manifests that are saved by the control API of a real gateway: in force, taken back, never half written."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.manifests import chat, standard_documents, virtual_account
from tests.rig.until import until
from tests.unit.config.writing import ACCOUNT, CALLER, documents

IN_FORCE_S = 60.0
NEW_TOKEN = "canary-new-token-0012"
TEAM = "/api/manifests/team/ml"

WRITER = """
import itertools, sys
from pathlib import Path
from gateway.config import SecretSource
from gateway.config.manifest_files import ManifestFiles
files = ManifestFiles(Path(sys.argv[1]), strict=False, secrets=SecretSource({}, None))
print("writing", flush=True)
for number in itertools.count():
    files.put("team", "ml", {"type": "team", "name": "ml", "members": [f"{number}@x.io"] * (1 + number % 50)})
"""


def in_force(gateway: GatewayProcess, version: str) -> bool:
    """Whether every worker runs *version*; one that has not told control of itself yet is not listed."""
    config = gateway.get("/api/config")
    workers = [worker["version"] for worker in config["workers"]]
    return bool(config["version"] == version and workers == [version] * len(gateway.worker_pids()))


def test_saved_deleted_and_restored(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """A new caller may call, may not when it is deleted, and may again by one request."""
    gateway = start_gateway(standard_documents(upstream.base_url, 1))
    path = "/api/manifests/virtual-account/new"
    status, saved = gateway.control("PUT", path, virtual_account("new", [NEW_TOKEN], ["fake/normal"]))
    assert status == 200, saved
    assert NEW_TOKEN not in str(saved)
    until(lambda: in_force(gateway, saved["version"]), timeout_s=IN_FORCE_S, what="the new caller")
    assert chat(gateway, "fake/normal", token=NEW_TOKEN).status == 200
    status, removed = gateway.control("DELETE", path)
    assert status == 200
    until(lambda: in_force(gateway, removed["version"]), timeout_s=IN_FORCE_S, what="it to be gone")
    assert chat(gateway, "fake/normal", token=NEW_TOKEN).status == 401
    versions = [one["version"] for one in gateway.get("/api/config/history")["versions"]]
    assert saved["version"] in versions
    status, restored = gateway.control("POST", "/api/config/restore", {"version": saved["version"]})
    assert (status, restored["version"]) == (200, saved["version"])
    until(lambda: in_force(gateway, saved["version"]), timeout_s=IN_FORCE_S, what="it to be back")
    assert chat(gateway, "fake/normal", token=NEW_TOKEN).status == 200
    told = next(
        one for one in gateway.get("/api/config/history")["versions"] if one["version"] == saved["version"]
    )
    assert told["is_in_force"] is True
    assert told["by"][0]["kind"] == "control_api"


def test_a_change_in_git_and_two_admins(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """What was read is out of date, whoever changed it; and the second is told so."""
    gateway = start_gateway(standard_documents(upstream.base_url, 1))
    _, saved = gateway.control("PUT", TEAM, {"type": "team", "name": "ml", "members": ["a@x.io"]})
    until(lambda: in_force(gateway, saved["version"]), timeout_s=IN_FORCE_S, what="the team")
    shown = gateway.get(TEAM)
    assert shown["changed"]["by"]["kind"] == "control_api"
    file = Path(shown["file"])
    file.write_text(file.read_text().replace("a@x.io", "b@x.io"))
    until(lambda: gateway.get(TEAM)["etag"] != shown["etag"], what="the API to show the file")
    until(
        lambda: (gateway.get(TEAM)["changed"] or {}).get("action") == "manifest.changed",
        timeout_s=IN_FORCE_S,
        what="the change to be noted",
    )
    mine = {"type": "team", "name": "ml", "members": ["c@x.io"]}
    status, refused = gateway.control("PUT", TEAM, mine, headers={"If-Match": f'"{shown["etag"]}"'})
    assert (status, refused["error"]["code"]) == (412, "changed_meanwhile")
    assert refused["error"]["now"]["manifest"]["members"] == ["b@x.io"]
    assert refused["error"]["changed"]["by"]["kind"] == "file"


def test_an_editor_outlives_a_restart_of_control(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """What was read before it may be saved after it: nobody has changed anything meanwhile."""
    gateway = start_gateway(standard_documents(upstream.base_url, 1))
    _, saved = gateway.control("PUT", TEAM, {"type": "team", "name": "ml", "members": ["a@x.io"]})
    victim = gateway.control_pid()
    gateway.signal(signal.SIGKILL, victim)
    until(lambda: gateway.control_pid() not in (0, victim), what="another control process")
    mine = {"type": "team", "name": "ml", "members": ["b@x.io"]}

    def answer() -> tuple[int, Any] | None:
        try:
            return gateway.control("PUT", TEAM, mine, headers={"If-Match": f'"{saved["etag"]}"'})
        except OSError:
            return None  # it does not listen yet

    answered = until(answer, what="control to answer")
    assert answered is not None
    status, again = answered
    assert (status, again["manifest"]["members"]) == (200, ["b@x.io"])


def test_what_kubernetes_mounts_is_left_alone(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """409 with the way to do it, and the gateway goes on."""
    gateway = start_gateway(standard_documents(upstream.base_url, 1))
    folder = Path(gateway.get("/api/manifests")["manifests"][0]["file"]).parent
    data = folder / "..2026_01"
    data.mkdir()
    for file in [path for path in folder.iterdir() if path.suffix == ".yaml"]:
        file.rename(data / file.name)
        file.symlink_to(f"{data.name}/{file.name}")
    path = "/api/manifests/virtual-account/app"
    body = gateway.get(path)["manifest"]
    status, refused = gateway.control("PUT", path, body | {"tags": {"a": "b"}})
    assert (status, refused["error"]["code"]) == (409, "not_writable"), refused
    assert "ConfigMap" in refused["error"]["message"]
    assert chat(gateway, "fake/normal").status == 200


@pytest.mark.long
def test_killed_in_the_middle_of_saving(tmp_path: Path) -> None:
    """Whenever it is: the file is whole, the old or the new, and the next writer may write."""
    rest = documents(ACCOUNT, CALLER)
    file = tmp_path / "m.yaml"
    file.write_text(rest + "---\n# ours\ntype: team\nname: ml\nmembers: [a@x.io]\n")
    when = random.Random(7)
    for _round in range(8):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(when.uniform(0.0, 0.25))
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        text = file.read_text()
        assert text.startswith(rest)
        assert "# ours" in text
        found: list[Any] = list(yaml.safe_load_all(text))
        assert len(set(found[2]["members"])) == 1
        assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["m.yaml"]


@pytest.mark.long
def test_a_change_is_in_force_on_all_workers_in_two_seconds(
    start_gateway: StartGateway, upstream: FakeUpstream
) -> None:
    """From before the file is written to the times that the gateway has noted itself, for either way."""
    gateway = start_gateway(standard_documents(upstream.base_url, 1), workers=2)
    _, saved = gateway.control("PUT", TEAM, {"type": "team", "name": "ml", "members": ["0@x.io"]})
    until(lambda: in_force(gateway, saved["version"]), timeout_s=IN_FORCE_S, what="the team")
    file = Path(gateway.get(TEAM)["file"])
    took: dict[str, list[float]] = {"git": [], "API": []}
    for number in range(1, 11):
        for way, times in took.items():
            before = gateway.get("/api/config")["version"]
            member = f"{number}-{way}@x.io"
            began_s = time.time()
            if way == "API":
                body = {"type": "team", "name": "ml", "members": [member]}
                assert gateway.control("PUT", TEAM, body)[0] == 200
            else:
                # As git does it: another file in its place.
                text = re.sub(r"\S+@x\.io", member, file.read_text())
                fresh = file.with_name(f".{file.name}.new")
                fresh.write_text(text)
                fresh.replace(file)

            def is_changed(before: str = before) -> Any:
                config = gateway.get("/api/config")
                versions = {worker["version"] for worker in config["workers"]}
                return config["version"] != before and versions == {config["version"]} and config

            config = until(is_changed, timeout_s=IN_FORCE_S, what="the change")
            last = max(worker["in_force_at"] for worker in config["workers"])
            assert len(config["workers"]) == 2
            times.append(datetime.fromisoformat(last).timestamp() - began_s)
    for way, times in took.items():
        print(f"{way}: in force on both workers after {min(times):.2f} to {max(times):.2f} s")
    assert max(map(max, took.values())) <= 2.0
