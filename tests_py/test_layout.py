"""The rooms of the Python package: imports point one way, and files import in no circle.

Every import counts, also those for type checkers only and those inside functions.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import hypern

PACKAGE = Path(hypern.__file__).parent

# From the bottom up: the names below `hypern` that make up a room. A file may import from its own
# room and from those before it.
ROOMS = {
    "extension": {"_native"},
    "errors": {"_pep249", "_sqlstate", "errors"},
    "values": {"_event", "_literals", "_notice", "_range", "_result", "_status"},
    "config": {"config"},
    "sql": {"sql"},
    # The extension imports these by name.
    "rows": {"rows"},
    # The extension imports _awaiting and _standstill by these names.
    "session": {"session", "_awaiting"},
    "pool": {"pool"},
    "scope": {"scope", "_standstill"},
    "listening": {"listening"},
    "dbapi": {"dbapi"},
    "sqlalchemy": {"sqlalchemy"},
    "web": {"web"},
    "django": {"django"},
    "interface": {"auth", "database", "_hypern"},
    "middleware": {"middleware"},
    "app": {"app"},
    "testing": {"testing", "embedded"},
    # Whatever imports the package has these, and the package imports them first.
    "installed": {"_beside", "_libc"},
    "package": {"__init__"},
    "commands": {"doctor", "__main__"},
}
LEVELS = {name: level for level, names in enumerate(ROOMS.values()) for name in names}


def module_of(path: Path) -> str:
    """The module's name below `hypern`: "scope.identify", "scope" for its __init__."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


FILES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules below `hypern` that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, below = name.partition(".")
            if package == "hypern":
                # The longest part that is a module: the rest is a name in it.
                while below not in FILES and "." in below:
                    below = below.rpartition(".")[0]
                yield below if below in FILES or below in LEVELS else "__init__"


def graph() -> dict[str, set[str]]:
    return {
        module: set(imported(ast.parse(path.read_text(encoding="utf-8")))) - {module}
        for module, path in FILES.items()
    }


def upward(edges: Mapping[str, set[str]]) -> list[str]:
    """The imports that lead to a higher room."""
    return [
        f"{module} imports {target}"
        for module, targets in edges.items()
        for target in sorted(targets)
        if LEVELS[target.split(".")[0]] > LEVELS[module.split(".")[0]]
    ]


def circle(edges: Mapping[str, set[str]]) -> list[str]:
    """The files of one circle, in order; empty if there is none."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return path[path.index(module) :]
        if module in done:
            return []
        for target in sorted(edges.get(module, ())):
            if found := visit(target, [*path, module]):
                return found
        done.add(module)
        return []

    return next(filter(None, (visit(module, []) for module in edges)), [])


def test_every_file_belongs_to_a_room() -> None:
    assert {module.split(".")[0] for module in FILES} <= LEVELS.keys()


def test_imports_lead_to_lower_rooms_only() -> None:
    assert upward(graph()) == []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circle(graph()) == []


def test_an_upward_import_and_a_circle_are_noticed() -> None:
    assert upward({"config.files": {"errors", "scope.scope"}}) == [
        "config.files imports scope.scope"
    ]
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}}) == ["b", "c"]
    source = "from hypern import errors\ndef f():\n    from hypern.scope.identify import identify"
    assert set(imported(ast.parse(source))) == {"errors", "scope.identify"}
    assert len(graph()["database"]) > 5


def test_import_hypern_loads_no_framework_and_no_middleware() -> None:
    program = "import sys, hypern; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "hypern.scope.scope" in loaded
    for name in ("web", "middleware", "app", "testing", "embedded"):
        assert not {module for module in loaded if f"{module}.".startswith(f"hypern.{name}.")}
    assert not loaded & {"starlette", "django", "flask", "fastapi", "uvicorn", "pytest"}
