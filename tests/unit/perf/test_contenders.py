"""perf/contenders.py, without starting anything that serves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from perf.bench import Bench
from perf.contenders import (
    CONTENDERS,
    EVERYTHING,
    Contender,
    available,
    gateway_manifests,
    started_all,
)
from perf.cores import Cores
from perf.process import ProgramError, find_program
from perf.tools import Upstream


def test_what_is_not_installed_is_left_out() -> None:
    """A neighbour such as nginx is no dependency; the others are ours."""
    names = available(list(CONTENDERS))
    assert ("nginx" in names) is (find_program("nginx") is not None)
    assert {"bare-stack", "gateway"} <= set(names)


def test_exports_go_to_the_sink_of_the_run() -> None:
    """Its port is known only when it runs."""
    manifests = gateway_manifests(
        EVERYTHING, origin="http://127.0.0.1:1", sink="http://127.0.0.1:2/v1/traces"
    )
    assert 'endpoint: "http://127.0.0.1:2/v1/traces"' in manifests
    assert "url: http://127.0.0.1:1/v1" in manifests


def test_an_nginx_that_does_not_start_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is none of ours; that of a machine may be built or kept in any way."""
    broken = tmp_path / "nginx"
    broken.write_text("#!/bin/sh\necho no http here >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    said: list[str] = []
    none = cast("Any", None)
    bench = Bench(Cores(None, None), Upstream(none, 1), none, tmp_path, said.append)
    ours = Contender("ours", "", "", none)

    @contextlib.contextmanager
    def start(_: Bench) -> Iterator[Contender]:
        yield ours

    with started_all(bench, [start, "nginx"]) as running:
        assert running == [ours]
    assert "no http here" in said[0]
    with pytest.raises(ProgramError), started_all(bench, ["nginx"]):
        pass
