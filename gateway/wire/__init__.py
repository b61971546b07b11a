"""Bytes on the wire: parsers and framings without I/O, clock or randomness."""
