"""Log-loss of averaged models as balls: mean loss, loss of the average, their gap, and the second-order lower bounds on it.

Losses are exact numbers (models x examples), p = e^{-loss}; everything is written from the definitions, in terms of p itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from flint import arb

from .context import Exact, exact_fraction, refine, to_ball

Matrix = Sequence[Sequence[Exact]]


def liao_berg_ball(m: arb, mu: arb) -> arb:
    """h(m, mu) = (ln mu - ln m)/(m - mu)^2 + 1/(mu (m - mu)), for 0 < mu < m."""
    return (mu.log() - m.log()) / (m - mu) ** 2 + 1 / (mu * (m - mu))


def jensen_balls(losses: Matrix, weights: Sequence[Exact], digits: int = 50) -> list[arb]:
    """[E_rho L, CE, gap, V, V_h], averaged over examples with equal weight.

    V = E_x Var_rho(p)/(2 m_x^2) and V_h = E_x h(m_x, pbar) Var_rho(p), m_x the largest p over the models of positive weight.
    """
    rows = [[exact_fraction("loss", float(x)) for x in row] for row in losses]
    raw = [exact_fraction("weight", float(w)) for w in weights]
    total = sum(raw, Fraction(0))
    rho = [w / total for w in raw]
    used = [i for i, w in enumerate(rho) if w]
    examples = len(rows[0])
    flat = [all(rows[i][x] == rows[used[0]][x] for i in used) for x in range(examples)]

    def each(term: int) -> arb:
        return refine(lambda: sum((evaluate(x)[term] for x in range(examples)), arb(0)) / examples, digits)

    def evaluate(x: int) -> list[arb]:
        p = {i: to_ball(-rows[i][x]).exp() for i in used}
        mean_loss = to_ball(sum((rho[i] * rows[i][x] for i in used), Fraction(0)))
        if flat[x]:  # all members agree
            return [mean_loss, mean_loss, arb(0), arb(0), arb(0)]
        average = sum((to_ball(rho[i]) * p[i] for i in used), arb(0))
        variance = sum((to_ball(rho[i]) * p[i] * p[i] for i in used), arb(0)) - average * average
        m = to_ball(-min(rows[i][x] for i in used)).exp()
        ensemble = -average.log()
        return [
            mean_loss,
            ensemble,
            mean_loss - ensemble,
            variance / (2 * m * m),
            liao_berg_ball(m, average) * variance,
        ]

    if all(flat):
        mean = refine(lambda: evaluate_mean(rows, rho, used), digits)
        return [mean, mean, arb(0), arb(0), arb(0)]
    return [each(k) for k in range(5)]


def evaluate_mean(rows: list[list[Fraction]], rho: list[Fraction], used: list[int]) -> arb:
    """The mean loss alone, a rational number."""
    return to_ball(sum((rho[i] * x for i in used for x in rows[i]), Fraction(0)) / len(rows[0]))


def log_mean_exp_ball(values: Sequence[Fraction], weights: Sequence[Fraction], digits: int = 50) -> arb:
    """ln sum_i w_i e^{v_i} for exact values and weights."""
    return refine(
        lambda: sum((to_ball(w) * to_ball(v).exp() for v, w in zip(values, weights, strict=True) if w), arb(0)).log(),
        digits,
    )


def ensemble_balls(
    loss: str, predictions: Matrix, targets: Sequence[Exact], weights: Sequence[Exact], digits: int = 50
) -> list[arb]:
    """[E_rho L, diversity, loss of the ensemble] from the definitions: squared loss of the mean prediction, 0-1 loss of the weighted
    majority (a tie is an error) with Var_rho(1[h(x) != y]), or the log-loss rows of `jensen_balls`."""
    if loss == "cross_entropy":
        found = jensen_balls(predictions, weights, digits)
        return [found[0], found[3], found[1]]
    rows = [[exact_fraction("prediction", float(x)) for x in row] for row in predictions]
    y, raw = (
        [exact_fraction("target", float(t)) for t in targets],
        [exact_fraction("weight", float(w)) for w in weights],
    )
    rho = [w / sum(raw, Fraction(0)) for w in raw]
    average = diversity = ensemble = Fraction(0)
    for x, target in enumerate(y):
        column = [row[x] for row in rows]
        if loss == "squared":
            mean = sum((w * f for w, f in zip(rho, column, strict=True)), Fraction(0))
            average += sum((w * (f - target) ** 2 for w, f in zip(rho, column, strict=True)), Fraction(0))
            diversity += sum((w * f * f for w, f in zip(rho, column, strict=True)), Fraction(0)) - mean**2
            ensemble += (mean - target) ** 2
        else:
            votes: dict[Fraction, Fraction] = {}
            for w, f in zip(rho, column, strict=True):
                votes[f] = votes.get(f, Fraction(0)) + w
            right = votes.pop(target, Fraction(0))
            average += 1 - right
            diversity += (1 - right) * right
            ensemble += int(any(vote >= right for vote in votes.values()))
    return [refine(lambda v=value: to_ball(v / len(y)), digits) for value in (average, diversity, ensemble)]  # type: ignore[misc]


def cold_posterior_balls(
    train: Matrix, test: Matrix, prior: Sequence[Exact], temper: Exact, digits: int = 50
) -> list[arb]:
    """[E_{p_l} Lh, B(l)] and their exact derivatives in l, for a finite family: the derivatives are those of the power series
    Z(l + e) = Z + e Z' of the unnormalised sums, by the quotient rule alone."""
    n, points = len(train[0]), len(test[0])
    totals = [sum((exact_fraction("loss", float(x)) for x in row), Fraction(0)) for row in train]
    losses = [[exact_fraction("loss", float(x)) for x in row] for row in test]
    raw = [exact_fraction("prior", float(w)) for w in prior]
    l = exact_fraction("temper", temper)  # noqa: E741

    def values() -> list[arb]:
        weight = [to_ball(w) * to_ball(-l * t).exp() for w, t in zip(raw, totals, strict=True)]
        slope = [-to_ball(t) * w for w, t in zip(weight, totals, strict=True)]  # d weight / d l
        z, dz = sum(weight, arb(0)), sum(slope, arb(0))

        def ratio(f: list[arb]) -> tuple[arb, arb]:
            top = sum((w * v for w, v in zip(weight, f, strict=True)), arb(0))
            dtop = sum((w * v for w, v in zip(slope, f, strict=True)), arb(0))
            return top / z, (dtop * z - top * dz) / (z * z)

        fit, dfit = ratio([to_ball(t / n) for t in totals])
        bayes, dbayes = arb(0), arb(0)
        for x in range(points):
            mean, dmean = ratio([to_ball(-row[x]).exp() for row in losses])
            bayes -= mean.log() / points
            dbayes -= dmean / mean / points
        return [fit, dfit, bayes, dbayes]

    return [refine(lambda k=k: values()[k], digits) for k in range(4)]  # type: ignore[misc]


