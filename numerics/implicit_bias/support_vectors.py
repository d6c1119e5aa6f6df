"""What the support vectors of the hard-margin problem do and do not determine: independence, span, and who is left out.

The limit laws of classification (ib.logit_residual, ib.class_w2) need support vectors that are independent, carry
positive dual weights and, for the whole law, span the rows of the design. Where the N rows are independent, that means
that every row is a support vector, equivalently (X D X^T)^{-1} 1 > 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...theory.errors import AssumptionViolated
from .least_squares import design_matrix, row_space
from .max_margin import MaxMargin, max_margin
from .metric import metric_matrix


@dataclass(frozen=True)
class SupportReport:
    """Counts and answers about the support vectors of one problem.

    examples, parameters, rank of the rows, number of support vectors and their rank; `residual_rank`, how many row
    directions they leave open; `generic`, whether they are independent with positive dual weights.
    """

    examples: int
    parameters: int
    rank: int
    support_vectors: int
    support_rank: int
    generic: bool

    @property
    def others(self) -> int:
        """How many rows are no support vectors."""
        return self.examples - self.support_vectors

    @property
    def residual_rank(self) -> int:
        return self.rank - self.support_rank

    @property
    def spanning(self) -> bool:
        return self.residual_rank == 0


def support_report(design: Any, *, solution: MaxMargin | None = None, metric: Any = None) -> SupportReport:
    """Whether the support vectors of labelled rows (examples, parameters) are independent, positive and spanning.

    Ranks are cut where `least_squares.row_space` cuts them. Raises what `max_margin` raises.
    """
    x = design_matrix(design)
    found = max_margin(x, metric=metric) if solution is None else solution
    chosen = x[found.support]
    rank, support_rank = (row_space(rows).singular_values.size for rows in (x, chosen))
    generic = support_rank == len(chosen) and bool((found.dual[found.support] > 0).all())
    return SupportReport(x.shape[0], x.shape[1], rank, len(chosen), support_rank, generic)


def every_row_supports(design: Any, *, metric: Any = None) -> bool:
    """Whether (X D X^T)^{-1} 1 > 0: for independent rows, whether each of them is a support vector.

    Raises `AssumptionViolated` when the rows (examples, parameters) are dependent, where the question has no such answer.
    """
    x = design_matrix(design)
    d = metric_matrix(metric, parameters=x.shape[1])
    if row_space(x).singular_values.size < len(x):
        raise AssumptionViolated(
            f"The {len(x)} rows of the design are dependent.", "Use support_report, which covers dependent rows."
        )
    gram = x @ x.T if d is None else x @ d @ x.T
    return bool((np.linalg.solve(gram, np.ones(len(x))) > 0).all())


def require_generic(report: SupportReport, *, theorem: str, spanning: bool) -> None:
    """Raise `AssumptionViolated`, naming the theorem, unless the support vectors are generic (and span the rows)."""
    if not report.generic:
        raise AssumptionViolated(
            f"{theorem} needs independent support vectors with positive dual weights; here {report.support_vectors} "
            f"support vectors have rank {report.support_rank}, or one of them has weight 0.",
            "Only the direction of ib.logit_maxmargin is claimed; simulate the rest.",
        )
    if spanning and not report.spanning:
        raise AssumptionViolated(
            f"{theorem} needs support vectors that span the rows; {report.others} of {report.examples} rows are no "
            f"support vectors and {report.residual_rank} row direction(s) stay open.",
            "Part of the factor freezes at a value that depends on the whole path (ib.class_nonspan): simulate it.",
        )
