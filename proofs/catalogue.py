"""The catalogue: one explicit tuple of results in teaching order, built from one tuple per area."""

from .function_space import FUNCTION_SPACE
from .implicit_bias import IMPLICIT_BIAS
from .infinite_width import INFINITE_WIDTH
from .pac_bayes import PAC_BAYES
from .result import Result
from .scaling_laws import SCALING_LAWS
from .variance_propagation import VARIANCE_PROPAGATION

CATALOGUE: tuple[Result, ...] = (
    *PAC_BAYES,
    *IMPLICIT_BIAS,
    *INFINITE_WIDTH,
    *FUNCTION_SPACE,
    *VARIANCE_PROPAGATION,
    *SCALING_LAWS,
)
