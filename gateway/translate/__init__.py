"""Between what a client speaks and what a target speaks. Pure.

One file per pair, each with the five functions of `pair.Pair`; one row per pair in `registry.py`. Where both
speak the same the pair is a relay: bytes pass as they are, but for the model's name.
"""
