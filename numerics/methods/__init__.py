"""Methods that put uncertainty on a user's own torch model. Listing them imports no framework."""

from ...theory.errors import UnknownKey
from .grammar import Implementation, Method, Predictive, implementation

METHODS: tuple[Method, ...] = (
    Method(
        name="laplace",
        title="Linearised Laplace approximation with the full generalised Gauss-Newton matrix",
        module="laplace",
        config="LaplaceConfig",
        theorems=("fs.lla_posterior", "fs.lla_function"),
        extra="torch",
    ),
)


def find_method(name: str) -> Method:
    """The entry of `METHODS` called `name`. Raises `UnknownKey`."""
    for method in METHODS:
        if method.name == name:
            return method
    raise UnknownKey(
        f"No method is called {name!r}.", f"Known methods: {', '.join(method.name for method in METHODS)}."
    )


__all__ = ["METHODS", "Implementation", "Method", "Predictive", "find_method", "implementation"]
