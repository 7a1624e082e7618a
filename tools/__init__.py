"""Programs of the Makefile; no part of the package."""
