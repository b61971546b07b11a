"""The embedded trace store: SQLite, so that a newcomer sees traces without any other system.

One thread of the control process writes (`writer.StoreWriter`); anyone may read through `reader.TraceReader`.
It never imports `delivery`: what it needs of the spool is the Protocol `writer.FrameReader`.
"""
