"""Which theorem speaks about a setting, and which of its assumptions the setting gives up, each by name."""

from __future__ import annotations

from dataclasses import dataclass

from .diagonal import Diagonal
from .family import Family
from .kronecker import Kronecker
from .objective import ExpectedLoss


@dataclass(frozen=True)
class Caveat:
    """`theorem`: key of the entry that says so."""

    theorem: str
    text: str


def caveats(family: Family, objective: ExpectedLoss) -> tuple[Caveat, ...]:
    """Everything about the setting that keeps training from ending at the law nearest to the prior (ib.regression_w2)."""
    found = []
    if len(family.layers) > 1 or family.loose:
        found.append(
            (
                "ib.regression_w2",
                "It is about models that are linear in their trained weights: for this network a guide, no guarantee.",
            )
        )
    if len(family.variational) > 1:
        found.append(
            (
                "ib.ensemble_equiv",
                "Every layer has a factor and noise of its own: each is projected by its own features alone, which is no ensemble's law, not even "
                "near the linearisation.",
            )
        )
    if isinstance(family.covariance, Diagonal):
        found.append(
            (
                "ib.kl_compare",
                "A diagonal covariance loses its variance in every feature that the data use, in the null space too.",
            )
        )
    if isinstance(family.covariance, Kronecker):
        found.append(
            (
                "ib.param_covariance",
                "The two factors enter the law as a product: its limit is no W2 projection of the prior.",
            )
        )
    if not euclidean(family):
        found.append(
            (
                "ib.precond_bayes",
                "Tensors move at different rates: the selected law is a projection in another metric than the Euclidean one.",
            )
        )
    if objective.common_noise:
        found.append(
            (
                "ib.fixed_noise",
                "With fewer draws than columns plus one, reused in every step, variance stays at the training inputs.",
            )
        )
    if objective.likelihood != "gaussian":
        found.append(
            (
                "ib.class_w2",
                "The limit is known for linear models and two classes whose training points are all support vectors.",
            )
        )
        found.append(
            (
                "ib.class_overconfidence",
                "Margins grow like the logarithm of the number of steps, which is a choice that shapes the uncertainty.",
            )
        )
    if objective.expectation == "bound":
        found.append(
            ("ib.class_step", "The bound carries exp(v/2): its steps must be small where variances are large.")
        )
    return tuple(Caveat(theorem, text) for theorem, text in found)


def euclidean(family: Family) -> bool:
    """Whether the means move as one and the factors as one: a step of an effective entry is rate times multiplier squared."""
    means = {scaling.rate * scaling.multiplier**2 for scaling in family.scalings.values()}
    factors = {tensor.scaling.rate * tensor.scaling.multiplier**2 for tensor in family.tensors.values()}
    return len(means) <= 1 and len(factors) <= 1
