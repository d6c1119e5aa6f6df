"""What selects another law, in teaching order."""

from ...result import Result
from . import kl_comparison, metric_dial, parametrisation, proximal

RESULTS: tuple[Result, ...] = (metric_dial.RESULT, kl_comparison.RESULT, proximal.RESULT, parametrisation.RESULT)
