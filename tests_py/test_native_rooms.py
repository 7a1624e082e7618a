"""The rooms of the C extension: who may use whom, by includes and by calls.

A file is named by its path without the ending: a header and its source are one. A file depends on
another where it includes its header, or where its object file needs a symbol of the other's.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from build_backend.extensions import c_flags

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "python" / "native"

# Each room, with the rooms that it may use besides itself. `base` is the files beside the rooms.
ROOMS: dict[str, set[str]] = {
    "base": set(),
    "core": {"base"},
    "values": {"base"},
    "io": {"base", "core"},
    "session": {"base", "core", "values"},
    "engine": {"base", "core", "values", "io", "session"},
    "drive": {"base", "core", "values", "io", "session", "engine"},
    "awaited": {"base", "core", "values", "io", "session", "engine", "drive"},
    "api": {"base", "core", "values", "io", "session", "engine", "drive", "awaited"},
}

# Files that use each other, with the reason. Whatever else is a cycle fails.
PAIRS: dict[frozenset[str], str] = {}

Graph = Mapping[str, Set[str]]


def room_of(file: str) -> str:
    room, slash, _ = file.partition("/")
    return room if slash else "base"


def name_of(path: Path) -> str:
    return path.relative_to(SOURCES).with_suffix("").as_posix()


def includes() -> Iterator[tuple[str, str]]:
    """(file, file whose header it includes)."""
    for path in sorted(SOURCES.rglob("*.[ch]")):
        for header in re.findall(r'^#include "(.+)\.h"', path.read_text(encoding="utf-8"), re.M):
            if (SOURCES / f"{header}.h").exists() and header != name_of(path):
                yield name_of(path), header


def symbols_of(source: Path, directory: Path) -> tuple[set[str], set[str]]:
    """What an object file of this source defines, and what it needs."""
    target = directory / f"{name_of(source).replace('/', '-')}.o"
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    command = [*compiler, *c_flags(), "-O0", "-fPIC", "-c", "-o", str(target), str(source)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    listing = subprocess.run(
        ["nm", "-P", str(target)], check=True, capture_output=True, text=True
    ).stdout
    defined: set[str] = set()
    needed: set[str] = set()
    for line in listing.splitlines():
        symbol, kind = line.split()[:2]
        if kind == "U":
            needed.add(symbol)
        elif kind.isupper():
            defined.add(symbol)
    return defined, needed


def calls(directory: Path) -> Iterator[tuple[str, str]]:
    """(file, file that defines what it needs)."""
    sources = sorted(SOURCES.rglob("*.c"))
    with ThreadPoolExecutor(2) as pool:
        symbols = list(pool.map(lambda source: symbols_of(source, directory), sources))
    owner = {
        symbol: name_of(source)
        for source, (defined, _) in zip(sources, symbols, strict=True)
        for symbol in defined
    }
    for source, (_, needed) in zip(sources, symbols, strict=True):
        for symbol in needed & owner.keys():
            yield name_of(source), owner[symbol]


def graph_of(edges: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    graph: defaultdict[str, set[str]] = defaultdict(set)
    for user, used in edges:
        graph[user].add(used)
    return dict(graph)


def circles(graph: Graph) -> list[list[str]]:
    """The sets of nodes that can reach each other, of two or more."""
    reach = {node: reachable(graph, node) for node in graph}
    found: list[list[str]] = []
    seen: set[str] = set()
    for node in sorted(graph):
        circle = {other for other in reach[node] if node in reach.get(other, ())}
        if len(circle) > 1 and node not in seen:
            found.append(sorted(circle))
            seen |= circle
    return found


def reachable(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    left = [start]
    while left:
        for node in graph.get(left.pop(), ()):
            if node not in found:
                found.add(node)
                left.append(node)
    return found


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Every use of one file by another."""
    return {*includes(), *calls(tmp_path_factory.mktemp("objects"))}


def test_circles_are_found() -> None:
    edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("e", "d"), ("f", "a")]
    assert circles(graph_of(edges)) == [["a", "b", "c"], ["d", "e"]]


def test_calls_are_seen_as_includes_are(edges: set[tuple[str, str]]) -> None:
    assert ("api/session", "api/statement") in edges - set(includes())  # declared in kinds.h
    assert ("engine/engine", "session/target") in edges
    assert len(edges) > 200


def test_every_file_is_in_a_room() -> None:
    rooms = {room_of(name_of(path)) for path in SOURCES.rglob("*.[ch]")}
    assert rooms == ROOMS.keys()


def test_no_room_uses_a_higher_one(edges: set[tuple[str, str]]) -> None:
    assert circles(ROOMS) == []
    wrong = [
        f"{user} uses {used}"
        for user, used in sorted(edges)
        if room_of(user) != room_of(used) and room_of(used) not in ROOMS[room_of(user)]
    ]
    assert wrong == []


def test_no_file_is_in_a_circle_but_for_declared_pairs(edges: set[tuple[str, str]]) -> None:
    declared = {(a, b) for pair in PAIRS for a in pair for b in pair}
    assert circles(graph_of(edges - declared)) == []
    for pair, reason in PAIRS.items():
        assert len(pair) == 2
        assert reason
        assert circles(graph_of(edges & declared)), f"{sorted(pair)} use each other no longer"


def test_python_types_are_made_in_one_room() -> None:
    """But for one: a reactor is what its event loop calls."""
    makers = {
        name_of(path)
        for path in SOURCES.rglob("*.c")
        if re.search(r"PyType_From\w*Spec", path.read_text(encoding="utf-8"))
    }
    others = {maker for maker in makers if room_of(maker) != "api"}
    assert others == {"awaited/reactor"}
