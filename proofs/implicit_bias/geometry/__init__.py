"""Which norm or potential the nearest solution is measured in, in teaching order."""

from ...result import Result
from . import diagonal_networks, metric, mirror

RESULTS: tuple[Result, ...] = (metric.RESULT, mirror.RESULT, diagonal_networks.RESULT)
