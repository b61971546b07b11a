"""How many workers fit: affinity, cut to the quota of every control group around the process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.cpus import usable_cpus


@pytest.fixture(autouse=True)
def affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of eight."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, 8, id="no control groups"),
        pytest.param({"sys/fs/cgroup/cpu.max": "max 100000"}, 8, id="v2: no quota"),
        pytest.param({"sys/fs/cgroup/cpu.max": "200000 100000"}, 2, id="v2: in a container"),
        pytest.param({"sys/fs/cgroup/cpu.max": "250000 100000"}, 2, id="v2: part of a CPU is rounded down"),
        pytest.param({"sys/fs/cgroup/cpu.max": "50000 100000"}, 1, id="v2: never none"),
        pytest.param({"sys/fs/cgroup/cpu.max": "1600000 100000"}, 8, id="v2: more than there are"),
        pytest.param({"sys/fs/cgroup/cpu.max": "nonsense"}, 8, id="v2: not understood"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/system.slice/gateway.service",
                "sys/fs/cgroup/system.slice/gateway.service/cpu.max": "max 100000",
                "sys/fs/cgroup/system.slice/cpu.max": "300000 100000",
            },
            3,
            id="v2: the group around it binds too",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/../../kubepods/pod1", "sys/fs/cgroup/cpu.max": "400000 100000"},
            4,
            id="v2: a path from outside the container",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/docker/1",
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "500000",
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us": "100000",
            },
            5,
            id="v1: quota",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "3:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            8,
            id="v1: no quota",
        ),
    ],
)
def test_quotas(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    """The smallest of them all."""
    assert usable_cpus(write(tmp_path, files)) == expected


def test_without_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is none, as on macOS: the machine's number."""
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cpus(tmp_path) == (os.cpu_count() or 1)
