"""Tokens that are JWTs."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.identity.token_signing import KeyUnusable, sign_token
from tests.rig.requires import requires

AT = dt.datetime(2026, 11, 26, 10, tzinfo=dt.UTC)


def test_claims(tmp_path: Path) -> None:
    """Signed by the key of the state folder, which only its owner may read."""
    state = tmp_path / "state"
    token = sign_token(state, "virtualaccount:app", "t-1", AT, AT + dt.timedelta(days=1))
    file = state / "token-signing.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    key = serialization.load_pem_private_key(file.read_bytes(), None).public_key()
    assert isinstance(key, Ed25519PublicKey)
    claims = jwt.decode(token, key, algorithms=["EdDSA"], options={"verify_exp": False, "verify_iat": False})
    seconds = int(AT.timestamp())
    assert claims == {
        "iss": "gateway",
        "sub": "virtualaccount:app",
        "iat": seconds,
        "exp": seconds + 86_400,
        "jti": "t-1",
    }
    again = sign_token(state, "virtualaccount:app", "t-2", AT, None)
    assert "exp" not in jwt.decode(again, key, algorithms=["EdDSA"], options={"verify_iat": False})
    assert sorted(path.name for path in state.iterdir()) == ["token-signing.pem"]


@requires("root")
def test_a_key_that_root_makes_is_the_services(tmp_path: Path) -> None:
    """So that the dashboard can sign with what a command has begun."""
    os.chown(tmp_path, 12345, 12345)
    sign_token(tmp_path, "virtualaccount:app", "t-1", AT, None)
    assert (tmp_path / "token-signing.pem").stat().st_uid == 12345


def test_keys_that_are_not_used(tmp_path: Path) -> None:
    """One that others may read, that is none, or of another kind: it says so and quotes nothing."""
    file = tmp_path / "token-signing.pem"
    file.write_text("canary")
    file.chmod(0o644)
    with pytest.raises(KeyUnusable, match="others may read"):
        sign_token(tmp_path, "s", "t", AT, None)
    file.chmod(0o600)
    with pytest.raises(KeyUnusable, match="no private key") as caught:
        sign_token(tmp_path, "s", "t", AT, None)
    assert "canary" not in str(caught.value)
    other = generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(other)
    with pytest.raises(KeyUnusable, match="another kind"):
        sign_token(tmp_path, "s", "t", AT, None)
    with pytest.raises(KeyUnusable, match="cannot be used"):
        sign_token(file / "below", "s", "t", AT, None)
