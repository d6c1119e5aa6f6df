"""PAC-Bayes and large deviations, in teaching order."""

from . import change_of_measure, cramer, data_prior, kl_inverse, maurer, monte_carlo, seeger

PAC_BAYES = (
    change_of_measure.RESULT,
    kl_inverse.RESULT,
    maurer.RESULT,
    seeger.RESULT,
    monte_carlo.RESULT,
    data_prior.RESULT,
    cramer.RESULT,
)
