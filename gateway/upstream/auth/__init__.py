"""Signing in to providers that want more than a key."""
