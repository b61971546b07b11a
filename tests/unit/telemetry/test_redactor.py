"""Masking, within a limit of time."""

from __future__ import annotations

import hashlib
import re
import signal
import threading
import time

import pytest

from gateway.telemetry.redaction_presets import Pattern, preset
from gateway.telemetry.redactor import LIMIT_S, RedactionTimeout, Redactor

EVIL = re.compile(r"(a+)+b")


def test_patterns_are_masked_in_order() -> None:
    """Each sees what the ones before it left."""
    redactor = Redactor([Pattern(re.compile("cat"), "dog"), Pattern(re.compile("dog"), "[X]")])
    assert redactor.mask("cat dog bird") == "[X] [X] bird"


def test_replacement_is_no_template() -> None:
    r"""An operator's `\1` is what it says."""
    assert Redactor([Pattern(re.compile("(a)"), r"\1\g<0>")]).mask("a") == r"\1\g<0>"


def test_nothing_to_mask() -> None:
    """It is known to be nothing."""
    assert not Redactor()
    assert Redactor([preset("email")])


def test_pattern_without_end_is_ended(caplog: pytest.LogCaptureFixture) -> None:
    """It is given up, the log names the rule, and the process is as it was."""
    redactor = Redactor([Pattern(EVIL, "x")], rules=["rule-7"], are_bounded=False)
    before = signal.getsignal(signal.SIGVTALRM)
    with pytest.raises(RedactionTimeout), redactor:
        redactor.mask("a" * 60)
    assert redactor.is_spent
    assert "rule-7" in caplog.text
    assert signal.getsignal(signal.SIGVTALRM) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0


def test_other_threads_take_nobodys_time() -> None:
    """What they compute beside is not the pattern's."""
    redactor = Redactor([Pattern(EVIL, "x")], are_bounded=False)
    may_end = threading.Event()

    def compute() -> None:
        while not may_end.is_set():
            hashlib.sha256(bytes(1_000_000))

    beside = threading.Thread(target=compute)
    beside.start()
    try:
        with redactor:
            until_s = time.thread_time() + 0.6 * LIMIT_S
            until_all_s = time.process_time() + 3 * LIMIT_S
            while time.thread_time() < until_s or time.process_time() < until_all_s:
                if time.thread_time() >= until_s:
                    time.sleep(0.001)
        assert not redactor.is_spent
        with pytest.raises(RedactionTimeout), redactor:
            redactor.mask("a" * 60)
    finally:
        may_end.set()
        beside.join()


def test_pattern_in_time_leaves_nothing_behind() -> None:
    """Again and again."""
    redactor = Redactor([Pattern(re.compile("a"), "b")], are_bounded=False)
    before = signal.getsignal(signal.SIGVTALRM)
    for _ in range(3):
        with redactor:
            assert redactor.mask("a") == "b"
    assert not redactor.is_spent
    assert signal.getsignal(signal.SIGVTALRM) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0


def test_bounded_patterns_need_no_timer() -> None:
    """What cannot run for ever is not watched."""
    before = signal.getsignal(signal.SIGVTALRM)
    with Redactor([preset("email")]):
        assert signal.getsignal(signal.SIGVTALRM) == before


def test_other_threads_are_not_interrupted() -> None:
    """Signals reach the main thread alone; elsewhere masking goes without the timer."""
    redactor = Redactor([Pattern(re.compile("a"), "b")], are_bounded=False)
    found: list[str] = []

    def mask() -> None:
        with redactor:
            found.append(redactor.mask("a"))

    thread = threading.Thread(target=mask)
    thread.start()
    thread.join(60)
    assert found == ["b"]


def test_other_errors_pass() -> None:
    """A mistake of ours is none of the pattern's."""
    redactor = Redactor([Pattern(re.compile("a"), "b")], are_bounded=False)
    with pytest.raises(ValueError, match="ours"), redactor:
        raise ValueError("ours")
    assert not redactor.is_spent
