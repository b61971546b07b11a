"""What upstreams want: addresses, credentials, headers. Pure.

A vendor is one row of `registry.py`; a vendor that needs more than a row gets a file.
"""
