"""What people read after a check."""

from __future__ import annotations

from pathlib import Path

from gateway.config.summary import report, summarize
from tests.unit.config.writing import ACCOUNT, CALLER, TEAM, TOKEN, accepted_config, check_text

OTEL = "type: gateway-otel-config\nname: {}\notel_traces_exporter_config: {{type: http, endpoint: '{}'}}\n"


def test_one_line_on_what_is_right(tmp_path: Path) -> None:
    """How much there is, and where traces go: with the path that was added, without what may hold a key."""
    texts = [OTEL.format("a", "https://a.example"), OTEL.format("b", "https://b.example/in?key=canary")]
    config = accepted_config(check_text(tmp_path, ACCOUNT, CALLER, *texts))
    assert summarize(config) == (
        f"configuration {config.version} is valid: 1 provider account with 1 model, 1 virtual account, "
        "traces to a at https://a.example/v1/traces, traces to b at https://b.example/in"
    )


def test_traces_over_grpc(tmp_path: Path) -> None:
    """They go somewhere too."""
    text = OTEL.format("a", "collector:4317").replace("type: http", "type: grpc")
    summary = summarize(accepted_config(check_text(tmp_path, ACCOUNT, CALLER, text)))
    assert summary.endswith(", traces to a at https://collector:4317")


def test_a_report_of_what_is_right(tmp_path: Path) -> None:
    """Nothing but that line."""
    checked = check_text(tmp_path, ACCOUNT, CALLER)
    assert report(checked) == summarize(accepted_config(checked))


def test_a_report_of_what_is_wrong(tmp_path: Path) -> None:
    """Errors, warnings, what is not in force, and how many errors."""
    text = ACCOUNT.replace("name: lab", "name: a/b") + "zzz: 1\ncollaborators: [{subject: a, role_id: b}]\n"
    file = tmp_path / "m.yaml"
    lines = report(
        check_text(tmp_path, text, CALLER.replace("lab/", ""), "type: policy\nname: t\n")
    ).splitlines()
    assert [line.split(": ")[0:2] for line in lines[:1]] == [[f"{file}:2", "name"]]
    assert lines[1] == "warnings:"
    assert [line.split(": ")[0:2] for line in lines[2:-2]] == [[f"{file}:10", "zzz"], [f"{file}:18", "type"]]
    assert lines[-2:] == ["not in force yet: policy", "1 error"]


def test_users_are_counted(tmp_path: Path) -> None:
    """Not their tokens."""
    second = TOKEN.replace("laptop", "ci").replace("1" * 64, "2" * 64)
    lines = report(check_text(tmp_path, ACCOUNT, CALLER, TEAM, TOKEN, second)).splitlines()
    assert lines[-1].endswith("1 virtual account, 1 user")
