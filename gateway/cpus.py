"""How many CPUs this process may really use: its affinity, cut to the quota of its control groups.

`os.cpu_count` gives the machine's number, so that a container with a quota of two on a machine of 64 would
start 64 workers and have them throttled. Rules:
https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def usable_cpus(root: Path = Path("/")) -> int:
    """At least 1; part of a CPU is rounded down, because a throttled worker stalls every stream that it has.

    Args:
        root: Where `proc` and `sys` are; other than `/` in tests only.
    """
    quotas = [*_quotas_v2(root), *_quotas_v1(root)]
    return max(1, int(min([_affinity(), *quotas])))


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _quotas_v2(root: Path) -> Iterator[float]:
    """The quota of this process's group and of every group around it: each of them binds."""
    for folder in _group_folders(root / "sys/fs/cgroup", _group_of(root, controller="")):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        yield from _cpus(quota, period)


def _quotas_v1(root: Path) -> Iterator[float]:
    for mount in ("cpu", "cpu,cpuacct"):
        for folder in _group_folders(root / "sys/fs/cgroup" / mount, _group_of(root, controller="cpu")):
            yield from _cpus(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _cpus(quota: str, period: str) -> Iterator[float]:
    # "max" (v2) and -1 (v1) mean: no quota.
    if quota.isdigit() and period.isdigit() and int(quota) > 0 and int(period) > 0:
        yield int(quota) / int(period)


def _group_of(root: Path, *, controller: str) -> PurePosixPath:
    """This process's group in the hierarchy of *controller* ("": the one of v2), `/` when there is none."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controller in controllers.split(","):
            return PurePosixPath(group)
    return PurePosixPath("/")


def _group_folders(mount: Path, group: PurePosixPath) -> Iterator[Path]:
    # Inside a container the group's path may be the host's and not exist here; the mount's root is then ours.
    for one in (group, *group.parents):
        if ".." not in one.parts:
            yield mount / one.relative_to("/")


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
