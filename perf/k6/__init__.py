"""k6 scripts for any gateway, and `python -m perf.k6`, which runs them against ours on one core."""
