"""Certificates that cannot be used are told before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.writing import ACCOUNT, CALLER, check_text

OTEL = """\
type: gateway-otel-config
name: d
otel_{signal}_exporter_config: {{type: http, endpoint: "https://h", tls: {{ca_file: ca.pem}}}}
"""


@pytest.mark.parametrize("signal", ["traces", "metrics"])
def test_a_file_that_is_not_there(tmp_path: Path, signal: str) -> None:
    """A warning, since it may come later; with --strict an error. Paths are relative to the manifest."""
    text = OTEL.format(signal=signal)
    (problem,) = check_text(tmp_path, ACCOUNT, CALLER, text).problems
    assert problem.path == f"otel_{signal}_exporter_config.tls.ca_file"
    assert problem.message.endswith(f"cannot be read (no such file or directory): {tmp_path}/ca.pem")
    assert problem.fix
    assert check_text(tmp_path, ACCOUNT, CALLER, text, strict=True).config is None


def test_a_file_of_an_account(tmp_path: Path) -> None:
    """Likewise: the account's own certificate, its path relative to the manifest."""
    account = ACCOUNT + "tls: {cert_file: tls/own.pem}\n"
    (problem,) = check_text(tmp_path, account, CALLER).problems
    assert problem.path == "tls.cert_file"
    assert f"{tmp_path}/tls/own.pem" in problem.message
    assert check_text(tmp_path, account, CALLER, strict=True).config is None


def test_variables_are_checked_too(tmp_path: Path) -> None:
    """Once, although both signals use the file."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://h",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": f"{tmp_path}/absent.pem",
    }
    (problem,) = check_text(tmp_path, ACCOUNT, CALLER, environ=environ).problems
    assert problem.path == "OTEL_EXPORTER_OTLP_*"
    assert "absent.pem" in problem.message
