"""LISTEN: one connection per process and alias, shared by all listeners."""
