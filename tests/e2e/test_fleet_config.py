"""Three replicas whose configuration is in Valkey, changed under mixed load through a balancer.

It is changed well and badly, taken back, and Valkey ends and comes again in between. How long a change took
is in the table at the end.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.rig.balancer import Balancer
from tests.rig.config_command import ConfigCommand, set_in, version_in
from tests.rig.fleet import ONLY_SOME, Fleet, as_table, go_on, running_fleet, versions
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import chat, openai_account, virtual_account
from tests.rig.requires import requires
from tests.rig.until import until

FAR_S: Final = 60.0


class Changes:
    """Changes of what the fleet has, and how long each took to be in force and shown."""

    def __init__(self, fleet: Fleet, command: ConfigCommand) -> None:
        self.fleet = fleet
        self.command = command
        self.in_force_s: list[float] = []
        self.shown_s: list[float] = []

    def push(self, *more: Document) -> str:
        """Push what the fleet began with and *more*, and wait for it; the version."""
        said = self.command.push([*self.fleet.manifests, *more])
        self.wait(said, self.fleet.replicas)
        return version_in(said)

    def wait(self, said: str, replicas: list[GatewayProcess]) -> None:
        """Wait until what a command *said* is in force at these, and each replica shows that."""
        began_s = time.monotonic()
        version, number = version_in(said), set_in(said)
        until_each(replicas, lambda one: versions(one) == {version}, "the change to be in force")
        self.in_force_s.append(time.monotonic() - began_s)
        until_each(
            self.fleet.replicas,
            lambda one: shown(one).count((version, number)) == len(replicas),
            "all replicas to be shown with it",
        )
        self.shown_s.append(time.monotonic() - began_s)

    def note(self) -> str:
        """For the table."""
        return (
            f"{len(self.in_force_s)} changes, in force at all workers within {max(self.in_force_s):.1f} s, "
            f"and shown by each replica of each within {max(self.shown_s):.1f} s"
        )


def until_each(
    replicas: Iterable[GatewayProcess], is_so: Callable[[GatewayProcess], bool], what: str
) -> None:
    """Wait until something is so of each."""
    for replica in replicas:
        until(lambda: is_so(replica), what=what, timeout_s=FAR_S)  # noqa: B023 - at once


def all_replicas(replica: GatewayProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = replica.get("/api/replicas")["replicas"]
    return found


def shown(replica: GatewayProcess) -> list[tuple[str, int]]:
    """Version and set of each replica that *replica* knows of."""
    return [(str(one["config_version"]), int(one["config_set"])) for one in all_replicas(replica)]


def answers(fleet: Fleet, token: str) -> set[int]:
    """What calls with *token* get, by status."""
    return {chat(replica, "fake/normal", token=token).status for replica in fleet.replicas}


def source_of(replica: GatewayProcess) -> str:
    return str(replica.get("/api/config")["source"]["state"])


@pytest.mark.long
@requires("caddy")
@requires("valkey")
def test_configuration_comes_from_valkey(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """A good change is in force at all, a bad one at none or not where it cannot be; no call ever fails."""
    with (
        running_fleet(tmp_path, is_config_shared=True) as fleet,
        Balancer("caddy", tmp_path, fleet.ports(0)) as balancer,
    ):
        assert fleet.config is not None
        assert fleet.valkey is not None
        changes = Changes(fleet, fleet.config)
        with fleet.trial(balancer, "configuration through Valkey, caddy") as load:
            good = change_well(changes)
            go_on(load)
            refuse_it_whole(changes, good)
            go_on(load)
            take_it_back(changes, good)
            go_on(load)
            fleet.valkey.kill()
            while_valkey_is_away(changes, good)
            go_on(load)
            fleet.valkey.start()
            until_each(fleet.replicas, lambda one: source_of(one) == "ok", "Valkey to be asked")
            assert [versions(replica) for replica in fleet.replicas] == [{good}] * 3
            changes.push(caller("third"))
            assert (answers(fleet, "token-of-third"), answers(fleet, "token-of-new")) == ({200}, {401})
        fleet.last.note = changes.note()
        capture: Any = pytestconfig.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(f"\n{as_table(fleet.figures)}")
        figures = fleet.last
        assert (figures.failed, figures.cut, figures.lost) == (0, 0, 0), load.tally.failed


def config_word(replica: GatewayProcess) -> str:
    """What the readiness of its control plane says in detail."""
    return str(replica.get("/readyz")["checks"]["config"])


def caller(name: str) -> Document:
    """One whose token is `token-of-` its name, of which Valkey may have the digest alone."""
    digest = hashlib.sha256(f"token-of-{name}".encode()).hexdigest()
    return virtual_account(name, [f"sha256:{digest}"], ["*"])


def change_well(changes: Changes) -> str:
    assert answers(changes.fleet, "token-of-new") == {401}
    good = changes.push(caller("new"))
    assert answers(changes.fleet, "token-of-new") == {200}
    return good


def refuse_it_whole(changes: Changes, good: str) -> None:
    """The push itself refuses what no gateway could load."""
    before = changes.command("list")
    said = changes.command.push([*changes.fleet.manifests, {"type": "no-such-type", "name": "x"}], expect=1)
    assert "nothing was put into Redis" in said
    assert changes.command("list") == before
    assert [versions(replica) for replica in changes.fleet.replicas] == [{good}] * 3


def take_it_back(changes: Changes, good: str) -> None:
    """One replica cannot load a change, keeps what it has, and all say so; a rollback mends it."""
    *others, last = changes.fleet.replicas
    number = int(json.loads(changes.command("list", "--format", "json"))[0]["set"])
    lacking = openai_account("lacking", changes.fleet.upstream.base_url, ["normal"], key=f"env:{ONLY_SOME}")
    changes.wait(changes.command.push([*changes.fleet.manifests, lacking]), others)
    until_each([last], lambda one: config_word(one) == "rejected", "the last to refuse it")
    assert versions(last) == {good}
    until_each(
        changes.fleet.replicas,
        lambda one: [ONLY_SOME in str(each["last_rejected"]) for each in all_replicas(one)].count(True) == 1,
        "each to show that one refuses it and why",
    )
    assert answers(changes.fleet, "token-of-new") == {401, 200}
    said = changes.command("rollback", str(number))
    assert version_in(said) == good
    changes.wait(said, changes.fleet.replicas)
    until_each([last], lambda one: config_word(one) == "ok", "the last to be well")
    assert answers(changes.fleet, "token-of-new") == {200}


def while_valkey_is_away(changes: Changes, good: str) -> None:
    """A push says that it cannot be, and replicas go on with what came last."""
    until_each(changes.fleet.replicas, lambda one: source_of(one) == "away", "each to see that it is away")
    assert "cannot be used" in changes.command.push(changes.fleet.manifests, expect=1)
    assert [versions(replica) for replica in changes.fleet.replicas] == [{good}] * 3
    assert answers(changes.fleet, "token-of-new") == {200}
