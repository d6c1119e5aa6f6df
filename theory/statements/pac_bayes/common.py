"""Assumptions that several PAC-Bayes statements share. Natural logarithms; K is KL(Q||P) in nats."""

from __future__ import annotations

from ...statement import Assumption

IID = Assumption("i.i.d. examples", "The n examples of the empirical risk are independent draws from one distribution.")
PRIOR_FIRST = Assumption(
    "prior before data", "The prior was chosen without looking at the n examples of the empirical risk."
)
FRESH_DRAWS = Assumption(
    "fresh draws", "The m posterior draws were made after the posterior and m were fixed, and used once."
)
RANDOM_SPLIT = Assumption("random split", "The split does not depend on the examples that the bound is computed on.")


# A mean in [0, 1] does not show that every loss is: only a function that sees the losses can say that it holds.
BOUNDED_LOSS = Assumption("loss in [0, 1]", "The loss of every example lies in [0, 1].")
