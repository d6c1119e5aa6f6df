"""The empirical tangent kernel of any torch module: three routes, finite differences, neural-tangents, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nonvacuous.errors import AssumptionViolated, InvalidInput
from nonvacuous.numerics.empirical_ntk import AXES, empirical_ntk, predicted_costs
from nonvacuous.numerics.methods.network import freeze

EPS = 2.0**-52


class Attention(nn.Module):
    """Embedding, norm, a layer used twice, a loose parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.norm = nn.Embedding(11, 6), nn.LayerNorm(6)
        self.layer, self.out = nn.Linear(6, 6), nn.Linear(6, 3)
        self.position = nn.Parameter(torch.randn(5, 6))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        h = self.norm(self.embedding(tokens) + self.position)
        h = h + self.layer(torch.softmax(self.layer(h) @ h.mT, -1) @ h)
        return self.out(h.mean(1))


class Outside(nn.Module):
    """The weight of a layer is used once more, outside of it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.layer(x)) @ self.layer.weight


class Tied(nn.Module):
    """Two layers share one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(x)))


def partly_frozen() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2), nn.Tanh(), nn.Linear(2, 2, bias=False))
    model[0].weight.requires_grad_(False)
    model[2].bias.requires_grad_(False)
    return model


def worlds() -> dict[str, tuple[nn.Module, torch.Tensor]]:
    torch.manual_seed(0)
    dense, image, line = torch.randn(7, 4), torch.randn(5, 2, 7, 6), torch.randn(5, 2, 9)
    norm = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    norm(dense)
    return {
        "mlp": (nn.Sequential(nn.Linear(4, 9), nn.GELU(), nn.Linear(9, 3)), dense),
        "one output": (nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 1)), dense),
        "one layer": (nn.Linear(4, 2), dense),
        "convolution": (
            nn.Sequential(
                nn.Conv2d(2, 3, (3, 2), stride=2, padding=1, dilation=(1, 2)), nn.Tanh(), nn.Conv2d(3, 4, 2),
                nn.Tanh(), nn.Flatten(), nn.Linear(4 * 3 * 2, 3),
            ),
            image,
        ),
        "convolution in one dimension": (
            nn.Sequential(nn.Conv1d(2, 3, 3, padding=2, dilation=2), nn.ReLU(), nn.Flatten(), nn.Linear(27, 2)), line,
        ),
        "groups and reflection": (
            nn.Sequential(
                nn.Conv2d(2, 4, 3, groups=2), nn.Tanh(), nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect"),
                nn.Flatten(), nn.Linear(40, 2),
            ),
            image,
        ),
        "attention": (Attention(), torch.randint(0, 11, (6, 5))),
        "batch norm": (norm.eval(), dense),
        "partly frozen": (partly_frozen(), dense),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(worlds()))
@pytest.mark.parametrize("between", [False, True])
def test_the_three_routes_agree(name, between):
    model, x = worlds()[name]
    model, x = model.double(), x.double() if x.is_floating_point() else x
    x, y = (x[:3], x[2:]) if between else (x, None)
    routes = ("jacobian", "products", "structured")
    found = {route: empirical_ntk(model, x, y, method=route) for route in routes}
    blocks = found["jacobian"].blocks
    assert blocks.shape == (len(x), len(x if y is None else y), *[found["jacobian"].blocks.shape[2]] * 2)
    # every entry is a sum over parameters of products of derivatives, each right to some hundred roundings of a backward pass
    scale = float(blocks.abs().max())
    for route in routes:
        assert float((found[route].blocks - blocks).abs().max()) < 1e3 * EPS * scale
        assert found[route].method == route
        assert found[route].checked == (3 if route == "structured" else 0)
    small = empirical_ntk(model, x, y, method="jacobian", memory_mb=1e-3)
    assert float((small.blocks - blocks).abs().max()) < 1e3 * EPS * scale
    auto = empirical_ntk(model, x, y)
    assert auto.method == predicted_costs(freeze(model, "cpu"), x, y).cheapest
    if y is None:
        gram = found["structured"].gram
        assert torch.allclose(gram, gram.T, atol=1e3 * EPS * scale)
        assert float(torch.linalg.eigvalsh((gram + gram.T) / 2)[0]) > -1e3 * len(gram) * EPS * scale


