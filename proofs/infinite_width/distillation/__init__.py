"""Random network distillation."""

from . import rnd

RESULTS = (rnd.RESULT,)
