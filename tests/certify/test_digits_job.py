"""The main job at a small size: parts that do not overlap, a sound certificate, and going on where it stopped."""

import dataclasses
import json

import pytest
import torch
from sklearn.datasets import load_digits

from nonvacuous.numerics.certify.digits import DigitsConfig, certify_digits, digits_split, distorted, figures
from nonvacuous.numerics.certify.training import TrainingConfig
from nonvacuous.theory.errors import InvalidInput, StorageError

SMALL = DigitsConfig(
    test=1300,
    prior_part=300,
    hidden=12,
    copies=1,
    prior_training=TrainingConfig("risk", 6, 32, 0.02, pmin=1e-4, train_scales=False),
    posterior_training=TrainingConfig("quad", 3, 64, 0.01, pmin=0.05),
    draws=300,
    test_draws=10,
)


class Stopped(Exception):
    pass


def test_the_parts_are_a_partition_and_the_scale_is_a_constant():
    split = digits_split(SMALL)
    images, labels = load_digits(return_X_y=True)
    assert [len(part[0]) for part in (split.test, split.prior, split.bound)] == [1300, 300, 197]
    together = torch.cat([split.test[0], *split.training[:1]]) * 16
    order = sorted(map(tuple, together.tolist()))
    assert order == sorted(map(tuple, images.tolist()))
    assert (
        torch.cat([split.test[1], split.training[1]]).bincount().tolist() == torch.as_tensor(labels).bincount().tolist()
    )
    other = digits_split(dataclasses.replace(SMALL, seed=1))
    assert not torch.equal(other.test[0], split.test[0])


def test_distorted_copies_keep_the_images_first():
    x = digits_split(SMALL).prior[0][:5]
    more = distorted(x, 2, torch.Generator().manual_seed(0))
    assert more.shape == (15, 64)
    assert torch.equal(more[:5], x)
    assert more.min() >= 0
    assert more.max() <= 1 + 1e-6
    assert not torch.equal(more[5:10], x)


def test_the_job_resumes_and_its_second_run_is_free(tmp_path):
    whole = certify_digits(tmp_path / "whole", SMALL)
    assert whole.certificate.value < 1
    assert whole.certificate.check().sound
    assert whole.certificate.inputs["n"] == whole.n_bound == 197
    assert whole.certificate.inputs["n_prior"] == whole.n_prior == 300
    assert whole.certificate.inputs["kl"] == whole.kl
    assert whole.certificate.unchecked == ("i.i.d. examples",)
    assert whole.parameters == 64 * 12 + 12 + 12 * 10 + 10
    assert 0 < whole.test_gibbs_error < 1

    seen = []

    def stop(stage):
        seen.append(stage)
        if (stage.name, stage.done) == ("posterior", 2):
            raise Stopped

    with pytest.raises(Stopped):
        certify_digits(tmp_path / "cut", SMALL, progress=stop)
    resumed = []
    report = certify_digits(tmp_path / "cut", SMALL, progress=resumed.append)
    assert [(stage.name, stage.done) for stage in resumed[:3]] == [("prior", 6), ("posterior", 2), ("posterior", 3)]
    assert report.certificate.value == whole.certificate.value
    assert report.test_gibbs_error == whole.test_gibbs_error

    untouched = []
    again = certify_digits(tmp_path / "cut", SMALL, progress=untouched.append)
    assert again.reused
    assert not untouched
    assert figures(again) == figures(report)
    assert certify_digits(tmp_path / "cut", dataclasses.replace(SMALL, draws=200)).reused is False


def test_a_stored_report_that_does_not_fit_is_computed_again(tmp_path):
    certify_digits(tmp_path, SMALL)
    path = tmp_path / "digits.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "certified_risk": 0.001}))
    assert not certify_digits(tmp_path, SMALL).reused
    path.write_text("{")
    assert not certify_digits(tmp_path, SMALL).reused


def test_bad_settings(tmp_path):
    with pytest.raises(InvalidInput, match="leave none"):
        certify_digits(tmp_path, dataclasses.replace(SMALL, test=1797))
    for changes in ({"draws": 0}, {"delta": 1.0}, {"copies": -1}, {"hidden": 0.5}):
        with pytest.raises(InvalidInput):
            dataclasses.replace(SMALL, **changes)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        certify_digits(tmp_path / "file", SMALL)
