"""What clients ask: reading calls, reading replies, wording errors, in the dialect of each endpoint.

Pure: bytes in, bytes out.
"""
