"""Training of wide networks, and the law of their ensembles."""

from . import ensemble_law

RESULTS = (ensemble_law.RESULT,)
