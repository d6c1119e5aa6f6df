"""Function-space methods."""

from . import laplace

FUNCTION_SPACE = (laplace.RESULT,)