def test_axes_are_those_of_the_jacobian():
    model, x = worlds()["mlp"]
    model, x = model.double(), x.double()
    rows = []
    for point in x:
        for c in range(3):
            model.zero_grad()
            model(point[None])[0, c].backward()
            rows.append(torch.cat([p.grad.reshape(-1) for p in model.parameters()]))
    jacobian = torch.stack(rows)
    found = empirical_ntk(model, x)
    assert torch.allclose(found.gram, jacobian @ jacobian.T, rtol=1e-12)
    assert AXES == ("x", "y", "output_x", "output_y")
    assert float(found.blocks[1, 2, 0, 1]) == pytest.approx(float(rows[3] @ rows[7]), rel=1e-12)
    assert torch.allclose(found.mean_over_outputs, found.blocks.diagonal(dim1=2, dim2=3).sum(-1) / 3)


def test_finite_differences():
    """Central differences in every parameter: error h^2 times a third derivative plus eps/h, below 1e-8 of the scale at h = 1e-5."""
    model, x = worlds()["convolution"]
    model, x = model.double(), x.double()[:2]
    step, columns = 1e-5, []
    with torch.no_grad():
        for parameter in model.parameters():
            flat = parameter.view(-1)
            for k in range(len(flat)):
                kept = float(flat[k])
                flat[k] = kept + step
                above = model(x)
                flat[k] = kept - step
                below = model(x)
                flat[k] = kept
                columns.append(((above - below) / (2 * step)).reshape(-1))
    jacobian = torch.stack(columns, 1)
    found = empirical_ntk(model, x).gram
    assert float((found - jacobian @ jacobian.T).abs().max()) < 1e-8 * float(found.abs().max())


def test_structure_that_does_not_hold_is_found():
    x = torch.randn(5, 4, dtype=torch.float64)
    for model in (Outside().double(), Tied().double()):
        exact = empirical_ntk(model, x, method="jacobian").blocks
        with pytest.raises(AssumptionViolated, match="jacobian"):
            empirical_ntk(model, x, method="structured")
        auto = empirical_ntk(model, x)
        assert torch.allclose(auto.blocks, exact, rtol=1e-10)


class Elsewhere(nn.Module):
    """One weight of a layer is used once more, by a part in `size` of what the layer does with it."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.first, self.second, self.size = nn.Linear(4, 30), nn.Linear(30, 2), size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x))) + self.size * self.first.weight[7, 3]


def test_one_gradient_of_many_that_is_off_is_found():
    """Down to the ten thousand roundings that a backward pass is allowed: 2e-12 of the greatest entry, of order one here."""
    torch.manual_seed(0)
    x = torch.randn(5, 4, dtype=torch.float64)
    for size, found in ((1.0, True), (1e-6, True), (1e-10, True), (1e-15, False)):
        model = Elsewhere(size).double()
        if found:
            with pytest.raises(AssumptionViolated, match="weight"):
                empirical_ntk(model, x, method="structured")
        else:
            empirical_ntk(model, x, method="structured")


class Mixing(nn.Module):
    """Each output depends on one other example's: the next, the one before, or all."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.layer, self.how = nn.Linear(4, 2), how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, rest = self.layer(x), torch.zeros_like(self.layer(x))
        if self.how == "next":
            rest[:-1] = h[1:]
        elif self.how == "before":
            rest[1:] = h[:-1]
        else:
            rest = h.mean(0, keepdim=True).expand_as(h)
        return h + 1e-3 * rest.detach()


@pytest.mark.parametrize("how", ["next", "before", "all"])
@pytest.mark.parametrize("method", ["structured", "jacobian", "auto"])
def test_examples_that_mix_are_refused(how, method):
    x = torch.randn(9, 4, dtype=torch.float64)
    with pytest.raises(AssumptionViolated, match="batch"):
        empirical_ntk(Mixing(how).double(), x, method=method)


def test_a_module_that_gives_other_bits_each_time_is_refused():
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) * (1 + 1e-14 * torch.randn((), dtype=x.dtype))

    torch.manual_seed(1)
    for method in ("structured", "jacobian", "auto"):
        with pytest.raises(AssumptionViolated, match="chance"):
            empirical_ntk(Noisy().double(), torch.randn(5, 4, dtype=torch.float64), method=method)


