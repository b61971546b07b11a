"""A changed configuration comes into force, or is refused whole."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import Checked, Config, SecretSource, accepted
from gateway.config.check import check
from gateway.control.accepted_files import AcceptedFiles
from gateway.control.config_watch import ConfigWatch, Watched
from tests.rig.until import until

MANIFESTS = """
type: provider-account/self-hosted-model
name: fake
integrations:
  - type: integration/model/self-hosted-model
    name: {model}
    hosted_model_name: {model}
    url: http://127.0.0.1:9/v1
    model_server: openai-compatible
    model_types: [chat]
    auth_data: {{type: bearer-auth, bearer_token: "file:key"}}
---
type: virtual-account
name: app1
tokens: ["file:token"]
models: ["fake/*"]
"""


class Disk:
    """A configuration folder, a state folder, and a watch whose polls the test makes."""

    def __init__(self, root: Path) -> None:
        self.now_s = 1_000.0
        self.path = root / "manifests"
        self.path.mkdir()
        self.write("one")
        (self.path / "key").write_text("upstream-key")
        (self.path / "token").write_text("caller-token")
        self.files = AcceptedFiles(root / "state")
        self.accepted: list[Config] = []
        self.checks = 0
        self.during_check: list[str] = []
        config = self.check().config
        assert config is not None
        self.files.write(config.version, accepted.dump(config))
        self.watch = self.start(config)

    def start(self, in_force: Config) -> ConfigWatch:
        """A watch as a control process begins it."""
        watched = Watched(self.path, self.check, self.files, self.accepted.append)
        return ConfigWatch(watched, in_force, now_s=lambda: self.now_s)

    def check(self) -> Checked:
        self.checks += 1
        checked = check(self.path, strict=False, secrets=SecretSource({}))
        if self.during_check:
            self.write(self.during_check.pop())
        return checked

    def write(self, model: str) -> None:
        (self.path / "gateway.yaml").write_text(MANIFESTS.format(model=model))

    def settle(self) -> None:
        """Poll until nothing is about to settle; polls that see nothing new do not matter."""
        for _ in range(5):
            if not self.watch.poll():
                return
        raise AssertionError("it does not settle")

    @property
    def version(self) -> str:
        return self.watch.status().version


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    made = Disk(tmp_path)
    made.settle()
    return made


def test_unchanged_configuration_is_left_alone(disk: Disk) -> None:
    """After the first look nothing is read again."""
    checks = disk.checks
    for _ in range(5):
        assert not disk.watch.poll()
    assert disk.checks == checks
    assert disk.accepted == []


def test_change_is_accepted_kept_and_told(disk: Disk) -> None:
    """First on disk, then announced."""
    before = disk.version
    disk.now_s += 60
    disk.write("two")
    disk.settle()
    (config,) = disk.accepted
    status = disk.watch.status()
    assert config.version == status.version == disk.files.version() != before
    assert status.loaded_at_ns == 1_060_000_000_000
    documents = accepted.load((disk.path.parent / "state" / f"{config.version}.json").read_bytes())
    assert documents[0].body["integrations"][0]["name"] == "two"


def test_change_is_read_only_when_it_has_settled(disk: Disk) -> None:
    """A file that is being written looks different at each poll."""
    checks = disk.checks
    for part in ("t", "tw", "two"):
        disk.write(part)
        assert disk.watch.poll()
        assert disk.checks == checks
    assert not disk.watch.poll()
    assert disk.checks == checks + 1
    assert len(disk.accepted) == 1


def test_change_during_the_check_is_read_again(disk: Disk) -> None:
    """What was read might be half of each."""
    disk.write("two")
    disk.during_check.append("three")
    disk.settle()
    (config,) = disk.accepted
    assert config.documents[0].body["integrations"][0]["name"] == "three"


def test_invalid_change_is_refused_and_the_old_one_stays(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """Reported once, in full, until it is mended."""
    before = disk.version
    file = disk.path / "gateway.yaml"
    good = file.read_text()
    with caplog.at_level(logging.ERROR):
        file.write_text(good + "---\ntype: no-such-type\nname: x\n---\ntype: neither\nname: y\n")
        disk.settle()
        disk.now_s += 60
        disk.settle()
    status = disk.watch.status()
    assert (status.version, disk.accepted, disk.files.version()) == (before, [], before)
    assert status.last_rejected is not None
    assert status.last_rejected.at_ns == 1_000_000_000_000
    assert [error["message"] for error in status.last_rejected.errors] == [
        "unknown type 'no-such-type'",
        "unknown type 'neither'",
    ]
    assert len(caplog.records) == 1
    assert "no-such-type" in caplog.text
    file.write_text(good)
    disk.settle()
    assert disk.watch.status().last_rejected is None
    assert disk.version == before


def test_folder_that_vanishes_is_refused(disk: Disk) -> None:
    """A `git checkout` or an unmounted volume takes nothing out of service."""
    before = disk.version
    disk.path.rename(disk.path.with_name("away"))
    disk.settle()
    assert disk.watch.status().last_rejected is not None
    disk.path.with_name("away").rename(disk.path)
    disk.settle()
    assert disk.watch.status().last_rejected is None
    assert disk.version == before


def test_changed_secret_makes_a_version_of_its_own(disk: Disk) -> None:
    """The documents are the same; workers must read the secret anew all the same."""
    base = disk.version
    for number, name in enumerate(("key", "token", "key"), 1):
        (disk.path / name).write_text(f"rotated-{number}")
        disk.settle()
        assert disk.version == disk.files.version() == f"{base}+{number}"
        assert disk.accepted[-1].version == f"{base}+{number}"
    set_on_disk = (disk.path.parent / "state" / f"{base}+3.json").read_bytes()
    assert accepted.load(set_on_disk)
    assert b"rotated" not in set_on_disk
    disk.write("two")
    disk.settle()
    assert "+" not in disk.version


def test_secret_that_appears_and_goes_is_a_change(disk: Disk) -> None:
    """Its account is unavailable without it."""
    base = disk.version
    (disk.path / "key").unlink()
    disk.settle()
    assert disk.version == f"{base}+1"
    (disk.path / "key").write_text("back")
    disk.settle()
    assert disk.version == f"{base}+2"


def test_secret_changed_while_control_was_down_is_noticed(disk: Disk) -> None:
    """A new control process goes on from the version that workers have."""
    (disk.path / "key").write_text("rotated")
    disk.settle()
    version = disk.version
    in_force = disk.accepted[-1]
    disk.watch = disk.start(in_force)
    disk.settle()
    assert disk.version == version
    (disk.path / "key").write_text("rotated again")
    disk.watch = disk.start(in_force)
    disk.settle()
    assert disk.version == version.replace("+1", "+2")


def test_same_manifests_written_again_change_nothing(disk: Disk) -> None:
    """A version is what is written, not when."""
    disk.write("one")
    disk.settle()
    assert disk.accepted == []


def test_refused_configuration_is_checked_again_by_itself(disk: Disk) -> None:
    """What it lacks may be a file that nobody watches, such as a secret it alone refers to."""
    disk.path.joinpath("gateway.yaml").write_text("type: no-such-type\nname: x\n")
    disk.settle()
    checks = disk.checks
    disk.settle()
    assert disk.checks == checks
    disk.now_s += 10
    disk.settle()
    assert disk.checks == checks + 1


def test_state_folder_that_cannot_be_written_is_tried_again(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """Workers could not load what is not there, so nothing is announced."""
    before = disk.version
    state = disk.path.parent / "state"
    state.rename(state.with_name("away"))
    state.write_text("a file is in the way")
    disk.write("two")
    with caplog.at_level(logging.ERROR):
        disk.settle()
        disk.now_s += 10
        disk.settle()
    assert disk.accepted == []
    assert disk.version == before
    rejected = disk.watch.status().last_rejected
    assert rejected is not None
    assert "state folder" in str(rejected.errors)
    assert len(caplog.records) == 1
    state.unlink()
    state.with_name("away").rename(state)
    disk.now_s += 10
    disk.settle()
    assert len(disk.accepted) == 1
    assert disk.watch.status().last_rejected is None


def test_thread_watches_and_outlives_a_mistake_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The whole of it, with a listener that fails the first time."""
    disk = Disk(tmp_path)
    heard: list[str] = []

    def listen(config: Config) -> None:
        heard.append(config.version)
        raise KeyError("a bug")

    config = disk.check().config
    assert config is not None
    watch = ConfigWatch(Watched(disk.path, disk.check, disk.files, listen), replace(config))
    watch.start()
    disk.write("two")
    until(lambda: "a bug" in caplog.text, "the change is heard")
    watch.stop()
    assert heard[0] != watch.status().version, "what could not be told is not in force, and is tried again"


def test_version_that_could_not_be_told_is_not_in_force(disk: Disk) -> None:
    """Nobody else has it, so it is not said to be in force; the next look tries it again."""
    mistakes = [KeyError("a bug"), KeyError("again")]

    def listen(config: Config) -> None:
        if mistakes:
            raise mistakes.pop()
        disk.accepted.append(config)

    config = disk.check().config
    assert config is not None
    watch = ConfigWatch(Watched(disk.path, disk.check, disk.files, listen), config, now_s=lambda: disk.now_s)
    before = watch.status()
    disk.write("two")
    disk.now_s += 60
    failures = 0
    for _ in range(10):
        try:
            watch.poll()
        except KeyError:
            failures += 1
            assert (watch.status().version, watch.status().loaded_at_ns) == (
                before.version,
                before.loaded_at_ns,
            )
    assert failures == 2
    (accepted_config,) = disk.accepted
    assert watch.status().version == accepted_config.version != before.version
    assert watch.status().loaded_at_ns == 1_060_000_000_000
