"""The life of tokens in the manifests of their callers."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.config import SecretSource
from gateway.config.manifest_files import Invalid, ManifestFiles, NoSuchManifest
from gateway.identity.issued_tokens import IssuedTokens, NoSuchToken, Refused
from tests.rig.token_form import is_opaque_token
from tests.unit.config.writing import ACCOUNT, TEAM, documents

START = dt.datetime(2026, 11, 26, 10, tzinfo=dt.UTC)
APP = """\
# of the team ml
type: virtual-account
name: app
models: ["lab/*"]   # all
tokens:
  - env:APP   # by hand
"""
ROTATION = "auto_rotate: {auto_rotate_interval: 90, grace_period: 7}\n"
PAT = "type: pat\nname: laptop\nuser_fqn: a@x.io\n"


@dataclass
class Setting:
    """Manifests in a folder, and a clock."""

    folder: Path
    text: str
    now: dt.datetime = START
    tokens: IssuedTokens = field(init=False)

    def __post_init__(self) -> None:
        (self.folder / "m.yaml").write_text(self.text)
        self.tokens = self.another()

    def another(self) -> IssuedTokens:
        """As another process would have."""
        files = ManifestFiles(self.folder, strict=False, secrets=SecretSource({}, None))
        return IssuedTokens(files, self.folder / ".state", now=lambda: self.now)

    def later(self, days: float) -> None:
        self.now += dt.timedelta(days=days)

    @property
    def written(self) -> str:
        return (self.folder / "m.yaml").read_text()

    def states(self) -> dict[str | None, str]:
        return {one.id or one.reference: one.state for one in self.tokens.all()}


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path, documents(ACCOUNT, TEAM, APP + ROTATION, PAT))


def test_create(setting: Setting) -> None:
    """The token is told once; its hash is in the manifest, where all else stays as it was."""
    made = setting.tokens.create("virtual-account", "app")
    assert is_opaque_token(made.token)
    assert made.token not in setting.written + repr(made) + str(setting.tokens.all())
    assert f"sha256:{hashlib.sha256(made.token.encode()).hexdigest()}" in setting.written
    for line in ("# of the team ml", 'models: ["lab/*"]   # all', "  - env:APP   # by hand"):
        assert line in setting.written
    assert [one.to_dict() for one in setting.tokens.all()] == [
        {
            "id": None,
            "type": "virtual-account",
            "name": "app",
            "subject": "virtualaccount:app",
            "reference": "env:APP",
            "created_at": None,
            "expires_at": None,
            "state": "unknown",
            "replaced_by": None,
        },
        {
            "id": made.listed.id,
            "type": "virtual-account",
            "name": "app",
            "subject": "virtualaccount:app",
            "reference": None,
            "created_at": "2026-11-26T10:00:00Z",
            "expires_at": "2027-03-03T10:00:00Z",
            "state": "active",
            "replaced_by": None,
        },
    ]


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        (None, None),
        ("90d", "2027-02-24T10:00:00Z"),
        ("2026-12-31", "2027-01-01T00:00:00Z"),
        ("2026-12-31T10:00:00+01:00", "2026-12-31T09:00:00Z"),
    ],
)
def test_ends(setting: Setting, expires: str | None, expected: str | None) -> None:
    """As they may be written."""
    made = setting.tokens.create("pat", "laptop", expires)
    assert made.to_dict()["expires_at"] == expected
    assert made.listed.subject == "user:a@x.io"


@pytest.mark.parametrize("expires", ["", "soon", "0d", "2026-11-25", "2026-13-01", "99999d", "-1d", "1.5d"])
def test_ends_that_are_none(setting: Setting, expires: str) -> None:
    """Nothing is written then."""
    if expires == "99999d":
        expires = "9999999d"
    before = setting.written
    with pytest.raises(Refused):
        setting.tokens.create("pat", "laptop", expires)
    assert setting.written == before


def test_rotate(setting: Setting) -> None:
    """The old one works on for the grace period, and is not rotated twice."""
    old = setting.tokens.create("virtual-account", "app").listed.id or ""
    setting.later(10)
    made = setting.tokens.rotate(old)
    new = made.listed.id
    assert (made.replaces, made.listed.state) == (old, "active")
    first = next(one for one in setting.tokens.all() if one.id == old)
    assert (first.state, first.replaced_by, first.ends_at) == (
        "replaced",
        new,
        setting.now + dt.timedelta(days=7),
    )
    with pytest.raises(Refused, match=f"rotate '{new}'"):
        setting.tokens.rotate(old)
    setting.later(7)
    assert setting.states() == {"env:APP": "unknown", old: "expired", new: "active"}


def test_rotation_keeps_how_long_tokens_work(setting: Setting) -> None:
    """One of 30 days is followed by one of 30 days; the old one does not live longer by it."""
    old = setting.tokens.create("pat", "laptop", "30d").listed.id or ""
    setting.later(28)
    made = setting.tokens.rotate(old)
    assert made.listed.ends_at == setting.now + dt.timedelta(days=30)
    assert setting.tokens.all()[1].ends_at == START + dt.timedelta(days=30)
    at_once = setting.tokens.rotate(made.listed.id or "", grace_days=0)
    assert setting.states()[at_once.replaces] == "expired"


def test_a_token_that_would_be_over(tmp_path: Path) -> None:
    """None is made that would sign nobody in: of an account that has expired, or with dates that disagree."""
    backwards = (
        "tokens:\n  - id: t-1\n    hash: sha256:" + "1" * 64 + "\n"
        '    created_at: "2026-11-20T10:00:00Z"\n    expires_at: "2026-11-10T10:00:00Z"\n'
    )
    setting = Setting(tmp_path, documents(ACCOUNT, APP + 'expiration_date: "2026-11-25"\n', PAT + backwards))
    before = setting.written
    with pytest.raises(Refused, match=r"virtualaccount:app would be over already \(2026-11-26T00:00:00Z\)"):
        setting.tokens.create("virtual-account", "app", "30d")
    with pytest.raises(Refused, match=r"user:a@x\.io would be over already"):
        setting.tokens.rotate("t-1")
    assert setting.written == before


def test_due(setting: Setting) -> None:
    """When its interval is over, even long ago; each once, those without an age never."""
    old = setting.tokens.create("virtual-account", "app").listed.id
    laptop = setting.tokens.create("pat", "laptop").listed.id
    assert list(setting.tokens.rotate_due()) == []
    setting.later(90)
    assert setting.states()[old] == "due"
    [made] = setting.tokens.rotate_due()
    assert (made.replaces, list(setting.tokens.rotate_due())) == (old, [])
    setting.later(98)
    assert setting.states() == {
        "env:APP": "unknown",
        old: "expired",
        made.listed.id: "expired",
        laptop: "active",
    }
    [again] = setting.tokens.rotate_due()
    assert again.replaces == made.listed.id


def test_revoke(setting: Setting) -> None:
    """It is gone from the manifest, and nothing else is."""
    before = setting.written
    made = setting.tokens.create("virtual-account", "app")
    revoked, version = setting.tokens.revoke(made.listed.id or "")
    assert version != made.version
    assert revoked.subject == "virtualaccount:app"
    assert setting.written == before
    with pytest.raises(NoSuchToken):
        setting.tokens.revoke(made.listed.id or "")
    with pytest.raises(NoSuchToken):
        setting.tokens.rotate(made.listed.id or "")


def test_the_form_of_an_account(tmp_path: Path) -> None:
    """A JWT, where the account says so; known by its hash like any other."""
    setting = Setting(tmp_path, documents(ACCOUNT, APP + "token_type: jwt\n"))
    made = setting.tokens.create("virtual-account", "app", "1d")
    assert made.token.count(".") == 2
    assert hashlib.sha256(made.token.encode()).hexdigest() in setting.written
    (tmp_path / ".state" / "token-signing.pem").chmod(0o640)
    with pytest.raises(Refused, match="others may read"):
        setting.tokens.create("virtual-account", "app")


def test_what_is_not_there(setting: Setting) -> None:
    """It says so."""
    with pytest.raises(NoSuchManifest):
        setting.tokens.create("virtual-account", "app2")
    with pytest.raises(NoSuchManifest):
        setting.tokens.create("pat", "app")


def test_an_id_of_two_callers(tmp_path: Path) -> None:
    """Nobody guesses whose is meant."""
    entry = '  - {id: t1, hash: "sha256:%s", created_at: "2026-11-26T10:00:00Z"}\n'
    other = APP.replace("name: app", "name: other") + entry % ("b" * 64)
    setting = Setting(tmp_path, documents(ACCOUNT, APP + entry % ("a" * 64), other))
    with pytest.raises(Refused, match="'app', virtual-account 'other'"):
        setting.tokens.revoke("t1")


def test_a_configuration_with_errors(setting: Setting) -> None:
    """Nothing is written into it."""
    (setting.folder / "z.yaml").write_text("type: team\nname: x\n")
    before = setting.written
    with pytest.raises(Invalid):
        setting.tokens.create("virtual-account", "app")
    assert setting.written == before


def test_many_at_once(setting: Setting) -> None:
    """None that was told to somebody is lost, whoever else writes; of one that many rotate one wins."""
    made: list[str] = []
    won: list[str] = []
    first = setting.tokens.create("virtual-account", "app").listed.id or ""

    def work() -> None:
        tokens = setting.another()
        made.extend(tokens.create("virtual-account", "app").token for _ in range(3))
        try:
            won.append(tokens.rotate(first).token)
        except Refused:
            return

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(won)) == (12, 1)
    assert all(hashlib.sha256(token.encode()).hexdigest() in setting.written for token in made + won)
    assert len(setting.tokens.all()) == 1 + 1 + 12 + 1
