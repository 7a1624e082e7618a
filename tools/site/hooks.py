"""Hooks of mkdocs: pages from files outside docs/, and tables made from the package.

A page may link to a file of the repository, as it does where it is read on the forge. The site gets
a page for each such file, and the link leads to that.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from hypern import __version__, _pep249, _sqlstate, errors

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# Pages that come with a part of the package: in the navigation where they are there.
PARTS = {
    "Write SQL": {"COPY": "copy.md", "LISTEN and NOTIFY": "listen.md"},
    "In an application": {"Replicas": "replicas.md", "Django's ORM on hypern": "django.md"},
    "How we know": {"Tests of others": "peers.md"},
}
_LINK = re.compile(r"(?<=\]\()([^)\s#]+)(#[^)\s]*)?(?=\))")
# `make test/peers` writes this page, which takes an hour.
NOT_YET = "# Tests of others\n\n`make test/peers` has not been run on this version.\n"
_LANGUAGES = {".py": "python", ".yml": "yaml", ".toml": "toml"}


def on_config(config: Any) -> Any:
    """Show the version in the head of the site, and complete the navigation."""
    config.site_name = f"hypern {__version__}"
    add_parts(config.nav)
    return config


def add_parts(nav: list[Any]) -> None:
    """Add the pages of `PARTS` that exist to their sections, which may be nested."""
    for entry in nav:
        for title, content in entry.items() if isinstance(entry, dict) else ():
            if isinstance(content, list):
                add_parts(content)
                pages = PARTS.get(title, {})
                content += [{name: page} for name, page in pages.items() if (DOCS / page).exists()]


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each file outside docs/ that a page links to, and so on from there."""
    if files.get_file_from_path("peers.md") is None:
        files.append(File.generated(config, "peers.md", content=NOT_YET))
    waiting = [(file.src_uri, file.content_string) for file in files.documentation_pages()]
    done: set[str] = set()
    while waiting:
        uri, text = waiting.pop()
        for path in outside(uri, text):
            if path not in done:
                done.add(path)
                page = as_page(path)
                files.append(File.generated(config, place(path), content=page))
                waiting.append((place(path), page))
    files.append(File.generated(config, "llms-full.txt", content=everything(files)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links to files outside docs/ to their pages, and fill in the tables."""
    here = posixpath.dirname(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        path = resolved(page.file.src_uri, match[1])
        if path is None:
            return match[0]
        return posixpath.relpath(place(path), here or ".") + (match[2] or "")

    markdown = _LINK.sub(link, markdown)
    return markdown.replace("<!-- table: sqlstates -->", sqlstates())


def outside(uri: str, text: str) -> list[str]:
    """The files outside docs/ that a page links to, from the repository's root."""
    found = (resolved(uri, match[1]) for match in _LINK.finditer(text))
    return [path for path in found if path is not None]


def resolved(uri: str, target: str) -> str | None:
    """The path from the root of what a page links to; None if it is in docs/ or no file."""
    if "://" in target or target.startswith("mailto:"):
        return None
    path = os.path.normpath(DOCS / posixpath.dirname(uri) / target)
    # What was made of a file outside lies in docs/project, and its links start at the root.
    if uri.startswith("project/"):
        path = os.path.normpath(ROOT / posixpath.dirname(uri.removeprefix("project/")) / target)
        if Path(path).is_relative_to(DOCS):
            return None
    if not Path(path).is_relative_to(ROOT) or Path(path).is_relative_to(DOCS):
        return None
    return Path(path).relative_to(ROOT).as_posix() if Path(path).is_file() else None


def place(path: str) -> str:
    """The page of a file outside docs/."""
    return f"project/{path if path.endswith('.md') else path + '.md'}"


def as_page(path: str) -> str:
    """A file as a page: Markdown as it is, but for its links into docs/, other files as a block."""
    text = (ROOT / path).read_text("utf-8")
    if not path.endswith(".md"):
        language = _LANGUAGES.get(Path(path).suffix, "text")
        return f"# {path}\n\n```{language}\n{text}```\n"
    folder = posixpath.dirname(path)

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[1]))
        if not target.startswith("docs/"):
            return match[0]
        inside = posixpath.relpath(
            target.removeprefix("docs/"), posixpath.join("project", folder) if folder else "project"
        )
        return inside + (match[2] or "")

    return _LINK.sub(link, text)


def sqlstates() -> str:
    """A table of every class of a SQLSTATE, by code."""
    classes = [cls for cls in vars(_sqlstate).values() if getattr(cls, "sqlstate", None)]
    rows = [
        f"| `{cls.sqlstate}` | `{cls.__name__}` | `{base(cls).__name__}` |"
        for cls in sorted(classes, key=lambda cls: cls.sqlstate)
    ]
    return "\n".join(["| SQLSTATE | class | under |", "|---|---|---|", *rows])


def base(cls: type[errors.Error]) -> type[errors.Error]:
    """The PEP 249 class that a class belongs to."""
    return next(c for c in cls.__mro__[1:] if c.__name__ in vars(_pep249))


def everything(files: Files) -> str:
    """The text of all pages but the tables of evidence, for a reader that is a program."""
    left_out = ("project/", "reliability", "web-servers", "performance", "spec/", "architecture")
    texts = [
        f"<!-- {file.src_uri} -->\n{file.content_string}"
        for file in sorted(files.documentation_pages(), key=lambda file: file.src_uri)
        if not file.src_uri.startswith(left_out)
    ]
    return "\n\n".join(texts)
