"""Gateways and routers of other makers, measured beside ours: `python -m perf.peers`."""
