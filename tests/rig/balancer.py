"""Caddy, HAProxy and nginx with the configurations of `deploy/`, in front of gateways on loopback.

Only addresses are put into the files; everything else is as it is shipped.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.rig.free_ports import free_port
from tests.rig.raw_http import RawConnection
from tests.rig.requires import ROOT, find_program
from tests.rig.until import until

DEPLOY: Final = ROOT / "deploy"
SHIPPED: Final = ("127.0.0.1:8787", "127.0.0.1:8797", "127.0.0.1:8807")
"""The addresses of gateways that stand in the files."""

_END_S: Final = 60.0
# What a host has of its own around our two files.
_NGINX_MAIN: Final = """\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include {folder}/upstream.conf;
    include {folder}/gateway.conf;
}}
"""


def replaced(text: str, old: str, new: str) -> str:
    """*text* with *old* replaced, which must be there once.

    Raises:
        AssertionError: It is not, so the test would not test what it thinks.
    """
    assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
    return text.replace(old, new)


# What stands in the files as a comment, for gateways that speak TLS.
_OVER_TLS: Final = {
    "caddy": ("tls", "tls_trust_pool file /etc/caddy/gateways.pem", "tls_server_name gateway.internal"),
    "haproxy": (
        "default-server ssl verify required ca-file /etc/haproxy/gateways.pem verifyhost gateway.internal",
    ),
    "nginx": (
        "proxy_ssl_verify on;",
        "proxy_ssl_trusted_certificate /etc/nginx/gateways.pem;",
        "proxy_ssl_name gateway.internal;",
    ),
}


def switched_on(text: str, *lines: str) -> str:
    """*text* with those of its lines that are comments made into lines."""
    for line in lines:
        text = replaced(text, f"# {line}\n", f"{line}\n")
    return text


def over_tls(name: str, text: str, authority: Path) -> str:
    """The configuration *text* as its comments say for gateways with certificates, here for localhost."""
    text = switched_on(text, *_OVER_TLS[name]).replace("proxy_pass http:", "proxy_pass https:")
    text = replaced(text, f"/etc/{name}/gateways.pem", str(authority))
    return replaced(text, "gateway.internal", "localhost")


class Balancer:
    """One running Caddy, HAProxy or nginx.

    Attributes:
        name: Which it is.
        port: Where callers come in.
    """

    def __init__(
        self, name: str, folder: Path, gateways: Sequence[int], *, authority: Path | None = None
    ) -> None:
        """Write the configuration for three *gateways*, given by their ports.

        Args:
            authority: Who signs their certificates, for localhost; None: they speak plain HTTP.
        """
        self._authority = authority
        self.name = name
        self.port = free_port()
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._environment: dict[str, str] = {}
        addresses = [f"127.0.0.1:{port}" for port in gateways]
        assert len(addresses) == len(SHIPPED)
        prepare: Callable[[Path, list[str]], list[str]] = getattr(self, f"_prepare_{name}")
        self._command = prepare(folder, addresses)

    def connect(self) -> RawConnection:
        """A socket to it."""
        return RawConnection(self.port)

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self._environment},
            )  # fmt: skip
        until(self._listens, what="the balancer to listen")
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=_END_S)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def _prepare_caddy(self, folder: Path, addresses: list[str]) -> list[str]:
        text = (DEPLOY / "caddy" / "Caddyfile").read_text()
        # For whatever name it is asked: others would get an empty 200.
        text = replaced(text, "\n:8080 {", f"\n:{self.port} {{\n\tbind 127.0.0.1")
        if self._authority is not None:
            text = over_tls("caddy", text, self._authority)
        file = folder / "Caddyfile"
        file.write_text(text)
        self._environment = {
            **{f"GATEWAY_{at}": address for at, address in enumerate(addresses, 1)},
            **_caddy_environment(folder),
        }
        return [find_program("caddy") or "", "run", "--config", str(file)]

    def _prepare_haproxy(self, folder: Path, addresses: list[str]) -> list[str]:
        text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
        text = replaced(text, "bind :8080", f"bind 127.0.0.1:{self.port}")
        text = replaced(text, "127.0.0.1:8404", f"127.0.0.1:{free_port()}")
        if self._authority is not None:
            text = over_tls("haproxy", text, self._authority)
        file = folder / "haproxy.cfg"
        file.write_text(text)
        self._environment = {f"GATEWAY_{at}": address for at, address in enumerate(addresses, 1)}
        # -db: in the foreground, one process.
        return [find_program("haproxy") or "", "-db", "-f", str(file)]

    def _prepare_nginx(self, folder: Path, addresses: list[str]) -> list[str]:
        upstream = (DEPLOY / "nginx" / "upstream.conf").read_text()
        for shipped, address in zip(SHIPPED, addresses, strict=True):
            upstream = replaced(upstream, shipped, address)
        (folder / "upstream.conf").write_text(upstream)
        text = (DEPLOY / "nginx" / "gateway.conf").read_text()
        text = replaced(text, "    listen 8080;", f"    listen 127.0.0.1:{self.port};")
        if self._authority is not None:
            text = over_tls("nginx", text, self._authority)
        (folder / "gateway.conf").write_text(text)
        (folder / "nginx.conf").write_text(_NGINX_MAIN.format(folder=folder))
        return [find_program("nginx") or "", "-p", str(folder), "-c", "nginx.conf"]


def _caddy_environment(folder: Path) -> dict[str, str]:
    """Where it may write, and where it is told things while it runs."""
    homes = {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    return {**homes, "CADDY_ADMIN": f"127.0.0.1:{free_port()}"}


def check_caddy(folder: Path, file: Path) -> subprocess.CompletedProcess[str]:
    """`caddy validate` of *file*."""
    command = [find_program("caddy") or "", "validate", "--config", str(file)]
    return _run(command, _caddy_environment(folder))


def check_haproxy(file: Path) -> subprocess.CompletedProcess[str]:
    """`haproxy -c` of *file*."""
    return _run([find_program("haproxy") or "", "-c", "-f", str(file)])


def check_nginx(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """`nginx -t` of *text* as gateway.conf, with the shipped addresses."""
    (folder / "gateway.conf").write_text(text)
    (folder / "upstream.conf").write_text((DEPLOY / "nginx" / "upstream.conf").read_text())
    (folder / "nginx.conf").write_text(_NGINX_MAIN.format(folder=folder))
    return _run([find_program("nginx") or "", "-t", "-p", str(folder), "-c", "nginx.conf"])


def _run(
    command: list[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
