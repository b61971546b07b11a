"""The campaign: every target for its share of CPU time (`make fuzz`, README.md beside).

    python -m tests.fuzz [TARGET ...] [--cpu-minutes 20] [--jobs 2]

What is found is printed and written to `.fuzz/<target>/`; inputs that reach new code go into `corpus/`.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.fuzz.all_targets import TARGETS, add_failed, read_corpus, read_failed

_ROOT: Final = Path(__file__).resolve().parents[2]
_MOST_BYTES: Final = 4096
_MOST_FINDINGS: Final = 10
_ENDED_BY_US: Final = frozenset({0, 72, -signal.SIGTERM})
_TICK: Final = os.sysconf("SC_CLK_TCK")
_NOISE: Final = ("stat::", "#", "INFO:", "WARNING:")
_DONE: Final = re.compile(r"stat::number_of_executed_units: (\d+)")
_COVERED: Final = re.compile(r"cov: (\d+) ft: (\d+)")


@dataclass
class Result:
    """What came of one target.

    Attributes:
        findings: The last lines that each failure printed.
    """

    name: str
    cpu_s: float = 0.0
    runs: int = 0
    covered: int = 0
    kept: int = 0
    findings: list[str] = field(default_factory=list)


def main() -> int:
    """Run the campaign; 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET")
    parser.add_argument("--cpu-minutes", type=float, default=20.0, help="for each target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at once")
    asked = parser.parse_args()
    names = asked.targets or list(TARGETS)
    with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
        results = list(pool.map(lambda name: _fuzz(name, asked.cpu_minutes * 60), names))
    print("\n| target | CPU min | inputs tried | covered | kept | found |\n|---|---|---|---|---|---|")
    for result in results:
        print(
            f"| {result.name} | {result.cpu_s / 60:.1f} | {result.runs:,} | {result.covered:,} "
            f"| {result.kept} | {len(result.findings)} |"
        )
    for result in results:
        for finding in result.findings:
            print(f"\n{result.name}: {finding}")
    return int(any(result.findings for result in results))


def _fuzz(name: str, cpu_s: float) -> Result:
    """Run one target until it has had its time, again after each failure."""
    folder = _ROOT / ".fuzz" / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    target = TARGETS[name]
    for number, data in enumerate([*target.seeds(), *read_corpus(name), *read_failed(name)]):
        (corpus / f"seed-{number}").write_bytes(data)
    words = folder / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    result = Result(name)
    while result.cpu_s < cpu_s and len(result.findings) < _MOST_FINDINGS:
        before = len(result.findings)
        _run(result, folder, cpu_s - result.cpu_s)
        if len(result.findings) > before:
            print(f"{name}: {result.findings[-1]}", flush=True)
    _keep(result, folder)
    print(f"{name}: {result.runs:,} inputs in {result.cpu_s / 60:.1f} CPU minutes", flush=True)
    return result


def _run(result: Result, folder: Path, cpu_s: float) -> None:
    """One process of libFuzzer, until it has used *cpu_s* or fails."""
    command = [
        *(sys.executable, "-m", "tests.fuzz.fuzz_one", result.name, str(folder / "corpus")),
        *(f"-max_len={_MOST_BYTES}", "-timeout=300", "-rss_limit_mb=2048", "-print_final_stats=1"),
        *(f"-artifact_prefix={folder}/", f"-dict={folder / 'words'}", "-reload=0"),
    ]
    if not (folder / "words").stat().st_size:
        command.remove(f"-dict={folder / 'words'}")
    with subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        lines: list[str] = []
        watcher = threading.Thread(target=_end_after, args=(process, cpu_s), daemon=True)
        watcher.start()
        assert process.stdout is not None
        for line in process.stdout:
            if found := _COVERED.search(line):
                result.covered = int(found[1])
            if found := _DONE.search(line):
                result.runs += int(found[1])
            lines = [*lines[-60:], line.rstrip()]
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    result.cpu_s += used.ru_utime + used.ru_stime
    if process.returncode not in _ENDED_BY_US:
        told = [line for line in lines if not line.startswith(_NOISE)]
        result.findings.append("\n".join([*told, f"exit code {process.returncode}"]))


def _end_after(process: subprocess.Popen[str], cpu_s: float) -> None:
    """Ask libFuzzer to end when it has used so much; it prints its figures then."""
    while process.returncode is None:
        try:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return
        if (int(fields[11]) + int(fields[12])) / _TICK >= cpu_s:
            process.terminate()
            return
        time.sleep(0.5)


def _keep(result: Result, folder: Path) -> None:
    """Keep what failed, and of the rest what `choose` says."""
    add_failed(result.name, [file.read_bytes() for file in folder.glob("crash-*")])
    subprocess.run([sys.executable, "-m", "tests.fuzz.choose", result.name], cwd=_ROOT, check=True)
    result.kept = len(read_corpus(result.name))


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    sys.exit(main())
