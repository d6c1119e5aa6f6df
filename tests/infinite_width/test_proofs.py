"""The proof files of this area: derivations replay, settings refuse bad input, importing them loads no torch."""

import subprocess
import sys

import numpy as np
import pytest

from nonvacuous.proofs.derivations import derive, used_results
from nonvacuous.proofs.infinite_width import INFINITE_WIDTH
from nonvacuous.proofs.infinite_width.settings import EnsembleSetting, KernelSetting
from nonvacuous.theory.errors import InvalidInput
from nonvacuous.theory.statement import Answer

TRAINED_LAWS = ("iw.linearisation", "iw.lin_cov_inf", "iw.rnd_equals_ensemble", "iw.loewner_chain", "iw.adding_a_point")
LINEAR_MODELS = (
    "iw.lin_flow",
    "iw.lin_cov_t",
    "iw.gd_discrete",
    "iw.max_lr",
    "iw.momentum",
    "iw.centered_network",
    "iw.row_space_invariance",
    "iw.ridge_from_init",
    "iw.weight_decay_origin",
    "iw.duplicates",
    "iw.nngp_top_layer",
    "iw.ntkgp_posterior",
    "iw.excess_decomposition",
    "iw.sto",
    "iw.sto_finite",
    "iw.ntkgp_he2020",
    "iw.rpf_osband",
)


@pytest.mark.parametrize("result", INFINITE_WIDTH, ids=lambda result: result.key)
def test_derivations_rest_on_what_they_may(result):
    """Without the replays: those of the quick run are read in tests/test_catalogue.py."""
    status = derive(result, lambda node: ())
    assert status.failed == 0
    # from training of finite networks to their linearisation the literature is trusted, and nowhere else in training
    rests_on_linearisation = any(node.key == "iw.linearisation" for node in used_results(result))
    if result.key in TRAINED_LAWS:
        assert rests_on_linearisation
        assert status.cited_steps == 1
    if result.key in LINEAR_MODELS:
        assert status.cited_steps == 0


@pytest.mark.parametrize("result", INFINITE_WIDTH, ids=lambda result: result.key)
def test_predictions_of_the_examples_are_finite(result):
    for value in vars(result.predict(result.example)).values():
        assert value is None or np.isfinite(value).all()


def test_importing_the_proofs_loads_no_torch():
    code = "import sys; import nonvacuous.proofs.infinite_width; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


X = np.eye(3)


@pytest.mark.parametrize(
    "changes",
    [
        {"x": X[0]},
        {"x": X * np.nan},
        {"y": X[:, :2]},
        {"activation": "tanh"},
        {"weight_scale": (1.0,)},
        {"weight_scale": (1.0, 0.0)},
        {"bias_scale": (0.1,)},
        {"bias_scale": (0.1, -0.1)},
    ],
)
def test_bad_kernel_settings_are_refused(changes):
    good = {"x": X, "y": X, "activation": "relu", "weight_scale": (1.0, 1.0), "bias_scale": (0.1, 0.1)}
    KernelSetting(**good)
    with pytest.raises(InvalidInput):
        KernelSetting(**(good | changes))


@pytest.mark.parametrize(
    "changes",
    [{"train": X[0]}, {"test": X[:, :2]}, {"labels": np.ones(2)}, {"labels": np.full(3, np.inf)}, {"activation": "id"}],
)
def test_bad_ensemble_settings_are_refused(changes):
    good = {
        "train": X,
        "test": X,
        "labels": np.ones(3),
        "activation": "erf",
        "weight_scale": (1, 1),
        "bias_scale": (0, 0),
    }
    EnsembleSetting(**good)
    with pytest.raises(InvalidInput):
        EnsembleSetting(**(good | changes))


def test_repeated_training_inputs_violate_the_assumption():
    law = next(result for result in INFINITE_WIDTH if result.key == "iw.lin_cov_inf")
    statement, example = law.statement, law.example
    positive = next(a for a in statement.assumptions if a.test is not None)
    assert positive.answer(example) is Answer.HOLDS
    repeated = EnsembleSetting(X[[0, 0, 1]], X, np.ones(3), "erf", (1, 1), (0, 0))
    assert positive.answer(repeated) is Answer.VIOLATED
