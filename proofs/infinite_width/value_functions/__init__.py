"""Value functions and contextual similarity."""

from . import csd, uvu

RESULTS = (uvu.RESULT, csd.RESULT)
