"""Benchmarks of hypern against its peers and against libpq; run them with `python bench`."""
