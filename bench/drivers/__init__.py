"""One module per driver, each using its library the way that library's documentation advises."""
