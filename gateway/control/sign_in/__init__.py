"""Signing in to the control plane: passwords, tokens, one-time links, sessions, guessing made slow.

Nothing here serves HTTP; `control.auth` guards the paths, `control.operators` and the pages use this.
"""
