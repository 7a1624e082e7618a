"""The pytest plugin: `plugin` has its fixtures, the rest is what they put in the place of pools."""

from typing import Final

MARKER: Final = "hypern_commits"
