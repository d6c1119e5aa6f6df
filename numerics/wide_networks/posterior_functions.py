"""Posterior functions from the heads of a Bayesian distillation: each head once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.validation import finite, sample_size
from .gram import Matrix

Function = Callable[[Any], Matrix]


class HeadsExhausted(InvalidInput):
    """More posterior functions were asked for than there are unused heads. `heads` is how many there were."""

    def __init__(self, heads: int, asked: int, left: int) -> None:
        self.heads = heads
        super().__init__(
            f"{asked} more posterior function(s) were asked for and {left} of {heads} heads are unused.",
            "Train another Bayesian distillation with new parameters (theta0 and psi), or more heads; a head used twice "
            "is the same function again.",
        )


class PosteriorFunctions(Iterator[Function]):
    """Functions x -> mu(x) + e_i(x) for the heads i in a random order, each once.

    `mean` maps points (S, d) to (S,): a centred network trained on the labels. `errors` maps them to (heads, S): the
    errors u_i - J psi_i of one Bayesian distillation. A function is one draw of the posterior at all points at once.
    Iteration stops after the last head; `draw` raises HeadsExhausted. Drawing heads with replacement would repeat
    functions, which are then not independent. Source: Zanger et al. 2026, with the replacement removed.
    """

    def __init__(self, mean: Function, errors: Function, *, heads: int, seed: int) -> None:
        self._mean, self._errors, self._heads = mean, errors, sample_size("heads", heads)
        self._order = np.random.default_rng(seed).permutation(self._heads).tolist()

    @property
    def remaining(self) -> int:
        """Heads that no function has used yet."""
        return len(self._order)

    def draw(self, count: int) -> tuple[Function, ...]:
        """The next `count` functions. Raises HeadsExhausted, using none, when fewer heads are left."""
        count = sample_size("count", count)
        if count > len(self._order):
            raise HeadsExhausted(self._heads, count, len(self._order))
        return tuple(self._function(self._order.pop()) for _ in range(count))

    def __next__(self) -> Function:
        if not self._order:
            raise StopIteration
        return self._function(self._order.pop())

    def _function(self, head: int) -> Function:
        def posterior(x: Any) -> Matrix:
            errors = finite("errors", self._errors(x), ndim=2)
            if errors.shape[0] != self._heads:
                raise InvalidInput(f"errors has shape {errors.shape}.", f"Its first axis are the {self._heads} heads.")
            return finite("mean", self._mean(x), ndim=1) + errors[head]

        return posterior
