"""Whether the distribution `hypern`, another project, is installed beside hypern-database.

Both install a package named `hypern`, so each overwrites files of the other. This looks at the
names in the directories where packages are, since it costs every import of the package: 0.5 ms,
where importlib.metadata takes tens of milliseconds.
"""

from __future__ import annotations

import os
import sys
import warnings

REMEDY = (
    "Both install a package named hypern, and the one installed last has replaced files of the "
    "other. Keep one of them: pip uninstall hypern hypern-database, then pip install the one you "
    "want (hypern-database for the package hypern.database)."
)
_BEFORE, _AFTER = "hypern-", ".dist-info"  # the version is in between


def others() -> list[tuple[str, str]]:
    """The directories that have the other distribution, each with its name and version."""
    places = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
    places += [path for path in sys.path if path.endswith("-packages") and path not in places]
    found: list[tuple[str, str]] = []
    for place in places:
        try:
            names = os.listdir(place)
        except OSError:  # sys.path may name what is not there
            continue
        found += [
            (place, f"hypern {name[len(_BEFORE) : -len(_AFTER)]}")
            for name in names
            if name.startswith(_BEFORE) and name.endswith(_AFTER)
        ]
    return found


def warn() -> None:
    """Warn, naming both."""
    for place, other in others():
        warnings.warn(
            f"hypern-database is imported, and the other project {other} is installed in {place}. "
            f"{REMEDY}",
            RuntimeWarning,
            stacklevel=3,
        )
