"""The user's module stays as it is, whatever runs in its forward pass; parameters are read in place only where nothing can write to them."""

from __future__ import annotations

import contextlib
from types import MethodType

import pytest
import torch
from torch import nn

from nonvacuous.errors import AssumptionViolated, InvalidInput
from nonvacuous.numerics.empirical_ntk import empirical_ntk
from nonvacuous.numerics.methods.network import freeze, outputs


def test_the_users_module_stays_as_it_is():
    model = nn.Linear(4, 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for method in ("structured", "jacobian", "products"):
        empirical_ntk(model, torch.randn(3, 4), method=method)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not model._forward_hooks
    assert all(value.grad is None and value.requires_grad for value in model.parameters())


def test_a_layer_that_writes_to_its_weights_writes_to_a_copy():
    """An embedding with a greatest norm shrinks its rows when it is called."""
    model = nn.Sequential(nn.Embedding(3, 4, max_norm=0.1), nn.Flatten(), nn.Linear(8, 2))
    before = model[0].weight.detach().clone()
    held = freeze(model, "cpu", share_parameters=True)
    outputs(held, torch.tensor([[0, 1], [2, 2]]))
    assert torch.equal(model[0].weight, before)
    assert not torch.equal(held.random["0.weight"], before)


class Writing(nn.Module):
    """A forward pass that clips the weights of its layer, by either way round autograd."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.layer, self.how = nn.Linear(4, 3), how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return clipped(self.layer, self.how)(x)


def clipped(layer: nn.Module, how: str) -> nn.Module:
    weight = layer.weight
    if how == "data":
        weight.data.clamp_(-0.1, 0.1)
    else:
        with torch.no_grad():
            weight.clamp_(-0.1, 0.1)
    return layer


def replaced_forward() -> nn.Module:
    layer = nn.Linear(4, 3)
    layer.forward = lambda x: nn.functional.linear(x, clipped(layer, "data").weight, layer.bias)
    return layer


def hooked(register: str) -> nn.Module:
    layer = nn.Linear(4, 3)
    getattr(layer, register)(lambda part, *_: clipped(part, "data") and None)
    return layer


@pytest.mark.parametrize("method", ["structured", "jacobian", "products", "auto"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Writing("data"),
        lambda: Writing("no_grad"),
        lambda: nn.Sequential(Writing("data")),
        lambda: hooked("register_forward_pre_hook"),
        lambda: hooked("register_forward_hook"),
    ],
    ids=["data", "no_grad", "inside", "pre-hook", "hook"],
)
def test_a_forward_pass_that_writes_to_weights_writes_to_a_copy(make, method):
    torch.manual_seed(0)
    model = make()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with contextlib.suppress(AssumptionViolated, InvalidInput):  # such a module may be refused, but it stays as it was
        empirical_ntk(model, torch.randn(5, 4), method=method)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_forward_pass_that_a_copy_would_share_is_refused():
    """The function sees the user's own layer, whatever is copied: its gradients would be those of nothing."""
    with pytest.raises(InvalidInput, match="replaced"):
        empirical_ntk(replaced_forward(), torch.randn(5, 4))
    layer = nn.Linear(4, 3)
    layer.forward = MethodType(lambda self, x: torch.tanh(nn.functional.linear(x, self.weight, self.bias)), layer)
    plain = nn.Sequential(layer_copy := nn.Linear(4, 3), nn.Tanh())
    layer_copy.load_state_dict(layer.state_dict())
    x = torch.randn(5, 4)
    found, expected = (empirical_ntk(model, x, method="jacobian").blocks for model in (layer, plain))
    assert torch.allclose(found, expected, rtol=1e-5)


def test_parameters_are_read_where_they_lie_and_move_nowhere():
    model = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.Linear(3, 3))
    model[2].weight = model[0].weight = nn.Parameter(torch.randn(3, 3))
    held = freeze(model, "cpu", share_parameters=True)
    assert held.random["0.weight"].data_ptr() == model[0].weight.data_ptr()
    assert held.random["1.weight"].data_ptr() != model[1].weight.data_ptr()
    assert held.module[0].weight is held.module[2].weight is not model[0].weight
    held.module.double()
    assert all(value.dtype == torch.float32 for value in model.parameters())
    apart = freeze(model, "cpu")
    assert all(value.data_ptr() != model.get_parameter(name).data_ptr() for name, value in apart.random.items())
