"""Every statement of the package in teaching order: results, and the definitions and algorithms that only `show` finds."""

from .theory.statements import (
    function_space,
    implicit_bias,
    infinite_width,
    pac_bayes,
    scaling_laws,
    variance_propagation,
)

STATEMENTS = (
    *pac_bayes.STATEMENTS,
    *implicit_bias.STATEMENTS,
    *infinite_width.STATEMENTS,
    *function_space.STATEMENTS,
    *variance_propagation.STATEMENTS,
    *scaling_laws.STATEMENTS,
)
