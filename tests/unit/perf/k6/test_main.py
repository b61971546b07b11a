"""perf/k6/__main__.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from perf.k6.__main__ import k6_command, main, run_k6


def test_k6_gets_its_variables_and_tells_nobody() -> None:
    """Everything the scripts need is in the command, and k6 sends no usage report."""
    command = k6_command(Path("/env/bin/k6"), "chat", {"RATE": "350", "GATEWAY_KEY": "key"})
    assert command[:3] == ["/env/bin/k6", "run", "--no-usage-report"]
    assert command[3:7] == ["--env", "RATE=350", "--env", "GATEWAY_KEY=key"]
    assert Path(command[-1]).is_file()


def test_the_exit_code_is_that_of_k6() -> None:
    """99 says that a threshold was crossed."""
    assert run_k6([sys.executable, "-c", "raise SystemExit(99)"], None, timeout_s=10) == 99


@pytest.mark.parametrize("words", [["--rate", "0"], ["--rate", "-1"], ["--seconds", "0"]])
def test_what_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """A rate of nothing is not the usual one."""
    monkeypatch.setattr(sys, "argv", ["perf.k6", *words])
    with pytest.raises(SystemExit):
        main()
    assert "1 to 5000 calls per second" in capsys.readouterr().err
