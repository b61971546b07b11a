"""State that the workers of one host share, and that outlives them."""
