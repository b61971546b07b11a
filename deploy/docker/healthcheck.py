"""Whether the data plane of this host takes calls: exit code 0 or 1.

Who uses it: the container image, as its HEALTHCHECK. By hand, without the proxies of the environment:
those are for providers. `GATEWAY_PORT` is read as the gateway itself reads it.
"""

from __future__ import annotations

import http.client
import os
import sys

_TIMEOUT_S = 4.0


def main() -> int:
    """Ask `/readyz` once."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", int(os.environ.get("GATEWAY_PORT") or "8787"), timeout=_TIMEOUT_S
    )
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


if __name__ == "__main__":
    sys.exit(main())
