"""The empirical tangent kernel of any torch module. Needs torch."""

from .choose import PredictedCosts, empirical_ntk, predicted_costs
from .kernel import AXES, EmpiricalNTK

__all__ = ["AXES", "EmpiricalNTK", "PredictedCosts", "empirical_ntk", "predicted_costs"]
