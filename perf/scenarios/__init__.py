"""One module per question that the suite asks."""
