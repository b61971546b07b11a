"""The control socket's address fits, however deep the state folder lies."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway.socket_path import SOCKET_NAME, control_address


@pytest.mark.parametrize("depth", [0, 1, 3, 8])
def test_bind_and_connect_at_any_depth(tmp_path: Path, depth: int) -> None:
    """Both ends meet at the same file."""
    folder = tmp_path.joinpath(*["a-folder-with-a-long-name-of-forty-letters"] * depth)
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        with control_address(folder) as address:
            listener.bind(address)
        listener.listen()
        with control_address(folder) as address:
            client.connect(address)
        assert (folder / SOCKET_NAME).is_socket()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    """The folder's descriptor lives as long as the block."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    before = open_descriptors()
    with control_address(folder) as address:
        assert address.startswith("/proc/self/fd/")
    assert open_descriptors() == before


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """It is told where the address is made."""
    with pytest.raises(FileNotFoundError), control_address(tmp_path / ("x" * 120)):
        pass
