"""The settings of an alias, and the connection information that they start from."""
