"""`make perf-k6`: the seed vendor's promise, put to our gateway on one core by k6.

Exit code 99 is k6's own for a threshold that was crossed. Any other gateway is measured by k6 alone; the
scripts beside this file say how.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from perf.bench import say, started_bench
from perf.contenders import started_gateway
from perf.cores import pinned_to
from perf.environments import InstallError, prepare
from perf.payloads import CHAT_PATH, UPSTREAM_MODEL
from perf.process import ProgramError, clean_environment, stop_as_on_interrupt

_SCRIPTS: Final = Path(__file__).resolve().parent
_MAX_SECONDS: Final = 300
_MAX_RATE: Final = 5000


def k6_command(k6: Path, script: str, variables: Mapping[str, str]) -> list[str]:
    """Run *script* with *variables*; k6 tells its makers nothing."""
    given = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
    return [str(k6), "run", "--no-usage-report", *given, str(_SCRIPTS / f"{script}.js")]


def run_k6(command: Sequence[str], core: int | None, timeout_s: float) -> int:
    """Run *command* on *core* in front of the user; its exit code."""
    # Without GOMAXPROCS, Go's threads would fight over the one core.
    environment = clean_environment() | ({} if core is None else {"GOMAXPROCS": "1"})
    with pinned_to(core):
        return subprocess.run(command, env=environment, check=False, timeout=timeout_s).returncode


def main() -> int:
    """Run one script against upstream and gateway; k6's exit code, 1 when something did not start."""
    parser = argparse.ArgumentParser(prog="python -m perf.k6", description=__doc__)
    parser.add_argument("script", nargs="?", choices=("chat", "stream"), default="chat")
    parser.add_argument("--rate", type=int, default=None, help="calls per second (chat 350, stream 20)")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--max-overhead-ms", type=float, default=4.0, help="threshold of the 95th percentile")
    arguments = parser.parse_args()
    rate = {"chat": 350, "stream": 20}[arguments.script] if arguments.rate is None else arguments.rate
    if not 0 < rate <= _MAX_RATE or not 0 < arguments.seconds <= _MAX_SECONDS:
        parser.error(f"1 to {_MAX_RATE} calls per second, for 1 to {_MAX_SECONDS} s")
    stop_as_on_interrupt()
    try:
        k6 = prepare("k6") / "bin" / "k6"
        with started_bench() as bench, started_gateway(bench) as gateway:
            variables = {
                "GATEWAY_URL": gateway.url.removesuffix(CHAT_PATH),
                "GATEWAY_KEY": gateway.token,
                "GATEWAY_MODEL": gateway.model,
                "UPSTREAM_URL": bench.upstream.origin,
                "UPSTREAM_MODEL": UPSTREAM_MODEL,
                "RATE": str(rate),
                "DURATION": f"{arguments.seconds}s",
                "MAX_OVERHEAD_MS": f"{arguments.max_overhead_ms:g}",
            }
            return run_k6(
                k6_command(k6, arguments.script, variables), bench.cores.tools, arguments.seconds + 90
            )
    except (InstallError, ProgramError) as error:
        say(f"perf.k6: {error}")
        return 1
    except subprocess.TimeoutExpired:
        say("perf.k6: k6 did not come to its end, and was killed")
        return 1
    except KeyboardInterrupt:
        say("perf.k6: stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())
