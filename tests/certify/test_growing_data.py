"""Certificates of a growing sample: one delta for the stream, paid once; looks that are no stream are refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import nonvacuous as nv
from nonvacuous.errors import AssumptionViolated, InvalidInput
from nonvacuous.numerics.certify.gaussian import from_module, moved
from nonvacuous.posteriors import TrainingConfig, certify_growing, train

CONFIG = TrainingConfig("kl_inverse", epochs=3, batch_size=50, learning_rate=0.02)


def sample(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, generator=stream)
    return x, (x.sum(1) > 0).long()


def start() -> nv.posteriors.MeanFieldGaussian:
    torch.manual_seed(0)
    return from_module(nn.Linear(2, 2), 0.5)


X, Y = sample(400)
SIZES = (1, 50, 200, 400)


def looks(sizes=SIZES):
    for n in sizes:
        yield start(), (X[:n], Y[:n])


def test_every_look_is_the_time_uniform_bound_and_the_stream_spends_delta_once():
    found = list(certify_growing(looks(), prior=start(), delta=0.05, seed=0, draws=100))
    draws = 0.0
    for k, (n, certificate) in enumerate(zip(SIZES, found, strict=True), start=1):
        part = certificate.parts["risk"]
        assert certificate.value == nv.bounds.kl_anytime(risk=part, kl=0.0, n=n, delta=0.04).value
        share = 0.01 / (k * (k + 1))
        assert part.delta == pytest.approx(share, rel=1e-12, abs=0)
        assert part.delta <= share * (1 + 1e-15)
        assert certificate.check()
        assert certificate.inputs["look"] == k
        draws += part.delta
        assert len({entry.event for entry in certificate.ledger.entries}) == 2
    assert 0.04 + draws <= 0.05
    events = {certificate.parts["risk"].ledger.entries[0].event for certificate in found}
    assert len(events) == len(SIZES)
    # all the looks together fit into one ledger: none of the events is paid for twice but that of the sample, which is one
    ledger = found[0].ledger
    for certificate in found[1:]:
        ledger = ledger.merge(certificate.parts["risk"].ledger)
    assert ledger.delta <= 0.05


def test_a_posterior_may_depend_on_the_certificates_before():
    certificates = []

    def stream():
        posterior = start()
        for n in (100, 400):
            yield posterior, (X[:n], Y[:n])
            assert len(certificates) == (1 if n == 100 else 2)  # the look was certified before the next is trained
            posterior = train(posterior, (X[:n], Y[:n]), CONFIG, seed=n, prior=start())

    for certificate in certify_growing(stream(), prior=start(), delta=0.05, seed=0, draws=50):
        certificates.append(certificate)
    assert certificates[1].inputs["kl"] > 0


def test_draws_of_different_looks_are_independent():
    """The same posterior on the same data twice: the second look draws afresh."""
    one, two = certify_growing(looks((50, 50)), prior=start(), delta=0.05, seed=0, draws=3, parts=1)
    assert one.parts["risk"].inputs["risk"] != two.parts["risk"].inputs["risk"]


@pytest.mark.parametrize(
    "second", [(X[:30], Y[:30]), (X[1:101], Y[1:101]), (X[:100].flip(0), Y[:100].flip(0)), (X[:100], 1 - Y[:100])]
)
def test_what_is_no_stream_is_refused_and_the_looks_before_stay(second):
    stream = certify_growing(
        iter([(start(), (X[:50], Y[:50])), (start(), second)]), prior=start(), delta=0.05, seed=0, draws=5
    )
    assert next(stream).value <= 1
    with pytest.raises(AssumptionViolated, match="look before"):
        next(stream)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"delta": 0.0}, "delta"),
        ({"delta": 1.0}, "delta"),
        ({"draws": 0}, "draws"),
        ({"seed": -1}, "seed"),
        ({"monte_carlo_share": 1.0}, "share"),
        ({"prior": nn.Linear(2, 2)}, "prior"),
        ({"loss": "mse"}, "loss"),
    ],
)
def test_bad_input_is_refused_before_the_first_look(changes, words):
    with pytest.raises(InvalidInput, match=words):
        certify_growing(iter(()), **({"prior": start(), "delta": 0.05, "seed": 0} | changes))


def test_bad_looks():
    options = {"prior": start(), "delta": 0.05, "seed": 0, "draws": 5}
    with pytest.raises(InvalidInput, match="looks"):
        certify_growing(3, **options)
    with pytest.raises(InvalidInput, match="Look 1"):
        next(certify_growing([start()], **options))
    other = moved(start(), start().means, {k: v + 1 for k, v in start().log_scales.items()})
    assert next(certify_growing([(other, (X, Y))], **options)).inputs["kl"] > 0
    with pytest.raises(InvalidInput, match="NaN"):
        next(certify_growing([(start(), (X * float("nan"), Y))], **options))
