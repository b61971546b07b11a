"""A day of trouble in seconds: real routing over providers that fail and recover, on a clock of its own."""
