"""The catalogue: one explicit tuple of results in teaching order, built from one tuple per area.

Figures and notebooks are laid over the results here, where no proof sees them: changing one makes no measurement and no verdict stale.
"""

from dataclasses import replace

from .function_space import FUNCTION_SPACE
from .implicit_bias import IMPLICIT_BIAS
from .implicit_bias.figures import FIGURES as IMPLICIT_BIAS_FIGURES
from .infinite_width import INFINITE_WIDTH
from .infinite_width.figures import INFINITE_WIDTH_FIGURES
from .notebooks import NOTEBOOKS
from .pac_bayes import PAC_BAYES
from .pac_bayes.figures import PAC_BAYES_FIGURES
from .result import Result
from .scaling_laws import SCALING_LAWS
from .variance_propagation import VARIANCE_PROPAGATION

FIGURES = {**PAC_BAYES_FIGURES, **IMPLICIT_BIAS_FIGURES, **INFINITE_WIDTH_FIGURES}


def _illustrated(result: Result) -> Result:
    if result.key not in FIGURES and result.key not in NOTEBOOKS:
        return result
    figure, notebook = FIGURES.get(result.key, result.figure), NOTEBOOKS.get(result.key, result.notebook)
    return replace(result, figure=figure, notebook=notebook)


CATALOGUE: tuple[Result, ...] = tuple(
    _illustrated(result)
    for result in (
        *PAC_BAYES,
        *IMPLICIT_BIAS,
        *INFINITE_WIDTH,
        *FUNCTION_SPACE,
        *VARIANCE_PROPAGATION,
        *SCALING_LAWS,
    )
)
