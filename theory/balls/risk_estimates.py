"""Leave-one-out by refitting n times, and GCV as train error over the squared share of the ridge, in ball arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from flint import arb, arb_mat, ctx

from .context import Exact, exact_fraction, to_ball


def risk_estimates_ball(
    gram: Sequence[Sequence[Exact]], labels: Sequence[Exact], ridge: Exact, digits: int = 60
) -> tuple[arb, arb, arb, arb]:
    """(1/tr R, GCV, mean squared error of the n refits without one example, train error); ridge > 0 or K invertible."""
    size = len(labels)
    with ctx.workdps(2 * digits):
        penalty = to_ball(exact_fraction("ridge", ridge))
        k = [[to_ball(exact_fraction("gram", x)) for x in row] for row in gram]
        y = [to_ball(exact_fraction("labels", x)) for x in labels]

        def fit(rows: list[int]) -> arb_mat:
            matrix = arb_mat([[k[i][j] + (penalty if i == j else 0) for j in rows] for i in rows])
            return matrix.solve(arb_mat([[y[i]] for i in rows]))

        everything = list(range(size))
        weights = fit(everything)
        refits = arb(0)
        for i in everything:
            rest = [j for j in everything if j != i]
            value = arb(0)
            if rest:
                partial = fit(rest)
                value = sum((k[i][j] * partial[a, 0] for a, j in enumerate(rest)), arb(0))
            refits += (y[i] - value) ** 2
        shifted = arb_mat([[k[i][j] + (penalty if i == j else 0) for j in everything] for i in everything])
        inverse = shifted.inv()
        trace = sum((inverse[i, i] for i in everything), arb(0))
        square = sum((weights[i, 0] ** 2 for i in everything), arb(0))
        train = penalty**2 * square / size
        gcv = train / (penalty / size * trace) ** 2 if penalty > 0 else square / size / (trace / size) ** 2
        return 1 / trace, gcv, refits / size, train
