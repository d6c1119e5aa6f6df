"""Function-space methods, in teaching order."""

from . import laplace

FUNCTION_SPACE = (laplace.RESULT,)
