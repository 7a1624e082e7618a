"""The extensions of the package; all else is in pyproject.toml."""

from setuptools import setup

from build_backend.extensions import BuildExt, core, native

setup(ext_modules=[native(), core()], cmdclass={"build_ext": BuildExt})
