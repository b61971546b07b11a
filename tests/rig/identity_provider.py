"""An identity provider on loopback: publishes its keys, and signs tokens."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.rig.signed_tokens import AUDIENCE, SigningKey, claims, key_set


class IdentityProvider:
    """A real server of keys.

    Attributes:
        keys: What it publishes; a test changes it.
        status: What it answers with.
        asked: How often.
    """

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = list(keys)
        self.status = 200
        self.asked = 0
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                body = key_set(*provider.keys)
                self.send_response(provider.status)
                self.send_header("content-type", "application/jwk-set+json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def issuer(self) -> str:
        """What its tokens have as `iss`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def document(self, name: str = "acme", **more: Any) -> dict[str, Any]:
        """Its manifest."""
        return {
            "type": "external-identity-provider",
            "name": name,
            "issuer": self.issuer,
            "audiences": [AUDIENCE],
            "jwks_uri": f"{self.issuer}/keys",
            **more,
        }

    def token(self, key: SigningKey | None = None, **said: Any) -> str:
        """One signed with *key*, without it with the last."""
        return (key or self.keys[-1]).sign(claims(iss=self.issuer, **said))

    def stop(self) -> None:
        """Take no connection any more."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._thread.ident is not None:
            self._thread.join(60)
