"""`make run`: the demo provider and a gateway on the manifests of this folder, until Ctrl-C.

Honours `GATEWAY_PORT`, `GATEWAY_CONTROL_PORT` and every other variable of `gateway serve`, and
`GATEWAY_DEMO_PORT` (8789; 0 is any free one). However it ends, also by kill -9, nothing it started is left
running.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from gateway.control.sign_in.accounts import FIRST_USER, Accounts
from gateway.control.sign_in.command import link_of
from gateway.process import die_with_parent
from gateway.settings import SettingsError, read_settings

FOLDER = Path(__file__).resolve().parent
DEMO_PORT = 8789
READY = re.compile(r"gateway ready: data plane (\S+), control plane (\S+)")
LISTENING = re.compile(r"demo provider listening on http://\S+:(\d+)")


def main() -> int:
    """Run both; gives the exit code of the gateway."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--end-with-parent", action="store_true", help="stop when who started this ends")
    arguments = parser.parse_args()
    stop = _Stop()
    if arguments.end_with_parent:
        die_with_parent(os.getppid(), by=signal.SIGTERM)
    try:
        state_dir = read_settings({"config": str(FOLDER)}, os.environ).state_dir
    except SettingsError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 2
    port = os.environ.get("GATEWAY_DEMO_PORT") or str(DEMO_PORT)
    demo = _start(["demo-provider", "--port", port], signal.SIGKILL)
    try:
        stop.pass_to(demo)
        real_port = _read_demo_port(demo)
        if real_port is None:
            if stop.is_asked:
                return 0
            print("make run: GATEWAY_DEMO_PORT sets the demo provider's port (0: any free)", file=sys.stderr)
            return max(1, demo.wait())
        with _Manifests(state_dir, real_port) as config:
            # The admin API wants a token: this run's own, unless one is set. Hexadecimal, so that it works
            # also while somebody guesses at tokens from the same address, as all have on one machine.
            # An empty variable is not set, as for the gateway.
            if not os.environ.get("GATEWAY_ADMIN_TOKEN"):
                os.environ["GATEWAY_ADMIN_TOKEN"] = secrets.token_hex(16)
            gateway = _start(["serve", "--config", str(config)], signal.SIGTERM)
            stop.pass_to(gateway)
            return _relay(gateway, Accounts(state_dir))
    finally:
        demo.kill()
        demo.wait()


class _Stop:
    """Takes the signals that ask us to stop, and passes them on to one child."""

    def __init__(self) -> None:
        self.is_asked = False
        self._child: subprocess.Popen[str] | None = None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask)

    def pass_to(self, child: subprocess.Popen[str]) -> None:
        """From now on *child* is told; also of what came before."""
        self._child = child
        if self.is_asked:
            child.terminate()

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.is_asked = True
        if self._child is not None:
            self._child.terminate()


def _start(arguments: Sequence[str], end_by: signal.Signals) -> subprocess.Popen[str]:
    """Start a `gateway` command that gets *end_by* if this process is killed.

    In a process group of its own: Ctrl-C is ours to pass on, once.
    """
    parent_pid = os.getpid()
    return subprocess.Popen(  # noqa: S603, our own program
        [sys.executable, "-m", "gateway", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
        # The setting survives the exec. Safe here: this process has one thread.
        preexec_fn=lambda: die_with_parent(parent_pid, by=end_by),  # noqa: PLW1509
    )


def _read_demo_port(demo: subprocess.Popen[str]) -> int | None:
    """Wait until it listens; None when it ended instead, having said why."""
    for line in demo.stdout or ():
        if found := LISTENING.search(line):
            return int(found[1])
    return None


class _Manifests:
    """The folder of manifests, with the demo provider's real port.

    This folder itself where the port is the usual one, so that edits of it are taken up while the gateway
    runs. Otherwise a copy, named after the port: another quickstart may run on the same state folder.
    """

    def __init__(self, state_dir: Path, port: int) -> None:
        self._port = port
        self._copy = state_dir / "quickstart" / str(port)

    def __enter__(self) -> Path:
        if self._port == DEMO_PORT:
            return FOLDER
        shutil.rmtree(self._copy, ignore_errors=True)
        self._copy.mkdir(mode=0o700, parents=True)
        for file in FOLDER.glob("*.yaml"):
            text = file.read_text().replace(
                f"http://127.0.0.1:{DEMO_PORT}/", f"http://127.0.0.1:{self._port}/"
            )
            (self._copy / file.name).write_text(text)
        return self._copy

    def __exit__(self, *_: object) -> None:
        if self._port != DEMO_PORT:
            shutil.rmtree(self._copy, ignore_errors=True)


def _relay(gateway: subprocess.Popen[str], accounts: Accounts) -> int:
    """Show what the gateway prints and, once it is ready, what to try; gives its exit code."""
    for line in gateway.stdout or ():
        print(line, end="", flush=True)
        if found := READY.search(line):
            print(_what_to_try(found[1], found[2]), _dashboard(accounts, found[2]), sep="", flush=True)
    return gateway.wait()


def _dashboard(accounts: Accounts, control: str) -> str:
    """Where the dashboard is, and while nobody has a password, how to set one."""
    if accounts.has_admin():
        return f"The dashboard: {control}\nCtrl-C stops everything.\n"
    link = link_of(accounts.make_link(FIRST_USER), control)
    return f"The dashboard; this link sets its password, once: {link}\nCtrl-C stops everything.\n"


def _what_to_try(data: str, control: str) -> str:
    body = json.dumps(
        {
            "model": "demo/echo",
            "stream": True,
            "messages": [{"role": "user", "content": "Hello from the other side of the gateway"}],
        }
    )
    key, kind = "-H 'Authorization: Bearer demo-key'", "-H 'Content-Type: application/json'"
    return f"""
Try it:
  curl -sN {data}/v1/chat/completions {key} {kind} -d '{body}'
Read its trace:
  curl -s -H 'Authorization: Bearer {os.environ["GATEWAY_ADMIN_TOKEN"]}' '{control}/api/traces?limit=1'
See what you may call (OPENAI_API_KEY and ANTHROPIC_API_KEY, when set, add more):
  curl -s {data}/v1/models {key}
"""


if __name__ == "__main__":
    sys.exit(main())
