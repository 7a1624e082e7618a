"""`python bench`: the benchmark's command line."""

import sys
from pathlib import Path

# Run as a directory: its parent must be importable, and its modules only as bench.something.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

if __name__ == "__main__":
    from bench.cli import main

    sys.exit(main())
