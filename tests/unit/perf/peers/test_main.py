"""perf/peers/__main__.py: which peers there are."""

from __future__ import annotations

import pytest

from perf.environments import REQUIREMENTS
from perf.peers.__main__ import PEERS, suite_of
from perf.peers.peer import Peer
from perf.promises import PROMISES
from perf.scenarios.peers import OURS


@pytest.mark.parametrize("peer", PEERS.values(), ids=list(PEERS))
def test_every_peer_can_be_installed_from_a_lock(peer: Peer) -> None:
    """A fresh clone installs all by itself."""
    lock = REQUIREMENTS / f"{peer.environment}.lock"
    assert lock.is_file() or (REQUIREMENTS / peer.environment / "package-lock.json").is_file()


@pytest.mark.parametrize(
    ("names", "suite"),
    [
        pytest.param(list(PEERS), "peers", id="all"),
        pytest.param(["portkey", "vllm-router", "portkey"], "peers-only-vllm-router-portkey", id="some"),
        pytest.param([], "peers-none", id="none"),
    ],
)
def test_a_run_beside_some_is_kept_apart(names: list[str], suite: str) -> None:
    """Two minutes beside one peer must not take the place of eight beside all."""
    assert suite_of(names) == suite


def test_names_tell_rows_apart() -> None:
    """Figures are kept by name."""
    names = [peer.name for peer in PEERS.values()]
    assert len({*names, OURS, "bare stack", "direct"}) == len(names) + 3


def test_promises_are_about_peers_that_are_measured() -> None:
    """A renamed peer would turn a promise into one that is never looked at."""
    promised = {promise.contender for promise in PROMISES if promise.scenario == "peers"}
    assert promised <= {peer.name for peer in PEERS.values()}
    assert promised
