"""The demo: a bank behind four worker processes, and a client that tries to make it lose money."""
