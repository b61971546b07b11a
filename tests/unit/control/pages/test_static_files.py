"""Files of the pages."""

from __future__ import annotations

import gzip
import hashlib
import re
from importlib.resources import files
from pathlib import Path

import pytest

from gateway.control.pages.static_files import StaticFiles
from tests.unit.control.rooms import Rooms


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("app.css", "text/css; charset=utf-8"),
        ("js/frame.js", "text/javascript; charset=utf-8"),
        ("icons.svg", "image/svg+xml"),
        ("vendor/uplot/uPlot.min.js", "text/javascript; charset=utf-8"),
        ("vendor/uplot/LICENSE", "text/plain; charset=utf-8"),
    ],
)
def test_a_file_has_its_type_and_is_kept_for_a_year(name: str, media_type: str) -> None:
    """Its address changes with its content, and nobody has to sign in for it."""
    reply = Rooms().client().get(StaticFiles().url(name))
    assert reply.status_code == 200
    assert reply.headers["content-type"] == media_type
    assert "immutable" in reply.headers["cache-control"]
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_the_digest_of_another_version_is_not_kept() -> None:
    """A page that was open while the gateway was updated still works, and keeps nothing wrong."""
    reply = Rooms().client().get("/static/0123456789abcdef/app.css")
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"


def test_large_files_go_zipped_to_who_takes_it() -> None:
    """To others as they are."""
    url = StaticFiles().url("app.css")
    client = Rooms().client()
    zipped = client.get(url, headers={"accept-encoding": "gzip"})
    plain = client.get(url, headers={"accept-encoding": "identity"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert zipped.content == plain.content
    assert int(zipped.headers["content-length"]) < len(gzip.compress(plain.content)) + 64


@pytest.mark.parametrize(
    "name", ["none.css", "../frame.py", "%2e%2e/frame.py", "js", "js/", "", "..%2fframe.py"]
)
def test_nothing_else_is_to_be_had(name: str) -> None:
    """Only what was read at the start."""
    assert Rooms().client().get(f"/static/x/{name}").status_code == 404


def test_what_comes_from_others_is_as_they_made_it() -> None:
    """Byte for byte; its licence lies beside it and its version is said."""
    folder = files("gateway.control.pages").joinpath("static/vendor")
    sums = folder.joinpath("uplot/SHA256SUMS").read_text().split("\n")
    listed = {name: digest for digest, name in (line.split() for line in sums if line)}
    assert set(listed) == {"uPlot.min.js", "uPlot.min.css", "LICENSE"}
    for name, digest in listed.items():
        assert hashlib.sha256(folder.joinpath("uplot", name).read_bytes()).hexdigest() == digest
    makefile = (Path(__file__).parents[4] / "Makefile").read_text()
    (version,) = re.findall(r"^UPLOT := (\S+)$", makefile, re.MULTILINE)
    assert f"`uplot` {version}" in folder.joinpath("README.md").read_text()
    assert f"(v{version})" in folder.joinpath("uplot/uPlot.min.js").read_text()[:200]


def test_a_slip_in_a_template_is_an_error() -> None:
    """Not a page without its style."""
    with pytest.raises(KeyError):
        StaticFiles().url("nothing.css")
