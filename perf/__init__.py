"""The performance suite: what a request costs, beside a reference in the same run. See perf/README.md."""
