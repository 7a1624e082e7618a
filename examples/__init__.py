"""One small application per framework, all on the functions of bank.py. See examples/README.md."""
