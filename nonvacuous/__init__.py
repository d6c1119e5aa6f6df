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

# Public names are resolved on first use: `nonvacuous list` must not import torch, and `import nonvacuous` stays fast.
PUBLIC_NAMES = {
    "bounds": ("nonvacuous.bounds", None),
    "certify": ("nonvacuous.numerics.certify", "certify"),
    "diagnose": ("nonvacuous.numerics.diagnosis", "diagnose"),
    "rates": ("nonvacuous.rates", None),
    "posteriors": ("nonvacuous.posteriors", None),
    "verify": ("nonvacuous.api", "verify"),
    "show": ("nonvacuous.showing", "show"),
    "cite": ("nonvacuous.citations", "cite"),
    "methods": ("nonvacuous.numerics.methods", None),
    "kernels": ("nonvacuous.numerics.kernels", None),
    "wide_networks": ("nonvacuous.numerics.wide_networks", None),
    "kernel_regression": ("nonvacuous.kernel_regression", None),
    "implicit_bias": ("nonvacuous.implicit_bias", None),
    "metrics": ("nonvacuous.numerics.metrics", None),
    "empirical_ntk": ("nonvacuous.numerics.empirical_ntk", "empirical_ntk"),
    "catalogue": ("nonvacuous.proofs.catalogue", "CATALOGUE"),
}


def __getattr__(name: str) -> object:
    if name not in PUBLIC_NAMES:
        raise AttributeError(f"module 'nonvacuous' has no attribute {name!r}; public names: {', '.join(PUBLIC_NAMES)}")
    from importlib import import_module

    module, attribute = PUBLIC_NAMES[name]
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        from nonvacuous.theory.errors import MissingExtra

        raise MissingExtra(
            f"nonvacuous.{name} needs {error.name}, which is not installed.",
            "Install CPU torch first, then 'nonvacuous[torch]'.",
        ) from error
    return found if attribute is None else getattr(found, attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC_NAMES])
