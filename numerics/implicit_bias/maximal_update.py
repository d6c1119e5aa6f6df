"""What one step of sampled training does at the start of a ReLU network, in expectation, under the parametrisations of mean and factor.

The network has `inputs` numbers, hidden layers of `width` units without biases (`hidden` matrices between them) and one output; factors
with `rank` columns on the first and the last layer; one draw. Two numbers say what the first step of size eta on a residual r = f - y does:

speed                sum over all tensors of rate |df/dtensor|^2: the output moves by -eta r speed, to first order
feature_movement     (eta r)^2 times this is the mean square, over the first layer's units, of the move of their preactivations at the
                     same noise

Both are exact expectations over initialisation and noise, computed from the table of `numerics.variational.parametrisations` by one pass
forward (second moments of the units) and one backward (of the output's derivatives). Under "mup" neither contains the width (ib.mup_cov).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...theory.errors import InvalidInput
from ...theory.validation import sample_size
from ..variational.parametrisations import Parametrisation, Scaling, factor_scaling, mean_scaling


@dataclass(frozen=True)
class FirstStep:
    """See the module's text; `draw_variance` is that of a first-layer entry of a draw over its mean's at the start."""

    speed: float
    feature_movement: float
    draw_variance: float


def first_step(
    parametrisation: Parametrisation,
    *,
    inputs: int,
    width: int,
    hidden: int,
    rank: int,
    input_norm_squared: float = 1.0,
    factor_rate: float | None = None,
) -> FirstStep:
    """Expectations at the start. factor_rate: learning rate of a factor over its mean's, None for the table's 1/rank; input_norm_squared:
    |x|^2, units of the inputs squared. About ten roundings for each layer. Raises `InvalidInput`."""
    sizes = {"inputs": inputs, "width": width, "rank": rank}
    d, w, r = (sample_size(name, size) for name, size in sizes.items())
    if isinstance(hidden, bool) or not isinstance(hidden, int) or hidden < 0:
        raise InvalidInput(f"hidden is {hidden!r}.", "It is the number of square matrices, 0 or more.")
    if not 0 < input_norm_squared < math.inf:
        raise InvalidInput(f"input_norm_squared is {input_norm_squared!r}.", "It is a finite number larger than 0.")
    if factor_rate is not None and not 0 <= factor_rate < math.inf:
        raise InvalidInput(f"factor_rate is {factor_rate!r}.", "It is a finite number of at least 0.")
    first = mean_scaling(parametrisation, "input", fan_in=d, fan_out=w)
    middle = mean_scaling(parametrisation, "hidden", fan_in=w, fan_out=w)
    last = mean_scaling(parametrisation, "output", fan_in=w, fan_out=1)
    first_factor, last_factor = (factor_scaling(mean, rank=r, rate=factor_rate) for mean in (first, last))
    # a ReLU unit keeps half of the second moment, and half of the gates are open, whatever the squares of their rows
    units = [w * _variance(first, first_factor, r) * input_norm_squared / 2]
    for _ in range(hidden):
        units.append(w * _variance(middle, None, r) * units[-1] / 2)
    derivative = w * _variance(last, last_factor, r) / 2
    speed = last.multiplier**2 * (last.rate + r * last_factor.rate) * units[-1]
    for below in reversed(units[:-1]):
        speed += middle.multiplier**2 * middle.rate * derivative * below
        derivative *= w * _variance(middle, None, r) / 2
    speed += first.multiplier**2 * (first.rate + r * first_factor.rate) * derivative * input_norm_squared
    # the factor's share of a move is |z|^2 times its rate; E |z|^2 = R, E |z|^4 = R (R + 2)
    squared_rate = first.rate**2 + 2 * first.rate * first_factor.rate * r + first_factor.rate**2 * r * (r + 2)
    movement = first.multiplier**4 * squared_rate * derivative * input_norm_squared**2 / w
    return FirstStep(speed, movement, _variance(first, first_factor, r) / _variance(first, None, r))


def _variance(mean: Scaling, factor: Scaling | None, rank: int) -> float:
    """Of what the network sees of an entry: the mean's own and the noise's."""
    noise = 0.0 if factor is None else rank * factor.std**2
    return mean.multiplier**2 * (mean.std**2 + noise)
