"""Processes, ports, signals: the main process of `gateway serve`. No HTTP, no event loop.

The way in is `serve`; `start.py` tells its course.
"""

from gateway.supervisor.start import serve

__all__ = ["serve"]