def diversity_ball(losses: Matrix, weights: Sequence[Exact], digits: int = 50) -> arb:
    """Dv = E_x (E_rho loss + ln E_rho e^{-loss}), examples weighted equally: E_rho L minus the log-loss of the average."""
    rows = [[exact_fraction("loss", float(x)) for x in row] for row in losses]
    raw = [exact_fraction("weight", float(w)) for w in weights]
    rho = [w / sum(raw, Fraction(0)) for w in raw]
    used = [i for i, w in enumerate(rho) if w]
    points = len(rows[0])
    varied = [x for x in range(points) if any(rows[i][x] != rows[used[0]][x] for i in used)]
    if not varied:
        return arb(0)
    mean = sum((rho[i] * rows[i][x] for i in used for x in varied), Fraction(0))

    def evaluate() -> arb:
        found = to_ball(mean)
        for x in varied:
            found += sum((to_ball(rho[i]) * to_ball(-rows[i][x]).exp() for i in used), arb(0)).log()
        return found / points

    return refine(evaluate, digits)


def smoothness_ball(losses: Matrix, tilt: Exact, digits: int = 50) -> list[arb]:
    """J_theta(l) = ln E_x e^{l (L - loss)} for every row, examples weighted equally: the diversity of the transposed array, scaled."""
    l = exact_fraction("tilt", tilt)  # noqa: E741
    found = []
    for row in losses:
        exact = [exact_fraction("loss", float(x)) for x in row]
        mean = sum(exact, Fraction(0)) / len(exact)
        if all(x == exact[0] for x in exact):
            found.append(arb(0))
            continue
        exponents = [l * (mean - x) for x in exact]
        found.append(log_mean_exp_ball(exponents, [Fraction(1, len(exact))] * len(exact), digits))
    return found
