"""What the law of the linearised network is held to: populations of real networks of growing width, their variance by quadrature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import beta

from ....numerics.claims import Ladder
from ....numerics.implicit_bias.linearised import linearised_law
from ....numerics.kernels.fully_connected import fully_connected_kernels
from ....numerics.store import Rows
from ....numerics.wide_networks.ensemble import ensemble_covariance
from ....numerics.wide_networks.gram import gram_blocks
from ....theory.activations import Quadrature
from ....theory.errors import InvalidInput
from ....theory.validation import finite
from ...result import Run


@dataclass(frozen=True, eq=False)
class WideSetting:
    """Inputs (N, d) and (S, d), the targets' distance from the network's first outputs (N,), columns R and scale c of the factor's entries."""

    train: Float[np.ndarray, "train inputs"]
    test: Float[np.ndarray, "test inputs"]
    shifts: Float[np.ndarray, " train"]
    rank: int
    scale: float

    def __post_init__(self) -> None:
        x, z = finite("train", self.train, ndim=2), finite("test", self.test, ndim=2)
        if x.shape[1] != z.shape[1] or finite("shifts", self.shifts, ndim=1).shape != x.shape[:1]:
            raise InvalidInput(
                f"train has shape {x.shape}, test {z.shape}, shifts {self.shifts.shape}.",
                "Pass inputs of one size and one shift for each training input.",
            )


@dataclass(frozen=True, eq=False)
class Start:
    """What is known of a network before training: Jacobian (S + N, k), factor (k, R), first outputs (S + N,), targets (N,)."""

    jacobian: np.ndarray
    factor: np.ndarray
    outputs: np.ndarray
    targets: np.ndarray


Variance = Callable[[Start], np.ndarray]  # of the trained outputs at the test inputs, as predicted from the start


def variance(start: Start) -> np.ndarray:
    """Of the shipped law."""
    tests = len(start.outputs) - len(start.targets)
    return linearised_law(
        start.jacobian[tests:], start.outputs[tests:], start.targets,
        test_jacobian=start.jacobian[:tests], test_outputs=start.outputs[:tests], factor=start.factor,
    ).variance  # fmt: skip


def prior_variance(start: Start) -> np.ndarray:
    """Without the projection: K(x, x)."""
    tests = len(start.outputs) - len(start.targets)
    return np.asarray(np.sum((start.jacobian[:tests] @ start.factor) ** 2, axis=1))


def posterior_variance(start: Start) -> np.ndarray:
    """Of the Gaussian process with the tangent kernel, scaled to K's trace, conditioned without noise: K itself has rank R and would leave none."""
    tests = len(start.outputs) - len(start.targets)
    x, z = start.jacobian[tests:], start.jacobian[:tests]
    size = np.sum((start.jacobian @ start.factor) ** 2) / np.sum(start.jacobian**2)
    return np.asarray(size * np.sum((z - z @ np.linalg.pinv(x) @ x) ** 2, axis=1))


def ensemble_variance(s: WideSetting) -> Variance:
    """The law over random starts, K the NNGP kernel of this architecture, scaled to the trace that K has at all points."""
    tests, points = len(s.test), np.concatenate([s.test, s.train])
    nngp = fully_connected_kernels(points, depth=1, activation=Quadrature("tanh"), weight_scale=1.0, bias_scale=(1.0, 0.0)).nngp  # fmt: skip

    def predicted(start: Start) -> np.ndarray:
        theta = start.jacobian @ start.jacobian.T
        k = np.sum((start.jacobian @ start.factor) ** 2) / np.trace(nngp) * nngp
        blocks = (gram_blocks(name, m[:tests, :tests], m[:tests, tests:], m[tests:, tests:]) for name, m in (("K", k), ("T", theta)))  # fmt: skip
        return np.asarray(np.diag(ensemble_covariance(*blocks)))

    return predicted


def train(s: WideSetting, run: Run, *, scale: float | None = None, power: float = 0.0) -> dict[str, Any]:
    """Networks of one width, trained until the miss and the deviation at the training inputs are below 1e-4 of their start.

    For wrong variants: another scale of the factor, trained for 20 steps; shifts that grow like a power of the width.
    """
    import torch

    from ....numerics.training.variational_width import moments, train_wide_laws, wide_laws

    tests, width = len(s.test), run.block["width"]
    test, known = (torch.from_numpy(points).to(run.device) for points in (s.test, s.train))
    size = s.scale if scale is None else scale
    laws, start = wide_laws(
        test, known, width=width, members=run.block["members"], rank=s.rank, scale=size, seed=run.seed
    )
    values = torch.linalg.eigvalsh((start.jacobian @ start.jacobian.mT)[:, tests:, tests:])
    targets = start.outputs[:, tests:] + torch.from_numpy(s.shifts).to(run.device) * width**power
    plain = scale is None and not power
    step = (1.8 if plain else 0.5) / (values[:, 0] + values[:, -1])
    trained, steps = train_wide_laws(
        laws, targets, step, tolerance=1e-4, max_steps=60 if plain else 20, exactly=not plain
    )
    before, after = moments(laws)[1], moments(trained)[1]
    columns = {
        "variance": after[:, :tests], "left": after[:, tests:].amax(1) / before.amax(1), "condition": values[:, -1] / values[:, 0],
        "jacobian": start.jacobian.flatten(1), "factor": start.factor.flatten(1), "outputs": start.outputs, "targets": targets,
    }  # fmt: skip
    return {name: value.cpu().numpy() for name, value in columns.items()} | {"steps": np.full(len(after), steps)}


def starts(s: WideSetting, rows: Rows) -> list[Start]:
    count = len(s.test) + len(s.train)
    jacobians = rows["jacobian"].reshape(len(rows["outputs"]), count, -1)
    factors = rows["factor"].reshape(len(jacobians), -1, s.rank)
    return [Start(*parts) for parts in zip(jacobians, factors, rows["outputs"], rows["targets"], strict=True)]


def relative_errors(s: WideSetting, predicted: Variance, rows: Rows) -> np.ndarray:
    """Of each network: summed distance of measured from predicted variances over the larger of the two sums."""
    expected = np.stack([predicted(start) for start in starts(s, rows)])
    sums = np.maximum(rows["variance"].sum(axis=1), expected.sum(axis=1))
    return np.asarray(np.abs(rows["variance"] - expected).sum(axis=1) / sums)


def median_error(values: np.ndarray) -> tuple[float, float]:
    """The sample median and its standard error: the bootstrap's with infinitely many resamples (Maritz and Jarrett 1978)."""
    ordered, n = np.sort(values), len(values)
    share = np.diff(beta.cdf(np.arange(n + 1) / n, (n + 1) / 2, (n + 1) / 2))
    mean = float(share @ ordered)
    return float(np.median(ordered)), float(np.sqrt(share @ (ordered - mean) ** 2))


def compare(s: WideSetting, predicted: Variance, rows: Rows) -> Ladder:
    """The median over the networks of each width of the relative error of the predictive variance."""
    errors, widths = relative_errors(s, predicted, rows), np.unique(rows["width"])
    found = np.array([median_error(errors[rows["width"] == width]) for width in widths])
    return Ladder(widths.astype(float), found[:, 0], found[:, 1])


LARGE_SCALE = partial(train, scale=0.5)
FAR_TARGETS = partial(train, power=0.75)
