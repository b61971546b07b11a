"""How much callers may have: rate limits and budgets, from rules to refusals."""
