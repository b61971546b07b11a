"""Who calls: from a token to a `Caller`. Makes no call and keeps no token, only hashes."""
