"""What a table of finite widths is asked for, checked before any training: the setup, its limits, and the blocks of networks to measure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite, sample_size
from ..kernels.architectures.pooling import convolutional_kernels
from ..kernels.fully_connected import fully_connected_kernels, layer_scales
from .ensemble import ensemble_covariance
from .gram import GramBlocks, kernel_blocks, refuse_coarse
from .posterior import posterior
from .step_sizes import steps_of_modes

MEASURED = ("rnd", "brnd_shared", "brnd_separate", "ensemble", "gap")
PARAMETRISATIONS = ("ntk", "standard", "mean_field")
BLOCK = 500  # networks measured, and stored, at a time
GROUP = 20  # networks to one variance of an ensemble, and to one ratio of gaps


@dataclass(frozen=True, eq=False)
class Setup:
    train: np.ndarray
    test: np.ndarray
    labels: np.ndarray | None
    activation: str
    depth: int
    weight_scale: tuple[float, ...]
    bias_scale: tuple[float, ...]
    parametrisation: str
    filter_size: tuple[int, int] | None
    padding: str


def checked_setup(
    train: Any,
    test: Any,
    labels: Any,
    activation: str,
    depth: int,
    weight_scale: Any,
    bias_scale: Any,
    parametrisation: str,
    filter_size: tuple[int, int] | None,
    padding: str,
) -> Setup:
    for name, value in (("train", train), ("test", test), ("labels", labels)):
        refuse_coarse(name, value)
    ndim = 2 if filter_size is None else 4
    x, tests = finite("train", train, ndim=ndim), finite("test", test, ndim=ndim)
    if not len(x) or not len(tests) or x.shape[1:] != tests.shape[1:]:
        raise InvalidInput(f"train has shape {x.shape} and test {tests.shape}.", "Both need rows, of one shape.")
    y = None if labels is None else finite("labels", labels, ndim=1)
    if y is not None and len(y) != len(x):
        raise InvalidInput(f"There are {len(y)} labels for {len(x)} training inputs.")
    if activation not in ("relu", "erf"):
        raise InvalidInput(f"activation is {activation!r}.", "Finite networks are trained with 'relu' or 'erf'.")
    if parametrisation not in PARAMETRISATIONS:
        raise InvalidInput(f"parametrisation is {parametrisation!r}.", f"Use one of {', '.join(PARAMETRISATIONS)}.")
    layers = sample_size("depth", depth)
    if padding not in ("circular", "zero"):
        raise InvalidInput(f"padding is {padding!r}.", "Use 'circular' or 'zero'.")
    if filter_size is not None and layers != 1:
        raise InvalidInput(f"depth is {layers}, with a filter.", "Convolutional networks here have one convolution.")
    sw, sb = layer_scales("weight_scale", weight_scale, layers), layer_scales("bias_scale", bias_scale, layers)
    return Setup(x, tests, y, activation, layers, sw, sb, parametrisation, filter_size, padding)


def planned_blocks(
    setup: Setup, widths: Any, heads: Any, quantities: Any, networks: Any
) -> tuple[tuple[str, ...], list[tuple[str, int, int, int, int]]]:
    for name, several in (("widths", widths), ("heads", heads), ("quantities", quantities)):
        if isinstance(several, str) or not isinstance(several, Iterable):
            raise InvalidInput(f"{name} is {several!r}.", "Pass a sequence, of one entry perhaps.")
    sizes = sorted({sample_size("widths", n) for n in widths})
    counts = sorted({sample_size("heads", k) for k in heads})
    wanted = tuple(dict.fromkeys(quantities))
    if not sizes or not counts or not wanted or any(q not in MEASURED for q in wanted):
        raise InvalidInput(f"quantities is {wanted!r}.", f"Name some of {', '.join(MEASURED)}, widths and heads.")
    if isinstance(networks, Mapping) and (unknown := [n for n in sizes if n not in networks]):
        raise InvalidInput(f"networks has no entry for width {unknown[0]}.", "Give a number for every width.")
    if setup.labels is None and any(q in ("ensemble", "gap") for q in wanted):
        raise InvalidInput("'ensemble' and 'gap' need labels.", "Pass labels (N,).")
    if setup.parametrisation == "mean_field" and any(q not in ("ensemble", "gap") for q in wanted):
        raise InvalidInput(
            "Distillation is the same in the mean-field parametrisation: target and predictor shrink together.",
            "Ask for 'ensemble' or 'gap', which have labels.",
        )
    if setup.parametrisation == "standard" and any(q.startswith("brnd") for q in wanted):
        raise InvalidInput("A tangent target belongs to the NTK parametrisation.", "Use parametrisation='ntk'.")
    found = []
    for width in sizes:
        total = sample_size("networks", networks[width] if isinstance(networks, Mapping) else networks)
        if total < 5 * GROUP:
            raise InvalidInput(f"{total} networks give no interval.", f"Take at least {5 * GROUP}.")
        for quantity in wanted:
            alone = quantity in ("ensemble", "gap")
            most = 1 if alone else counts[-1]
            if len(setup.train) * most > width * (int(np.prod(setup.train.shape[1:])) + most):
                raise InvalidInput(f"Width {width} has fewer parameters than {most} heads have labels.", "Go wider.")
            size = total - total % GROUP if alone else total
            for k in (1,) if alone else counts:
                for part, first in enumerate(range(0, size, BLOCK)):
                    found.append((quantity, k, width, part, min(BLOCK, size - first)))
    return wanted, found


def limit_kernels(setup: Setup) -> tuple[GramBlocks, GramBlocks]:
    """K and T of the limit over (test, train), in the NTK parametrisation."""
    points = np.concatenate([setup.test, setup.train])
    architecture: dict[str, Any] = {
        "depth": setup.depth,
        "activation": setup.activation,
        "weight_scale": setup.weight_scale,
        "bias_scale": setup.bias_scale,
    }
    if setup.filter_size is None:
        joint: Any = fully_connected_kernels(points, **architecture)
    else:
        options: dict[str, Any] = {"filter_size": setup.filter_size, "padding": setup.padding, "readout": "average"}
        joint = convolutional_kernels(points, **architecture, **options)
    return kernel_blocks(joint, tests=len(setup.test))


def limits_of(setup: Setup, wanted: Sequence[str], kernels: tuple[GramBlocks, GramBlocks]) -> dict[str, np.ndarray]:
    """Raises SingularGram where the tangent kernel of the training inputs has no inverse."""
    k, t = kernels
    ensemble = np.diag(ensemble_covariance(k, t)).copy()
    found: dict[str, np.ndarray] = {}
    for quantity in wanted:
        if quantity.startswith("brnd"):
            found[quantity] = np.diag(posterior(t, np.zeros(len(setup.train))).covariance).copy()
        elif quantity == "ensemble":
            found |= dict.fromkeys(("ensemble", "ensemble_zeros", "label_dependence"), ensemble)
        elif quantity == "rnd":
            found[quantity] = ensemble
    for values in found.values():
        if not (values > 1e-9 * np.abs(np.diag(k.test))).all():
            raise InvalidInput("A test input has no variance in the limit: it is a training input.", "Remove it.")
    return found


def require_few_steps(
    setup: Setup,
    wanted: Sequence[str],
    kernels: tuple[GramBlocks, GramBlocks],
    *,
    step_fraction: float,
    relative_residual: float,
    max_steps: int,
) -> None:
    """Refuse inputs on which descent would need more than `max_steps` steps, judged in the limit, before any training.

    There a residual that starts with covariance C has the mean square tr((1 - eta T)^(2k) C) after k steps: where that is still above the
    tolerance, some of the networks are. C is 2K for distillation, T for tangent targets, K + y y^T for labels and K for zeros.
    Networks in the other parametrisations leave this kernel, and are not judged.
    """
    if setup.parametrisation != "ntk":
        return
    k, t = (kernel.train for kernel in kernels)
    values, modes = np.linalg.eigh(t)
    step = step_fraction * 2 / (values[-1] + values[0])
    outer = np.zeros_like(k) if setup.labels is None else np.outer(setup.labels, setup.labels)
    starts = {"rnd": (k,), "brnd_shared": (t,), "brnd_separate": (t,), "gap": (k + outer,), "ensemble": (k, k + outer)}
    for quantity in wanted:
        steps = max(
            steps_of_modes(
                values,
                np.einsum("in,ij,jn->n", modes, start, modes),
                step_size_sum_loss=step,
                relative_residual=relative_residual,
            )
            for start in starts[quantity]
        )
        if steps > max_steps:
            count = "more than 1e18" if steps == math.inf else f"about {steps:.2g}"
            raise InvalidInput(
                f"Descent to {relative_residual:g} of the residual takes {count} steps for {quantity!r}, not {max_steps}: the tangent kernel of "
                f"the training inputs has the condition number {values[-1] / values[0]:.1e}.",
                "Raise max_steps or relative_residual, or move training inputs that are nearly equal apart.",
            )
