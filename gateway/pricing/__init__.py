"""What calls cost: prices worked out once per configuration, and arithmetic on a reply's usage. Pure."""
