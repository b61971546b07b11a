"""An open AI gateway: one governed entry point between applications and every model provider."""

__version__ = "0.1.0"