@pytest.mark.parametrize(("n", "m", "c"), [(1, 1, 1), (700, 3, 2), (3, 700, 1)])
def test_blocks_of_many_examples_are_those_of_few(n, m, c):
    """Products by halves: the same numbers as against a copy, which is computed whole."""
    torch.manual_seed(n)
    model, x = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, c)).double(), torch.randn(n, 4).double()
    own = empirical_ntk(model, x, method="structured").blocks
    whole = empirical_ntk(model, x, x.clone(), method="structured").blocks
    assert torch.allclose(own, whole, rtol=1e-13, atol=1e-13 * float(whole.abs().max()))
    assert torch.allclose(own, own.permute(1, 0, 3, 2), rtol=1e-13, atol=1e-13 * float(whole.abs().max()))
    y = torch.randn(m, 4).double()
    assert torch.allclose(
        empirical_ntk(model, x, y, method="structured").blocks,
        empirical_ntk(model, y, x, method="structured").blocks.permute(1, 0, 3, 2),
        rtol=1e-13,
    )


def test_neural_tangents_agrees():
    """A wide ReLU network with the weights of a stax network: the same empirical kernel."""
    pytest.importorskip("jax")
    from nonvacuous.numerics.kernels.neural_tangents import double_precision, neural_tangents

    theirs = neural_tangents()
    from neural_tangents import stax

    x = np.random.default_rng(0).normal(size=(6, 3))
    with double_precision():
        import jax

        init, apply, _ = stax.serial(
            stax.Dense(32, parameterization="standard", b_std=0.5), stax.Relu(), stax.Dense(16, parameterization="standard", b_std=0.5),
            stax.Erf(), stax.Dense(2, parameterization="standard", b_std=0.5),
        )  # fmt: skip
        _, parameters = init(jax.random.key(0), (-1, 3))
        kernel = np.asarray(
            theirs.empirical_ntk_fn(
                apply, trace_axes=(), implementation=theirs.NtkImplementation.STRUCTURED_DERIVATIVES
            )(x, None, parameters)
        )
        weights = [(np.asarray(w), np.asarray(b)) for w, b in (p for p in parameters if p)]

    class Erf(nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return torch.erf(z)

    model = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 16), Erf(), nn.Linear(16, 2)).double()
    with torch.no_grad():
        for layer, (w, b) in zip([model[0], model[2], model[4]], weights, strict=True):
            layer.weight.copy_(torch.tensor(w.T))
            layer.bias.copy_(torch.tensor(b.reshape(-1)))
    found = empirical_ntk(model, torch.tensor(x)).blocks.numpy()
    assert np.abs(found - kernel).max() < 1e3 * EPS * np.abs(kernel).max()


def test_a_call_whose_result_is_not_used():
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.layer(2 * x)
            return self.layer(x)

    torch.manual_seed(0)
    model, x = Idle().double(), torch.randn(3, 4, dtype=torch.float64)
    found = empirical_ntk(model, x, method="structured").blocks
    assert torch.allclose(found, empirical_ntk(model.layer, x, method="jacobian").blocks, rtol=1e-13)


X = torch.randn(3, 4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: empirical_ntk(nn.Linear(4, 2), X.double()), InvalidInput, "float64"),
        (lambda: empirical_ntk(nn.Linear(4, 2), X, X.double()), InvalidInput, "float64"),
        (lambda: empirical_ntk(nn.Linear(3, 2), X), InvalidInput, "cannot be evaluated"),
        (lambda: empirical_ntk(nn.Linear(4, 2), X, torch.randn(2, 3)), InvalidInput, "cannot be evaluated"),
        (lambda: empirical_ntk(nn.Linear(4, 2), X[:0]), InvalidInput, "at least one"),
        (lambda: empirical_ntk(nn.Linear(4, 2), X * float("nan")), InvalidInput, "NaN"),
        (lambda: empirical_ntk(nn.Linear(4, 2), X.numpy()), InvalidInput, "ndarray"),
        (lambda: empirical_ntk(nn.Linear(4, 2), X, method="hessian"), InvalidInput, "method"),
        (lambda: empirical_ntk(nn.Linear(4, 2), X, memory_mb=0), InvalidInput, "memory_mb"),
        (lambda: empirical_ntk(nn.Linear(4, 2), X, device="nowhere"), InvalidInput, "device"),
        (lambda: empirical_ntk(nn.Sequential(nn.Linear(4, 2), nn.Softmax(0)), X), AssumptionViolated, "batch"),
        (lambda: empirical_ntk(nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2)), X), InvalidInput, "training mode"),
        (lambda: empirical_ntk(nn.Sequential(nn.Linear(4, 2), nn.Dropout()), X), InvalidInput, "training mode"),
        (lambda: empirical_ntk(nn.Linear(4, 2).requires_grad_(False), X), InvalidInput, "requires_grad"),
        (lambda: empirical_ntk(nn.Flatten(), X), InvalidInput, "requires_grad"),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()
