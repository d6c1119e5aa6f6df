"""Training with the lambda bound on finitely many hypotheses: the alternation against the exact minimum over Q at every lambda."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from ....numerics.bounds.alternation import Alternation, alternate_lambda
from ....numerics.bounds.gibbs_posterior import gibbs_posterior
from ....numerics.bounds.relaxations import best_lambda
from ....numerics.bounds.seeger import complexity
from ....numerics.claims import Enclosures
from ....numerics.randomness import generator
from ....numerics.store import Rows
from ....theory.balls.gibbs import gibbs_ball
from ....theory.balls.maurer import maurer_xi_ball
from .relaxations import DIGITS, enclosures


@dataclass(frozen=True)
class TrainingSetting:
    """Empirical risks of finitely many hypotheses, their prior weights, n, ln(1/delta), and the lambda to start from."""

    risks: NDArray[np.float64]
    prior: NDArray[np.float64]
    n: int
    log_inv_delta: float
    lam: float


def predict_training(s: TrainingSetting) -> Alternation:
    return alternate_lambda(risks=s.risks, prior=s.prior, n=s.n, log_inv_delta=s.log_inv_delta, lam=s.lam)


def _least(s: TrainingSetting, lam: float) -> arb:
    """The bound at lam minimised over all Q, through the free energy: (F(lam n) + ln(xi(n)/delta)/(lam n))/(1 - lam/2)."""
    free = gibbs_ball(s.risks.tolist(), s.prior.tolist(), lam * s.n, DIGITS).free_energy
    rest = (maurer_xi_ball(s.n, DIGITS).log() + arb(s.log_inv_delta)) / (arb(lam) * s.n)
    return (free + rest) / (1 - arb(lam) / 2)


def compare_training(s: TrainingSetting, p: Alternation, rows: Rows) -> Enclosures:
    """Where the alternation stopped: below its start, below the neighbouring lambdas, and never below the exact minimum there; and
    each half-step, as it reports it, no worse than the one before (to the rounding of the float that it was stored as)."""
    with ctx.workdps(DIGITS):
        end = _least(s, p.lam)
        around = [_least(s, p.lam * factor) - end for factor in (0.8, 0.97, 1.03, 1.2)]
        steps = [
            arb(float(a)) * (1 + arb(2) ** -48) - arb(float(b)) for a, b in zip(p.bounds, p.bounds[1:], strict=False)
        ]
        return enclosures(
            [_least(s, s.lam) - end, arb(float(p.bounds[-1])) * (1 + arb(2) ** -48) - end, *around, *steps]
        )


def _alternation(s: TrainingSetting, update: Any, temperature: Any, rounds: int = 40) -> Alternation:
    """The alternation written out, with a wrong half-step."""
    lam, trace = s.lam, []
    for _ in range(rounds):
        q = gibbs_posterior(losses=s.risks, prior=s.prior, beta=temperature(lam) * s.n)
        c = complexity(q.kl, s.n, s.log_inv_delta)
        trace.append((q.mean + c / lam) / (1 - lam / 2))
        lam = update(q.mean, c)
        trace.append((q.mean + c / lam) / (1 - lam / 2))
    return Alternation(q.weights, lam, q.mean, q.kl, np.array(trace), math.nan)


def wrong_update(s: TrainingSetting) -> Alternation:
    return _alternation(s, lambda q, c: 2 / (math.sqrt(q / c + 1) + 1), lambda lam: lam)


def wrong_temperature(s: TrainingSetting) -> Alternation:
    return _alternation(s, best_lambda, lambda lam: 1.0)


def trainings(count: int) -> tuple[TrainingSetting, ...]:
    found = []
    for index in range(count):
        rng = generator(1, "pb.lambda", index)
        size = int(rng.integers(3, 12))
        found.append(
            TrainingSetting(
                rng.uniform(0, 0.5, size),
                rng.dirichlet(np.full(size, 2.0)),
                int(10 ** rng.uniform(1.5, 3.5)),
                3.0,
                float(rng.uniform(0.1, 1.9)),
            )
        )
    return tuple(found)  # fmt: skip
