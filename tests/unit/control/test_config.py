"""The configuration room."""

from __future__ import annotations

from gateway.control.config_status import ConfigStatus, Rejected
from tests.unit.control.rooms import Rooms


def test_what_is_in_force() -> None:
    """The version here and in each worker."""
    assert Rooms().client().get("/api/config").json() == {
        "version": "0123456789ab",
        "source": {"kind": "files"},
        "loaded_at": "2023-11-14T22:13:20.000000Z",
        "workers": [
            {
                "instance_id": "w1",
                "version": "0123456789ab",
                "in_force_at": "2023-11-14T22:13:20.500000Z",
            }
        ],
        "not_in_force": [],
        "last_rejected": None,
    }


def test_what_was_refused() -> None:
    """With every error, as `check-config` shows it."""
    rejected = Rejected(0, ({"file": "a.yaml", "line": 3, "message": "unknown type"},))
    status = ConfigStatus("0123456789ab+2", 0, ("gateway-rate-limiting-config",), rejected)
    body = Rooms(status=status).client().get("/api/config").json()
    assert body["version"] == "0123456789ab+2"
    assert body["not_in_force"] == ["gateway-rate-limiting-config"]
    assert body["last_rejected"] == {
        "at": "1970-01-01T00:00:00.000000Z",
        "errors": [{"file": "a.yaml", "line": 3, "message": "unknown type"}],
    }
