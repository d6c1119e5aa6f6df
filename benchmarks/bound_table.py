"""All bounds for one trained posterior, beside the held-out test bound: python benchmarks/bound_table.py [--json] [--only NAME].

For each data set: a prior learned on one part, a posterior trained by PBB's f_quad from it, and
- PBB's certificate as published (2 sqrt n, two-sided Monte Carlo, m draws on all examples), then one lever at a time: the exact constant,
  one side, a draw for each example; the same posterior, data and delta, and n - n0 counted honestly;
- every bound of `compare` for the same draws;
- our own posterior, trained through the exact kl inverse;
- recursive PAC-Bayes from a prior that saw nothing (the network at its start), over all the examples in parts of a quarter, a quarter and a half,
  gamma = 1/2: its three bounds, the first of which is what such a prior gives without recursion;
- the test bounds of the posterior's mean network on the test part, which no bound above has used.
Settings are those of the digits job for every data set; they were chosen on MNIST images pooled to 8 x 8.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import argparse  # noqa: E402 (the environment comes first)
import json  # noqa: E402 (the environment comes first)
import math  # noqa: E402 (the environment comes first)
import time  # noqa: E402 (the environment comes first)
from typing import Any  # noqa: E402 (the environment comes first)

import torch  # noqa: E402 (the environment comes first)
from datasets import Parts, available  # noqa: E402 (the environment comes first)
from torch import Tensor, nn  # noqa: E402 (the environment comes first)

import nonvacuous as nv  # noqa: E402 (the environment comes first)
from nonvacuous.numerics.certify.digits import POSTERIOR_TRAINING, PRIOR_TRAINING  # noqa: E402 (the environment comes first)
from nonvacuous.numerics.certify.losses import Loss, zero_one  # noqa: E402 (the environment comes first)
from nonvacuous.numerics.certify.monte_carlo import draw_losses  # noqa: E402 (the environment comes first)
from nonvacuous.numerics.methods.network import outputs  # noqa: E402 (the environment comes first)

DELTA, DRAWS_DELTA, DRAWS = 0.04, 0.01, 1000
SCALE, HIDDEN = 0.05, 100


def tensors(part: Any) -> tuple[Tensor, Tensor]:
    return torch.as_tensor(part[0]), torch.as_tensor(part[1])


def network(inputs: int, classes: int) -> nn.Module:
    stream = torch.Generator().manual_seed(0)
    layers = [nn.utils.skip_init(nn.Linear, *sizes) for sizes in ((inputs, HIDDEN), (HIDDEN, classes))]
    with torch.no_grad():
        for layer in layers:
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=stream) * math.sqrt(2 / layer.in_features))
            layer.bias.zero_()
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])


def levers(risk: float, by_example: nv.bounds.Certificate, kl: float, n: int) -> dict[str, float]:
    """From PBB's published certificate to ours, one change at a time."""
    common = {"risk": risk, "draws": DRAWS, "kl": kl, "n": n, "delta": DELTA, "draws_delta": DRAWS_DELTA}
    return {
        "PBB as published": nv.bounds.pbb(**common).value,
        "exact constant": nv.bounds.pbb(**common, constant="exact").value,
        "one-sided Monte Carlo": nv.bounds.pbb(**common, constant="exact", sides="one").value,
        "a draw for each example": nv.bounds.seeger_kl(risk=by_example, kl=kl, n=n, delta=DELTA).value,
    }


def run(parts: Parts) -> dict[str, Any]:
    begin = time.perf_counter()
    prior_part, bound_part, test_part = (tensors(p) for p in (parts.prior, parts.bound, parts.test))
    everything = tuple(torch.cat(pair) for pair in zip(prior_part, bound_part, strict=True))
    start = nv.posteriors.from_module(network(prior_part[0].shape[1], parts.classes), SCALE)
    prior = nv.posteriors.train(start, prior_part, PRIOR_TRAINING, seed=0)
    n, n0 = len(bound_part[0]), len(prior_part[0])
    row: dict[str, Any] = {
        "data": parts.name,
        "n": n,
        "n_prior": n0,
        "test": len(test_part[0]),
        "parameters": prior.parameters,
    }
    for objective in ("quad", "kl_inverse"):
        config = POSTERIOR_TRAINING.__class__(**{**vars(POSTERIOR_TRAINING), "objective": objective})
        posterior = nv.posteriors.train(prior, everything, config, seed=0, prior=prior, n_bound=n)
        kl = nv.posteriors.kl_divergence(posterior, prior)
        losses = draw_losses(posterior, *bound_part, Loss("zero_one"), draws=DRAWS, seed=1)
        best = nv.certify(
            posterior, prior=prior, data=bound_part, delta=DELTA + DRAWS_DELTA, seed=1, n_prior=n0, draws=DRAWS,
            monte_carlo_share=DRAWS_DELTA / (DELTA + DRAWS_DELTA),
        )  # fmt: skip
        wrong = zero_one(outputs(posterior.network, test_part[0]), test_part[1]).double().numpy()
        risk = float(losses.double().mean())
        row[objective] = {
            "kl": kl,
            "empirical_risk": risk,
            "levers": levers(risk, best.parts["risk"], kl, n),
            "certified": best.value,
            "bounds": {
                r.function: r.certificate.value
                for r in nv.bounds.compare(
                    losses=losses.numpy(), kl=kl, n_prior=n0, delta=DELTA + DRAWS_DELTA
                ).certificates
                if r.certificate
            },
            "test_error_of_the_mean": float(wrong.mean()),
            "test_bounds_of_the_mean": {
                r.function: r.certificate.value
                for r in nv.bounds.compare(losses=wrong, delta=DELTA + DRAWS_DELTA).certificates
                if r.certificate
            },
        }
    row["recursive"] = recursive(start, everything)
    row["seconds"] = time.perf_counter() - begin
    return row


def recursive(start: Any, everything: Any) -> dict[str, Any]:
    x, y = everything
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    cuts = [len(y) // 4, len(y) // 2]
    sets = list(zip(x[order].tensor_split(cuts), y[order].tensor_split(cuts), strict=True))
    config = POSTERIOR_TRAINING.__class__(**{**vars(POSTERIOR_TRAINING), "objective": "kl_inverse", "epochs": 30})
    chain = nv.posteriors.train_recursive(start, sets, config, seed=0)
    found = nv.posteriors.certify_recursive(
        chain, prior=start, data=sets, delta=DELTA + DRAWS_DELTA, seed=1, draws=300, look_alikes=True
    )
    return {"bounds": list(found.inputs["bounds"]), "kl": [found.inputs["kl"], *found.inputs["kls"]]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--only", help="part of a data set's name")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [parts for parts in available() if options.only is None or options.only.lower() in parts.name.lower()]
    rows = [run(parts) for parts in chosen]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(
            f"{row['data']}: bound on {row['n']} examples, prior from {row['n_prior']}, {row['parameters']} parameters, {row['seconds']:.0f} s"
        )
        for objective in ("quad", "kl_inverse"):
            found = row[objective]
            print(f"  trained by {objective}: KL {found['kl']:.3f}, empirical Gibbs risk {found['empirical_risk']:.4f}")
            for title in ("levers", "bounds", "test_bounds_of_the_mean"):
                print(f"    {title}: " + ", ".join(f"{name} {value:.4f}" for name, value in found[title].items()))
            print(f"    test error of the mean network {found['test_error_of_the_mean']:.4f}")
        print(
            "  recursion from a data-free prior: " + ", ".join(f"{value:.4f}" for value in row["recursive"]["bounds"])
        )


if __name__ == "__main__":
    main()
