"""`python -m hypern doctor [url]`: whether this installation works, and reaches its database."""

from __future__ import annotations

import argparse
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m hypern")
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser(
        "doctor",
        help="check the installation, and the connection to a database",
        description="Checks the installation, and with a URL the connection to its database. "
        "Prints a line for each check, with what to do where something is wrong. Parameter values "
        "and passwords are never printed. The exit status is 0, or 1 if something does not work, "
        "with --strict also if there is a warning.",
    )
    doctor.add_argument(
        "url",
        nargs="?",
        help="postgresql:// URL or key=value pairs; default: the environment variable "
        "DATABASE_URL, which other users of the machine cannot read",
    )
    doctor.add_argument("--max-size", type=int, default=16, help="as you configure it (16)")
    doctor.add_argument("--workers", type=int, default=1, help="processes that use it (1)")
    doctor.add_argument("--reset", default="full", help="as you configure it (full)")
    doctor.add_argument("--strict", action="store_true", help="a warning fails, too")
    given = parser.parse_args(arguments)
    # Loaded here, so that `--help` works where the extension does not load.
    from hypern.doctor import Plan, examine

    plan = Plan(max_size=given.max_size, workers=given.workers, reset=given.reset)
    return examine(given.url, plan, strict=given.strict)


if __name__ == "__main__":
    sys.exit(main())
