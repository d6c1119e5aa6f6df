"""neural-tangents on a current jax: import it through `neural_tangents()`, never directly.

Version 0.6.5 names things that newer jax has removed. What is missing is added (never overwritten) before the import, and three of its
functions that call removed signatures are replaced afterwards. Needs the extra `ntk` and `requirements-nodeps.txt`; jax below 0.12.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.errors import InvalidInput, MissingExtra
from ...theory.validation import finite

_REMOVED_FROM_CORE = ("Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var")


@functools.cache
def neural_tangents() -> Any:
    """The module `neural_tangents`. Raises `MissingExtra` where it, jax or frozendict is absent."""
    for name in ("jax", "frozendict", "neural_tangents"):
        if importlib.util.find_spec(name) is None:
            raise MissingExtra(
                f"The neural-tangents bridge needs {name}, which is not installed.",
                "Install 'nonvacuous[ntk]', then neural-tangents with pip's --no-deps (requirements-nodeps.txt).",
            )
    _restore_names()
    if importlib.util.find_spec("tensorflow") is None and "neural_tangents.experimental" not in sys.modules:
        # this subpackage alone needs tensorflow
        sys.modules["neural_tangents.experimental"] = types.ModuleType("neural_tangents.experimental")
    import neural_tangents as module

    _replace_functions()
    return module


@dataclass(frozen=True)
class BridgedKernels:
    """Gram matrices (n, m), float64: covariance of the output at initialisation and tangent kernel, as neural-tangents computes them."""

    nngp: NDArray[np.float64]
    ntk: NDArray[np.float64]


def neural_tangents_kernels(
    kernel_fn: Callable[..., Any], x: ArrayLike, y: ArrayLike | None = None, *, batch_size: int = 0
) -> BridgedKernels:
    """Kernels of any architecture that neural-tangents knows, in float64.

    kernel_fn: the third of `stax.serial(...)`'s functions, whose network ends in one flat output. x (n, ...), y (m, ...): inputs as its layers
    expect them (images with channels last). batch_size: rows and columns at a time; it divides n and m; 0 for all at once.
    Its values at nearly equal inputs carry errors of 1e-9 to 1e-5 (`iw.gap_propagation`): use `fully_connected_kernels` where it applies.
    Raises `MissingExtra`, `InvalidInput`.
    """
    module = neural_tangents()
    left = _points("x", x)
    right = None if y is None else _points("y", y)
    if not callable(kernel_fn):
        raise InvalidInput(
            f"kernel_fn is a {type(kernel_fn).__name__}.", "Pass the third function of stax.serial(...)."
        )
    sizes = [len(left), *([] if right is None else [len(right)])]
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 0:
        raise InvalidInput(
            f"batch_size is {batch_size!r}.", "It is a whole number that divides the numbers of inputs, or 0."
        )
    if batch_size and any(size % batch_size for size in sizes):
        raise InvalidInput(f"batch_size {batch_size} does not divide {sizes}.", "neural-tangents needs equal batches.")
    with double_precision():
        import jax.numpy as jnp

        function = module.batch(kernel_fn, batch_size=batch_size) if batch_size else kernel_fn
        try:
            found = function(jnp.asarray(left), None if right is None else jnp.asarray(right), ("nngp", "ntk"))
        except (TypeError, ValueError, NotImplementedError) as error:
            raise InvalidInput(f"neural-tangents refused the inputs or the architecture: {error}") from error
        nngp, ntk = (np.asarray(value, dtype=np.float64) for value in (found.nngp, found.ntk))
    if nngp.ndim != 2 or not (np.isfinite(nngp).all() and np.isfinite(ntk).all()):
        raise InvalidInput(
            f"The kernels have shape {nngp.shape} or are not finite.", "End the network in a flat output."
        )
    return BridgedKernels(nngp, ntk)


def _points(name: str, value: ArrayLike) -> NDArray[np.float64]:
    array = finite(name, value)
    if array.ndim < 2 or not array.size:
        raise InvalidInput(f"{name} has shape {array.shape}.", "Pass inputs along the first axis.")
    return array


@contextmanager
def double_precision() -> Iterator[None]:
    """float64 in jax, inside the block only."""
    import jax

    with jax.enable_x64(True):
        yield


def _restore_names() -> None:
    import jax
    import jax.core
    from jax._src import config, core, source_info_util
    from jax._src import util as private_util
    from jax.interpreters import ad

    for name in _REMOVED_FROM_CORE:
        _add(jax.core, name, getattr(core, name))
    _add(jax.core, "DShapedArray", type("DShapedArray", (), {}))
    if "jax.util" not in sys.modules and importlib.util.find_spec("jax.util") is None:
        util = types.ModuleType("jax.util")
        util.safe_map, util.safe_zip = private_util.safe_map, private_util.safe_zip  # type: ignore[attr-defined]
        sys.modules["jax.util"] = util
        _add(jax, "util", util)
    _add(ad, "source_info_util", source_info_util)
    _add(ad, "config", jax.config if hasattr(jax.config, "jax_enable_checks") else config)
    _add(ad, "reducing_transposes", {})
    _add(ad, "zeros_like_p", core.Primitive("zeros_like"))
    _add(core.Primitive, "map_primitive", False)


def _add(owner: Any, name: str, value: Any) -> None:
    if not hasattr(owner, name):
        setattr(owner, name, value)


def _replace_functions() -> None:
    """The structured empirical kernel, the choice of its implementation, and the largest learning rate."""
    from neural_tangents._src import empirical

    empirical._get_primals_out_and_pullback = functools.partial(_primals_and_pullback, empirical)
    empirical._get_flops = _flops
    _accept_eigvals()


def _primals_and_pullback(
    empirical: Any, fn: Callable[..., Any], mode: Any, _j_rules: bool, _s_rules: bool, _fwd: bool | None, *primals: Any
) -> tuple[Any, Callable[..., Any]]:
    """Outputs of `fn` and the pullback that collects what the kernel's contraction needs, from public `linearize` and `make_jaxpr`."""
    import jax
    from jax.interpreters.ad import UndefinedPrimal
    from jax.tree_util import tree_flatten, tree_unflatten

    leaves, structure = tree_flatten(primals)

    def flat(*values: Any) -> Any:
        return fn(*tree_unflatten(structure, values))

    with jax.disable_jit():
        outputs, tangent_map = jax.linearize(flat, *leaves)
        closed = jax.make_jaxpr(tangent_map)(*leaves)

    def pullback(*cotangents: Any) -> Any:
        given, _ = tree_flatten(cotangents)
        found = empirical._backward_pass(
            closed.jaxpr,
            mode=mode,
            consts=closed.consts,
            primals_in=[UndefinedPrimal(variable.aval) for variable in closed.jaxpr.invars],
            cotangents_in=tuple(given),
            _j_rules=_j_rules,
            _s_rules=_s_rules,
            _fwd=_fwd,
        )
        return tree_unflatten(structure, found)

    return outputs, pullback


def _flops(f: Callable[..., Any], optimize: bool, *args: Any, **kwargs: Any) -> float:
    import jax

    lowered = jax.jit(f).lower(*args, **kwargs)
    analysis: Any = lowered.compile().cost_analysis() if optimize else lowered.cost_analysis()
    return float((analysis[0] if isinstance(analysis, list) else analysis)["flops"])


def _accept_eigvals() -> None:
    """`max_learning_rate` asks SciPy for one eigenvalue by a keyword that is now called `subset_by_index`."""
    import scipy as whole
    from neural_tangents._src import predict

    def eigvalsh(a: Any, *, eigvals: tuple[int, int] | None = None, **options: Any) -> Any:
        if eigvals is not None:
            options["subset_by_index"] = list(eigvals)
        return whole.linalg.eigvalsh(a, **options)

    predict.sp = types.SimpleNamespace(linalg=types.SimpleNamespace(eigvalsh=eigvalsh))
