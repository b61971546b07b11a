"""Which target answers a model name. Plans only: no call is made here."""
