"""perf/stacks.py, on stacks as py-spy writes them."""

from __future__ import annotations

import pytest

from perf.stacks import Stack, find_owner, parse_stacks, shares_by_function, shares_by_owner

_SITE = "/venv/lib/python3.11/site-packages"
_MAIN = "_run_module_as_main (<frozen runpy>:198)"
_PIPELINE = "Pipeline._attempt (/src/gateway/pipeline.py:256)"
_SEND = f"ClientSession._request ({_SITE}/aiohttp/client.py:900)"
_WRITE = "write (/usr/lib/x86_64-linux-gnu/libc.so.6)"


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        pytest.param(_SEND, "aiohttp", id="a package"),
        pytest.param(f"decode ({_SITE}/six.py:3)", "six", id="a package of one file"),
        pytest.param(
            f"0x7f31 ({_SITE}/granian/_granian.cpython-311-x86_64-linux-gnu.so)", "granian", id="no symbols"
        ),
        pytest.param("Relay.__call__ (/src/gateway/edge/app.py:60)", "gateway.edge", id="a part of ours"),
        pytest.param(_PIPELINE, "gateway.pipeline", id="a module of ours"),
        pytest.param("uv_run (/project/build/libuv-x86_64/src/unix/core.c:452)", "uvloop", id="libuv"),
        pytest.param(
            "md_get_all (/project/multidict/_multilib/hashtable.h:2266)", "multidict", id="C source"
        ),
        pytest.param("Runner.run (/usr/lib/python3.11/asyncio/runners.py:118)", "asyncio", id="asyncio"),
        pytest.param("task_step (/tmp/Python-3.11.7/Modules/_asynciomodule.c:2990)", "asyncio", id="its C"),
        pytest.param("Py_DECREF (/opt/cpython/include/object.h:537)", None, id="the interpreter"),
        pytest.param(_WRITE, None, id="the C library"),
        pytest.param(
            "llhttp__internal_execute (/project/vendor/llhttp/build/c/llhttp.c:8)", None, id="vendored"
        ),
        pytest.param("", None, id="no frame"),
    ],
)
def test_whose_code_a_frame_is(frame: str, expected: str | None) -> None:
    """By the file it is in; what nobody owns counts for its caller."""
    assert find_owner(frame) == expected


def test_lines_are_stacks_and_counts() -> None:
    """Frames hold spaces, so the count is what follows the last one."""
    assert parse_stacks(f"{_MAIN};{_SEND} 12\n\n{_MAIN} 1\n") == (
        Stack((_MAIN, _SEND), 12),
        Stack((_MAIN,), 1),
    )
    with pytest.raises(ValueError, match="invalid literal"):
        parse_stacks("no count")


def test_other_threads_are_told_apart() -> None:
    """Granian's threads wait in native code, which py-spy takes for work."""
    assert Stack((_MAIN, _SEND), 1).is_main_thread
    assert Stack(("0x7f (libc.so.6)", _MAIN), 1).is_main_thread
    assert not Stack((f"0x7f ({_SITE}/granian/_granian.so)", "syscall (libc.so.6)"), 1).is_main_thread


_STACKS = (
    Stack((_MAIN, _PIPELINE, _SEND, _WRITE), 6),
    Stack((_MAIN, _PIPELINE), 3),
    Stack((_MAIN, _WRITE), 1),
)


def test_time_belongs_to_the_innermost_owner() -> None:
    """A system call is its caller's, and a caller has its callees' time in the second figure."""
    shares = {share.name: (share.own_ratio, share.whole_ratio) for share in shares_by_owner(_STACKS)}
    assert shares == {
        "aiohttp": (0.6, 0.6),
        "gateway.pipeline": (0.3, 0.9),
        "other": (0.1, 0.1),
    }


def test_functions_are_named_with_their_owner() -> None:
    """The largest comes first; native code without symbols goes by its owner's name."""
    native = Stack((_MAIN, _PIPELINE, f"0x7f31 ({_SITE}/granian/_granian.so)"), 10)
    assert [share.name for share in shares_by_function((*_STACKS, native))] == [
        "granian",
        "aiohttp: ClientSession._request",
        "gateway.pipeline: Pipeline._attempt",
    ]
