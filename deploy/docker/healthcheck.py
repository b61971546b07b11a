"""Whether the data plane of this host takes calls: exit code 0 or 1.

Who uses it: the container image, as its HEALTHCHECK. By hand, without the proxies of the environment:
those are for providers. `GATEWAY_HEALTH_HOST`, `GATEWAY_HEALTH_PORT`, `GATEWAY_HOST`, `GATEWAY_PORT` and
`GATEWAY_TLS_CERT` are read as the gateway itself reads them.
"""

from __future__ import annotations

import http.client
import os
import ssl
import sys

_TIMEOUT_S = 4.0


def main() -> int:
    """Ask `/readyz` once."""
    try:
        connection = _connection()
    except OSError as error:
        print(f"no answer: {error}")
        return 1
    try:
        connection.request("GET", "/readyz")
        reply = connection.getresponse()
        print(f"{reply.status} {reply.read(200).decode(errors='replace').strip()}")
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer: {error}")
        return 1
    finally:
        connection.close()
    return 0 if reply.status == http.client.OK else 1


def _connection() -> http.client.HTTPConnection:
    """To the health port, which always speaks plain HTTP, else to the data plane as that speaks.

    Raises:
        OSError: The certificate cannot be read.
    """
    if health_port := _port("GATEWAY_HEALTH_PORT", "0"):
        return http.client.HTTPConnection(_host("GATEWAY_HEALTH_HOST"), health_port, timeout=_TIMEOUT_S)
    host, port = _host("GATEWAY_HOST"), _port("GATEWAY_PORT", "8787")
    certificate = os.environ.get("GATEWAY_TLS_CERT")
    if not certificate:
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    # The very certificate is trusted, whatever name it is for.
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # On by default since Python 3.13: however it is written, it is the one that callers are shown.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)


def _host(name: str) -> str:
    """Where a server on that host is found from here: one on all addresses is at loopback's too."""
    host = os.environ.get(name) or "127.0.0.1"
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _port(name: str, default: str) -> int:
    text = os.environ.get(name) or default
    # tcp://10.0.0.1:8787 is where a Service or a linked container of this name is.
    return int(default if "://" in text else text)


if __name__ == "__main__":
    sys.exit(main())
