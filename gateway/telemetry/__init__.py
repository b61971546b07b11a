"""What is measured of a call, and how it leaves the worker: the only package that knows attribute names.

A call is noted in a `CallTrace` while it runs, turned into OTLP bytes after the reply was sent, and handed to
the control process in frames. Nothing here makes a request wait.
"""
