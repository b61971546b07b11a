"""The unit for systemd agrees with the gateway: settings, exit codes, the time that it takes to stop."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from gateway.settings import OPTIONS, read_settings
from gateway.supervisor.cannot_start import CannotStart, NoConfigYet

UNIT: Final = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "gateway.service"
LINES: Final = [
    (name, value)
    for name, equals, value in (line.partition("=") for line in UNIT.read_text(encoding="utf-8").splitlines())
    if equals and not name.startswith("#")
]


def said(name: str) -> list[str]:
    """What the unit says of *name*."""
    return [value for found, value in LINES if found == name]


def environment() -> dict[str, str]:
    """What it sets itself."""
    return dict(line.split("=", 1) for line in said("Environment"))


def test_an_operator_can_say_otherwise() -> None:
    """A flag on its command line would win over the file of variables, which then said it in vain."""
    (command,) = said("ExecStart")
    assert shlex.split(command)[1:] == ["serve"]
    assert environment().keys() <= {option.variable for option in OPTIONS}
    # systemd takes the file's instead of its own, wherever they stand.
    theirs = {"GATEWAY_CONFIG": "redis:", "GATEWAY_REDIS_URL": "redis://valkey:6379/0"}
    assert read_settings({}, {**environment(), **theirs}).config_in_redis


def test_its_own_settings() -> None:
    """Strict, and what it keeps is where the service may write."""
    settings = read_settings({}, environment())
    assert settings.strict
    assert [str(settings.state_dir)] == [f"/var/lib/{name}" for name in said("StateDirectory")]


def test_it_starts_again_where_that_can_help() -> None:
    """Not after the reasons that only an operator can mend; always after all others, however often."""
    final = {each.exit_code for each in CannotStart.__subclasses__() if each is not NoConfigYet}
    (told,) = said("RestartPreventExitStatus")
    assert {int(code) for code in told.split()} == final
    assert NoConfigYet.exit_code not in final
    assert said("StartLimitIntervalSec") == ["0"]


def test_a_stop_has_the_time_it_needs() -> None:
    """Longer than the timeout and 15 s, with the delay that balancers want."""
    settings = read_settings({}, {**environment(), "GATEWAY_DRAIN_DELAY": "5"})
    (stop_s,) = said("TimeoutStopSec")
    assert int(stop_s) > settings.drain_delay_s + settings.drain_timeout_s + 15
