"""Training of wide networks, and the law of their ensembles."""

from . import centred, descent, duplicates, ensemble_law, flow, linearisation, momentum, outputs, paths, ridge, steps

RESULTS = (
    *linearisation.RESULTS,
    *flow.RESULTS,
    ensemble_law.RESULT,
    *descent.RESULTS,
    *steps.RESULTS,
    *momentum.RESULTS,
    *centred.RESULTS,
    *paths.RESULTS,
    *ridge.RESULTS,
    *outputs.RESULTS,
    *duplicates.RESULTS,
)
