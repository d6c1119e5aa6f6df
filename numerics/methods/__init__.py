"""Methods that put uncertainty on a user's own torch model, each a module: `nv.methods.rnd.fit(...)`. Listing them imports no framework."""

from types import ModuleType

from ...theory.errors import UnknownKey
from .grammar import Implementation, Method, Predictive, implementation, method_module

METHODS: tuple[Method, ...] = (
    Method(
        name="laplace",
        title="Linearised Laplace approximation with the full generalised Gauss-Newton matrix",
        module="laplace",
        config="LaplaceConfig",
        theorems=("fs.lla_posterior", "fs.lla_function"),
        extra="torch",
    ),
    Method(
        name="deep_ensemble",
        title="Deep ensemble in the NTK parametrisation, full-batch descent",
        module="deep_ensemble",
        config="DeepEnsembleConfig",
        theorems=("iw.lin_cov_inf", "iw.rnd_equals_ensemble", "iw.row_space_invariance", "iw.max_lr", "iw.momentum"),
        extra="torch",
    ),
    Method(
        name="rnd",
        title="Random network distillation, calibrated: half the squared error is the ensemble's variance",
        module="random_network_distillation",
        config="RNDConfig",
        theorems=("iw.rnd_equals_ensemble", "iw.lin_cov_inf"),
        extra="torch",
    ),
    Method(
        name="bayesian_rnd",
        title="Bayesian random network distillation: posterior functions without a matrix inverse",
        module="bayesian_rnd",
        config="BayesianRNDConfig",
        theorems=("iw.brnd_error_law", "iw.brnd_target", "iw.brnd_noise", "iw.brnd_sampling"),
        extra="torch",
    ),
    Method(
        name="ibvi",
        title="Implicit-bias variational inference: the expected loss alone, from the prior",
        module="ibvi",
        config="IBVIConfig",
        theorems=(
            "ib.regression_w2",
            "ib.regression_mc",
            "ib.mc_stability",
            "ib.fixed_noise",
            "ib.precond_bayes",
            "ib.ls_precond",
            "ib.class_w2",
            "ib.mup_cov",
        ),
        extra="torch",
    ),
    Method(
        name="kl_vi",
        title="Variational inference with a KL divergence to the prior, mean field or with a covariance",
        module="kl_vi",
        config="KLVIConfig",
        theorems=("ib.kl_compare", "ib.gauss_identities"),
        extra="torch",
    ),
    Method(
        name="temperature_scaling",
        title="Temperature scaling of a trained classifier: one number fitted on held-out labels",
        module="temperature_scaling",
        config="TemperatureScalingConfig",
        theorems=(),
        extra="torch",
    ),
    Method(
        name="sgd_ensemble",
        title="Ensemble of plain networks trained by mini-batch SGD, for classes and regression; one member is the plain network",
        module="sgd_ensemble",
        config="SGDEnsembleConfig",
        theorems=("ib.ensemble_equiv", "ib.class_ensemble", "ib.ls_sgd", "ib.mup_cov"),
        extra="torch",
    ),
    Method(
        name="last_layer_laplace",
        title="Laplace approximation of a classifier's last layer, full Gauss-Newton matrix, prior precision by evidence",
        module="last_layer_laplace",
        config="LastLayerLaplaceConfig",
        theorems=("fs.lla_posterior",),
        extra="torch",
    ),
)


def find_method(name: str) -> Method:
    """The entry of `METHODS` called `name`. Raises `UnknownKey`."""
    for method in METHODS:
        if method.name == name:
            return method
    raise UnknownKey(
        f"No method is called {name!r}.", f"Known methods: {', '.join(method.name for method in METHODS)}."
    )


def __getattr__(name: str) -> ModuleType:
    """A method's module by the method's name, imported on use."""
    for method in METHODS:
        if method.name == name:
            return method_module(method)
    raise AttributeError(f"nonvacuous.methods has no {name!r}; methods: {', '.join(m.name for m in METHODS)}.")


def __dir__() -> list[str]:
    return sorted({*globals(), *(method.name for method in METHODS)})


__all__ = ["METHODS", "Implementation", "Method", "Predictive", "find_method", "implementation"]
