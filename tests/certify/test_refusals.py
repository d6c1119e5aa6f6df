"""Bad input to training and files: each is a typed error that says what to do."""

from __future__ import annotations

import os
import stat

import pytest
import torch
from torch import nn

from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.certify import TrainingConfig, certify, certify_draw, from_module, sample, save, train
from nonvacuous.numerics.certify.checkpoint import read_state
from nonvacuous.numerics.methods.data import gather

X, Y = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2
CONFIG = TrainingConfig("quad", epochs=2, batch_size=10, learning_rate=0.01)


def test_settings_and_batches():
    with pytest.raises(InvalidInput, match="train_scales"):
        TrainingConfig("quad", 1, 1, 0.1, train_scales=None)
    with pytest.raises(InvalidInput, match="fit together"):
        gather([(torch.zeros(2, 3), torch.zeros(2)), (torch.zeros(2, 4), torch.zeros(2))])
    with pytest.raises(InvalidInput, match="lazy"):
        from_module(nn.Sequential(nn.LazyLinear(3)), 0.1)


def test_half_precision_trains_with_a_checkpoint(tmp_path):
    gaussian = from_module(nn.Linear(2, 2).to(torch.bfloat16), 0.1)
    data = (X.to(torch.bfloat16), Y)
    first = train(gaussian, data, CONFIG, seed=0, prior=gaussian, checkpoint=tmp_path)
    again = train(gaussian, data, CONFIG, seed=0, prior=gaussian, checkpoint=tmp_path)
    assert all(torch.equal(first.means[name], again.means[name]) for name in first.means)
    assert len(list(tmp_path.glob("training-*"))) == 1


def test_a_history_that_is_none(tmp_path):
    gaussian = from_module(nn.Linear(2, 2), 0.1)
    train(gaussian, (X, Y), CONFIG, seed=0, prior=gaussian, checkpoint=tmp_path)
    (path,) = tmp_path.glob("training-*")
    content = path.read_bytes()
    path.write_bytes(content.replace(b'\\"objective\\"', b'\\"objectiv_\\"'))
    with pytest.raises(InvalidInput, match="Delete it"):
        train(gaussian, (X, Y), CONFIG, seed=0, prior=gaussian, checkpoint=tmp_path)
    assert read_state(tmp_path / "absent", (), torch.optim.SGD([torch.zeros(1)], 0.1)) is None


def test_files_have_the_mode_of_other_files(tmp_path):
    save(from_module(nn.Linear(2, 2), 0.1), tmp_path / "gaussian.safetensors")
    (tmp_path / "plain").write_bytes(b"")
    modes = [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("gaussian.safetensors", "plain")]
    assert modes[0] == modes[1]


class Scaled(nn.Module):
    """A linear classifier with a temperature: a parameter without axes."""

    def __init__(self):
        super().__init__()
        self.linear, self.temperature = nn.Linear(2, 2), nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        return self.linear(x) * self.temperature


def test_a_parameter_without_axes_is_drawn():
    gaussian = from_module(Scaled(), 0.1)
    one = sample(gaussian, torch.Generator().manual_seed(0))
    many = sample(gaussian, torch.Generator().manual_seed(0), 3)
    assert one["temperature"].shape == ()
    assert torch.equal(many["temperature"][0], one["temperature"])
    assert certify_draw(gaussian, prior=gaussian, data=(X, Y), delta=0.1, seed=0).certificate.check().sound


@pytest.mark.parametrize(
    "call",
    [
        lambda g: certify(g, prior=g, data=(X, Y), delta=0.1, seed=0, draws=5, device="meta"),
        lambda g: certify(g, prior=g, data=(X.to_sparse(), Y), delta=0.1, seed=0, draws=5),
        lambda g: train(g, (X, Y), CONFIG, seed=0, prior=g, checkpoint=3),
    ],
)
def test_what_has_no_numbers_or_no_name_is_refused(call):
    with pytest.raises(InvalidInput) as caught:
        call(from_module(nn.Linear(2, 2), 0.1))
    assert caught.value.advice
