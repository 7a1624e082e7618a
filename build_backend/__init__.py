"""How hypern is built: the PEP 517 hooks, the Go toolchain and the two extensions."""
