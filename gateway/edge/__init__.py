"""The data plane's HTTP surface: ASGI in, the pipeline's `Client` out.

With `control` the only importer of Starlette.
"""
