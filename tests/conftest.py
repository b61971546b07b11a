"""What every test sees: options, no proxies, the tools a test may require, a list of the absent ones."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest

from tests.rig.browser import Chromium
from tests.rig.requires import absent, demanded, shared_folder

# Hypothesis times each example by default: a busy machine then fails a property that holds, and speed is for
# `perf/` alone. Properties are tried with the same examples in every run, so that no change is refused for
# what it did not touch; the long tier draws them anew, and four times as many (`tests/rig/examples.py`).
_UNTIMED: Final = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("same", _UNTIMED, derandomize=True, max_examples=25)
hypothesis.settings.register_profile("anew", _UNTIMED)

# The files that take 10 s and more: begun last, one of them would keep one process busy after the others.
LONGEST: Final = (
    *("conformance/test_faults_of_providers", "conformance/test_matrix", "conformance/test_llmock_faults"),
    *("faults/test_fault_trees", "translate/test_registry", "conformance/test_virtual_models"),
    *("conformance/test_docs_clients",),
    *("supervisor/test_start", "store/test_redis_counters", "store/test_counter_table"),
    *("supervisor/test_family", "e2e/test_processes", "browser/test_manifest_pages"),
    *("e2e/test_faults_of_endpoint", "e2e/test_metrics", "browser/test_accessibility"),
    *("e2e/test_upstream_failures", "e2e/test_fleet_in_trouble"),
    *("e2e/test_cancellation", "e2e/test_reload", "e2e/test_fleet", "browser/test_traffic_pages"),
    *("e2e/test_providers", "e2e/test_realtime", "e2e/test_tls", "e2e/test_faults_of_processes"),
    *("e2e/test_startup", "e2e/test_virtual_models", "e2e/test_cost", "e2e/test_trace"),
    *("e2e/test_faults_of_change", "e2e/test_targets", "e2e/test_dashboard", "e2e/test_limits"),
    *("e2e/test_limited_gateway", "e2e/test_identity_provider", "e2e/test_saved_manifests"),
)

_absent_tools = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare our options."""
    parser.addoption("--long", action="store_true", help="also run the tests marked `long` (minutes)")
    parser.addoption("--golden-rewrite", action="store_true", help="rewrite golden files; review the diff")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a misspelt `GATEWAY_TEST_REQUIRE` before anything runs; choose the examples of properties."""
    config.stash[_absent_tools] = {}
    demanded()
    # Whatever tests call is on this machine, where an office's proxy does not lead.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    hypothesis.settings.load_profile("anew" if config.getoption("--long") else "same")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a process of several, tell the first what was absent here."""
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["absent_tools"] = session.config.stash[_absent_tools]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear what was absent in another process."""
    node.config.stash[_absent_tools].update(getattr(node, "workeroutput", {}).get("absent_tools", {}))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the longest files. Without --long, drop long tests: they are no skips of this run."""
    rank = {name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(f"{item.path.parent.name}/{item.path.stem}", len(rank)))
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_collection_finish() -> None:
    """Leave out of every later search for garbage what lasts for the whole run: modules and 20,000 tests."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose tools are absent, or fail it where they are demanded."""
    names = [name for mark in item.iter_markers("requires") for name in mark.args]
    reasons = absent(names)
    if not reasons:
        return
    item.config.stash[_absent_tools].update(reasons)
    message = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    if demanded() & reasons.keys():
        pytest.fail(f"GATEWAY_TEST_REQUIRE demands what is absent: {message}", pytrace=False)
    pytest.skip(message)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which tools were absent, so that a green run never hides it."""
    if tools := config.stash[_absent_tools]:
        terminalreporter.section("tools absent here, their tests skipped")
        for name, reason in sorted(tools.items()):
            terminalreporter.line(f"{name}: {reason}")


@pytest.fixture
def golden_rewrite(request: pytest.FixtureRequest) -> bool:
    """Whether this run rewrites golden files instead of comparing with them."""
    return bool(request.config.getoption("--golden-rewrite"))


@pytest.fixture
def recordings() -> Path:
    """The folder of recorded provider traffic; a test that uses it is marked `requires("recordings")`."""
    return shared_folder() / "recordings"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """A browser for the whole run; a test that uses it is marked `requires("chromium")`."""
    with Chromium() as browser:
        yield browser
