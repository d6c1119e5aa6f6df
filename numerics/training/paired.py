"""Nonlinear training and its exact linearisation from the same draws: what finite width changes, without the noise of the draw.

Every function takes the number of networks and a seed, works through them in chunks that fit in memory (a chunk depends on the sizes only,
so a seed means the same everywhere), and returns one row for each network or group. S test inputs, K outputs ("heads"), averaged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ...theory.errors import InvalidInput
from ...theory.validation import sample_size
from ..networks.fully_connected import Parameters, forward, initialise
from ..randomness import sub_seed
from .linearised import solve_kernel
from .pooled import Descent, Problem, features, read, tangent_kernel, train_both
from .readout_covariance import covariance_of_readout, covariance_of_start, left_over, per_head, tangent_target

Directions = Literal["shared", "separate"]
_ENTRIES = 1 << 22  # of the largest tensor of a chunk: 32 MiB


@dataclass(frozen=True)
class PairedErrors:
    """Rows (R, S): expected squared error of the linearised training, and the nonlinear one less that of the linearisation, same draw."""

    linearised: Tensor
    correction: Tensor | None


def distillation(
    problem: Problem,
    *,
    members: int,
    seed: int,
    device: str = "cpu",
    descent: Descent | None = None,
    centred: bool = False,
) -> PairedErrors:
    """Predictors u trained on frozen targets g: squared errors (u - g)^2, mean over the heads; of u - u0 for `centred` predictors.

    `linearised` is the expectation given the hidden layers and, for one hidden layer, the sizes of the predictor's readout weights:
    the tangent kernel depends neither on the signs of a unit's weights to all heads, on the readout's bias, nor on g. `descent` None
    trains nothing (no `correction`).
    """
    found = []
    for start, count in chunks(problem, members):
        u, g = (
            initialise(problem.network, count, seed=sub_seed(seed, start, name), device=device)
            for name in ("predictor", "target")
        )
        frozen = forward(problem.network, g, problem.points)
        prior = per_head(covariance_of_readout(problem, features(problem, frozen)), problem.network.outputs)
        found.append(_errors(problem, u, read(problem, frozen), prior, descent, centred=centred))
    return _joined(found)


def bayesian_distillation(
    problem: Problem,
    *,
    members: int,
    seed: int,
    directions: Directions,
    device: str = "cpu",
    descent: Descent | None = None,
    zeroed: bool = True,
) -> PairedErrors:
    """The same for targets J(x; theta0) psi, psi a Gaussian direction without its last layer: one for all heads, or one for each.

    `linearised` is the expectation over psi and over what `distillation` averages of the predictor. `zeroed` False keeps psi's last
    layer, a mistake.
    """
    if directions not in ("shared", "separate"):
        raise InvalidInput(f"directions is {directions!r}.", "Use 'shared' or 'separate'.")
    found = []
    heads = problem.network.outputs
    for start, count in chunks(problem, members):
        theta = initialise(problem.network, count, seed=sub_seed(seed, start, "theta"), device=device)
        prior = tangent_kernel(problem, theta)
        kernel = prior
        if zeroed:
            prior = prior - tangent_kernel(problem, theta, trained="readout")
        if directions == "separate":
            same = torch.eye(heads, dtype=prior.dtype, device=prior.device).repeat(problem.inputs, problem.inputs)
            prior = prior * same
        target = None
        if descent is not None:
            draws = [
                initialise(problem.network, count, seed=sub_seed(seed, start, "psi", k), device=device)
                for k in range(heads if directions == "separate" else 1)
            ]
            products = [tangent_target(problem, theta, psi, zeroed=zeroed) for psi in draws]
            target = products[0] if len(products) == 1 else torch.stack([t[:, :, k] for k, t in enumerate(products)], 2)
        found.append(_errors(problem, theta, target, prior, descent, kernel=kernel))
    return _joined(found)


def ensemble_variances(
    problem: Problem,
    labels: Tensor,
    *,
    members: int,
    group: int,
    seed: int,
    device: str = "cpu",
    descent: Descent | None = None,
) -> tuple[Tensor, Tensor]:
    """Variances over groups of `group` networks of one output trained on labels (L, N), from the same starts for every row of labels.

    Returns the linearised variance (groups, L, S) and the nonlinear one less it. Raises InvalidInput unless `group` divides `members`.
    """
    if group < 2 or members % group or problem.network.outputs != 1:
        raise InvalidInput(
            f"{members} members of {problem.network.outputs} outputs cannot be cut into groups of {group}.",
            "Use one output, and a group of two or more that divides the members.",
        )
    train = descent or Descent()
    outputs: list[tuple[Tensor, Tensor]] = []
    for start, count in chunks(problem, members):
        f = initialise(problem.network, count, seed=sub_seed(seed, start, "member"), device=device)
        kernel = tangent_kernel(problem, f)
        solved, trained = [], []
        for row in labels:
            goal = row.expand(count, -1)[:, :, None]
            linear, end = train_both(problem, f, goal, train, kernel=kernel)
            solved.append(linear.solution(goal)[:, :, 0])
            trained.append(end[:, :, 0])
        outputs.append((torch.stack(solved, 1), torch.stack(trained, 1)))
    linearised, nonlinear = (
        torch.cat([pair[i] for pair in outputs]).unflatten(0, (-1, group)).var(dim=1) for i in range(2)
    )
    return linearised, nonlinear - linearised


def gaps(
    problem: Problem, labels: Tensor, *, members: int, seed: int, device: str = "cpu", descent: Descent | None = None
) -> tuple[Tensor, Tensor]:
    """Mean squares (R,), both, over the test inputs of trained less linearised output, and of what linearised training changes; labels (N,)."""
    found = []
    for start, count in chunks(problem, members):
        f = initialise(problem.network, count, seed=sub_seed(seed, start, "member"), device=device)
        goal = labels.expand(count, -1)[:, :, None]
        linear, end = train_both(problem, f, goal, descent or Descent())
        solved = linear.solution(goal)
        found.append([((a - b) ** 2).mean(dim=(1, 2)) for a, b in ((end, solved), (solved, linear.initial_test))])
    gap, learned = (torch.cat(column) for column in zip(*found, strict=True))
    return gap, learned


def step_differences(
    problem: Problem,
    *,
    members: int,
    seed: int,
    descents: tuple[Descent, Descent],
    device: str = "cpu",
    other_parametrisation: bool = False,
) -> Tensor:
    """Root mean square (R,) over heads and test inputs of the difference that two ways of descending make to a distilled predictor.

    `other_parametrisation`: the second descent follows the gradient in the standard parametrisation, from the same function.
    """
    found = []
    for start, count in chunks(problem, members):
        u, g = (
            initialise(problem.network, count, seed=sub_seed(seed, start, name), device=device)
            for name in ("predictor", "target")
        )
        goal = read(problem, forward(problem.network, g, problem.points))[:, problem.tests :]
        ways = [(problem, u), standard_parametrisation(problem, u) if other_parametrisation else (problem, u)]
        first, second = (train_both(*way, goal, descent)[1] for way, descent in zip(ways, descents, strict=True))
        found.append(((first - second) ** 2).mean(dim=(1, 2)).sqrt())
    return torch.cat(found)


def standard_parametrisation(problem: Problem, parameters: Parameters) -> tuple[Problem, Parameters]:
    """The same functions with the factors of the NTK parametrisation moved into the parameters."""
    if problem.network.parametrisation != "ntk":
        raise InvalidInput(f"The network is in the parametrisation {problem.network.parametrisation!r}, not 'ntk'.")
    scales = problem.network.deviations
    return (
        replace(problem, network=replace(problem.network, parametrisation="standard")),
        Parameters(
            tuple(w * scale for w, (scale, _) in zip(parameters.weights, scales, strict=True)),
            tuple(b * scale for b, (_, scale) in zip(parameters.biases, scales, strict=True)),
        ),
    )


def chunks(problem: Problem, members: int) -> Iterator[tuple[int, int]]:
    """(first member, number of members) of each chunk, from the sizes alone."""
    network, total = problem.network, sample_size("members", members)
    rows = problem.points.shape[0] * network.outputs
    entries = max(rows * network.width, rows * rows, *(fan_in * fan_out for fan_in, fan_out in network.fans))
    size = max(1, _ENTRIES // entries)
    yield from ((start, min(size, total - start)) for start in range(0, total, size))


def _errors(
    problem: Problem,
    parameters: Parameters,
    target: Tensor | None,
    prior: Tensor,
    descent: Descent | None,
    *,
    kernel: Tensor | None = None,
    centred: bool = False,
) -> PairedErrors:
    """`prior`: covariance of the target (R, inputs K, inputs K) given what the linearised expectation is conditioned on. A centred predictor
    u - u0 is u trained on the target plus u0: its own start does not count."""
    tests, heads = problem.tests, problem.network.outputs
    kernel = tangent_kernel(problem, parameters) if kernel is None else kernel
    trace = forward(problem.network, parameters, problem.points)
    if descent is None:
        linear, trained = solve_kernel(kernel, read(problem, trace), tests), None
    else:
        assert target is not None
        target = target + read(problem, trace) if centred else target
        linear, trained = train_both(problem, parameters, target[:, tests:], descent, kernel=kernel)
    covariance = prior if centred else prior + covariance_of_start(problem, parameters, trace)
    expected = left_over(linear.smoother, covariance).reshape(-1, tests, heads).mean(dim=2)
    if trained is None or target is None:
        return PairedErrors(expected, None)
    errors = [(value - target[:, :tests]) ** 2 for value in (trained, linear.solution(target[:, tests:]))]
    return PairedErrors(expected, (errors[0] - errors[1]).mean(dim=2))


def _joined(parts: list[PairedErrors]) -> PairedErrors:
    corrections = [part.correction for part in parts]
    return PairedErrors(
        torch.cat([part.linearised for part in parts]),
        None if any(c is None for c in corrections) else torch.cat([c for c in corrections if c is not None]),
    )
