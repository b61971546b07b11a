"""The wall clock of a gateway, to be set while it runs; it needs `cc`.

A library of a few lines, loaded before the C library, adds to `CLOCK_REALTIME` what a file says, in every
process that was started with it. Monotonic clocks stay, as when somebody steps the clock of a machine; the
times of files stay too, which on such a machine would jump.
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Final

from tests.rig.requires import find_program

_VARIABLE: Final = "GATEWAY_TEST_CLOCK"
# Asked of the kernel directly: the C library's own function is the one that is replaced.
_SOURCE: Final = f"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *ahead_s;

__attribute__((constructor)) static void begin(void)
{{
    const char *path = getenv("{_VARIABLE}");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *found = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead_s, PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) ahead_s = found;
    if (file >= 0) close(file);
}}

int clock_gettime(clockid_t clock, struct timespec *now)
{{
    long failed = syscall(SYS_clock_gettime, clock, now);
    int is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    if (!failed && is_wall && ahead_s) now->tv_sec += *ahead_s;
    return failed;
}}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{{
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}}

time_t time(time_t *out)
{{
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact)) return -1;
    if (out) *out = exact.tv_sec;
    return exact.tv_sec;
}}
"""


class WallClock:
    """The clock of every process that is started with its `environment`.

    Args:
        folder: Exists; holds the library and the file.
    """

    def __init__(self, folder: Path) -> None:
        source, library = folder / "clock.c", folder / "clock.so"
        self._file = folder / "ahead"
        self.set_ahead(0)
        source.write_text(_SOURCE)
        compiler = find_program("cc")
        assert compiler is not None
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)]
        subprocess.run(command, check=True, timeout=60)
        self.environment = {"LD_PRELOAD": str(library), _VARIABLE: str(self._file)}

    def set_ahead(self, seconds: int) -> None:
        """Set it so far ahead of the machine's, or behind it when negative; in force at once."""
        # In place and in one write: it is mapped into the processes.
        mode = "r+b" if self._file.exists() else "wb"
        with self._file.open(mode, buffering=0) as file:
            file.write(struct.pack("=q", seconds))
