"""Theorems about PAC-Bayes, large deviations, implicit bias and infinite width as objects to read, compute, prove, test."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

try:
    __version__ = version("nonvacuous")
except PackageNotFoundError:  # a checkout on sys.path that was never installed
    __version__ = "0.0.0+checkout"

# `theory/`, `numerics/` and `proofs/` lie beside this folder in a checkout and inside it in a wheel. Without this line a
# clone on sys.path shadows an installed wheel with a package that lacks its three subpackages.
_root = Path(__file__).resolve().parent.parent
if (_root / "pyproject.toml").is_file() and (_root / "theory" / "__init__.py").is_file():
    __path__.append(str(_root))
