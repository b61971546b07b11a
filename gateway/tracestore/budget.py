"""How much of a loaded machine the store may use: the rule, without clocks.

The workers answer clients and come first: all of the control process has one share of a core. What its other
threads need they take, since exports are never thinned; the store has what is left. Above that it keeps fewer
traces, step by step, until it fits; with room again it keeps more. Where others wait for the core that
this process is on, the share is half of what it is on a core that is free.
"""

from __future__ import annotations

from typing import Final

_WINDOW_S: Final = 1.0
# Where others wait for the core: a batch, so that the second one knows what the first one took from them.
_WANTED_WINDOW_S: Final = 0.25
# Below this part of the share there is room to keep more; in between nothing changes, so that it does not
# swing.
_ROOM: Final = 0.8
_MOST_GROWTH: Final = 1.5
# Part of the share that the store has whatever the others use: a long search must not thin the traces of a
# quiet machine.
_OWN_PART: Final = 0.2
_WANTED_PART: Final = 0.5
_STARVED_PART: Final = 0.5
# Even an overrun machine shows some traces.
_LEAST_RATIO: Final = 0.01


class CpuBudget:
    """Turns CPU time used into the share of traces to keep.

    Attributes:
        keep_ratio: Share of all traces whose spans are kept, 1.0 on a machine with room.
    """

    def __init__(self, share: float = 0.25) -> None:
        """Allow *share* of one core to the whole process, over windows of a second."""
        self.keep_ratio = 1.0
        self._share = share
        self._window_started_s: float | None = None
        self._cpu_at_start_s = self._others_at_start_s = 0.0
        self._was_wanted = False

    def note(
        self,
        *,
        wall_s: float,
        cpu_s: float,
        others_cpu_s: float = 0.0,
        is_core_wanted: bool = False,
        is_behind: bool = False,
    ) -> None:
        """Look at the clocks after some work.

        Args:
            wall_s: Monotonic time.
            cpu_s: CPU time of the store's thread so far.
            others_cpu_s: That of the other threads.
            is_core_wanted: Others had to wait for the core, or it for them, since the last time.
            is_behind: Far more waits for the store than a moment brings.
        """
        self._was_wanted = self._was_wanted or is_core_wanted
        if self._window_started_s is None:
            self._begin(wall_s, cpu_s, others_cpu_s)
            return
        elapsed_s = wall_s - self._window_started_s
        if elapsed_s < (_WANTED_WINDOW_S if self._was_wanted else _WINDOW_S):
            return
        used = (cpu_s - self._cpu_at_start_s) / elapsed_s
        used_by_others = (others_cpu_s - self._others_at_start_s) / elapsed_s
        share = self._share * _WANTED_PART if self._was_wanted else self._share
        allowed = max(share * _OWN_PART, share - used_by_others)
        is_starved = is_behind and self._was_wanted
        self._begin(wall_s, cpu_s, others_cpu_s)
        if is_starved:
            # It gets less than its share: the spool would fill up and lose what no sum has seen.
            self.keep_ratio = max(_LEAST_RATIO, self.keep_ratio * _STARVED_PART)
        elif used > allowed:
            self.keep_ratio = max(_LEAST_RATIO, self.keep_ratio * allowed / used)
        elif used < allowed * _ROOM:
            growth = min(_MOST_GROWTH, allowed / used) if used > 0 else _MOST_GROWTH
            self.keep_ratio = min(1.0, self.keep_ratio * growth)

    def _begin(self, wall_s: float, cpu_s: float, others_cpu_s: float) -> None:
        """Open the next window."""
        self._was_wanted = False
        self._window_started_s, self._cpu_at_start_s, self._others_at_start_s = wall_s, cpu_s, others_cpu_s
