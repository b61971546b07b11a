"""How much of a loaded machine the store may use: the rule, without clocks.

The workers answer clients and come first. Above its share of a core the store keeps fewer traces, step by
step, until it fits; with room again it keeps more.
"""

from __future__ import annotations

from typing import Final

_WINDOW_S: Final = 1.0
# Below this part of the share there is room to keep more; in between nothing changes, so that it does not
# swing.
_ROOM: Final = 0.8
_MOST_GROWTH: Final = 1.5
# Even an overrun machine shows some traces.
_LEAST_RATIO: Final = 0.01


class CpuBudget:
    """Turns CPU time used into the share of traces to keep.

    Attributes:
        keep_ratio: Share of all traces whose spans are kept, 1.0 on a machine with room.
    """

    def __init__(self, share: float = 0.25) -> None:
        """Allow *share* of one core, over windows of a second."""
        self.keep_ratio = 1.0
        self._share = share
        self._window_started_s: float | None = None
        self._cpu_at_start_s = 0.0

    def note(self, *, wall_s: float, cpu_s: float) -> None:
        """Look at the clocks after some work.

        Args:
            wall_s: Monotonic time.
            cpu_s: CPU time of the thread so far.
        """
        if self._window_started_s is None:
            self._window_started_s, self._cpu_at_start_s = wall_s, cpu_s
            return
        elapsed_s = wall_s - self._window_started_s
        if elapsed_s < _WINDOW_S:
            return
        used = (cpu_s - self._cpu_at_start_s) / elapsed_s
        self._window_started_s, self._cpu_at_start_s = wall_s, cpu_s
        if used > self._share:
            self.keep_ratio = max(_LEAST_RATIO, self.keep_ratio * self._share / used)
        elif used < self._share * _ROOM:
            growth = min(_MOST_GROWTH, self._share / used) if used > 0 else _MOST_GROWTH
            self.keep_ratio = min(1.0, self.keep_ratio * growth)
