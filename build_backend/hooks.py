"""PEP 517 hooks: those of setuptools, which also ask for Go where the machine has none."""

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

from build_backend import toolchain

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = dict[str, str | list[str] | None] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """What setuptools needs, and a Go toolchain if none is on PATH."""
    return build_meta.get_requires_for_build_wheel(config_settings) + toolchain.requirements()


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    """As for a wheel: an editable install builds the same two extensions."""
    return build_meta.get_requires_for_build_editable(config_settings) + toolchain.requirements()
