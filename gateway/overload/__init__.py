"""When there is more work than a worker can do: what it refuses, and in whose favour."""
