"""The control plane's HTTP side: health, traces, telemetry, configuration, each in a room of its own.

`api.build_app` joins the rooms; `app` gives them their services. It also watches the configuration on disk.
"""
