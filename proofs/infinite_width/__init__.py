"""Infinite width, in teaching order."""

from . import ensemble_law, nngp, ntk, rnd

INFINITE_WIDTH = (nngp.RESULT, ntk.RESULT, ensemble_law.RESULT, rnd.RESULT)
