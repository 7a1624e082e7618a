"""One request's session on one database: statements, transactions, streams, and its end."""
