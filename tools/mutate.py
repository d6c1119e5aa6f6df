"""Change one constant, term or sign at a time and see which check or test of the mathematics notices.

`python tools/mutate.py [NUMBER ...]` works on a copy of the tree: for each mutation it verifies the results concerned and runs
the area's tests, and prints what caught it. A mutation that nothing catches is a defect of the suite (exit code 1).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("nonvacuous", "theory", "numerics", "proofs", "tests", "pyproject.toml")


@dataclass(frozen=True)
class Mutation:
    """Replace the only occurrence of `old` in `file` by `new`; the results and tests that should notice."""

    file: str
    old: str
    new: str
    keys: tuple[str, ...]
    tests: tuple[str, ...]


# One or more for each of the first results: a constant, a term, a sign.
MUTATIONS: tuple[Mutation, ...] = (
    Mutation("numerics/certified/maurer.py", "THETA = (Fraction(1, 3)", "THETA = (Fraction(1, 4)", ("pb.xi",), ("tests/certified/test_maurer.py",)),
    Mutation("numerics/certified/maurer.py", "Fraction(8992, 12629925)", "Fraction(8993, 12629925)", ("pb.xi",), ("tests/certified/test_maurer.py",)),
    Mutation("theory/balls/maurer.py", "x.gamma_upper(x + 1)", "x.gamma_upper(x)", ("pb.xi",), ("tests/certified/test_balls.py",)),
    Mutation("proofs/pac_bayes/foundations/change_of_measure.py", "supremum = float(logsumexp(setting.f, b=setting.prior))", "supremum = float(logsumexp(setting.f))", ("pb.dv",), ()),
    Mutation("numerics/certified/kl_newton.py", "GAP_ULPS = 4.0", "GAP_ULPS = -1.0", ("pb.klinv",), ("tests/certified/test_kl_inverse.py",)),
    Mutation("numerics/certified/kl_newton.py", "((qc * v - c) - q", "((qc * v - c * 1.000001) - q", ("pb.klinv",), ("tests/certified/test_kl_inverse.py",)),
    Mutation("numerics/certified/kl_inverse.py", "return complement, p, -gap, log_p", "return complement, p, gap, log_p", (), ("tests/certified/test_kl_inverse.py",)),
    Mutation("numerics/bounds/seeger.py", "(kl + log_constant + log_inv_delta) / n", "(kl + log_inv_delta) / n", ("pb.kl",), ("tests/bounds",)),
    Mutation("numerics/bounds/seeger.py", "total - used, delta", "total, delta", ("pb.data_prior",), ("tests/bounds",)),
    Mutation("numerics/bounds/monte_carlo.py", "div_up(level, count)", "div_up(level, count + 1)", ("pb.gibbs_mc",), ("tests/bounds",)),
    Mutation("numerics/bounds/from_losses.py", "shares = split_delta(delta, monte_carlo_share)", "shares = 0.2 * delta, delta", (), ("tests/bounds",)),
    Mutation("numerics/certified/exponential_rate.py", "limit = -np.expm1(-1.0 - s)", "limit = -np.expm1(-s)", ("pb.cramer",), ("tests/certified/test_exponential_rate.py",)),
    Mutation("numerics/certified/exponential_rate.py", "- s) * (1.0 - y) / y", "- 2 * s) * (1.0 - y) / y", ("pb.cramer",), ("tests/certified/test_exponential_rate.py",)),
    Mutation("numerics/implicit_bias/least_squares.py", "return w + space.right @ ((space.left.T @ (y - x @ w)) / space.singular_values)", "return w + space.right @ ((space.left.T @ (y + x @ w)) / space.singular_values)", ("ib.ls_minnorm",), ("tests/implicit_bias/test_least_squares.py",)),
    Mutation("numerics/implicit_bias/variational_regression.py", "factor = prior.factor - right @ (right.T @ prior.factor)", "factor = right @ (right.T @ prior.factor)", ("ib.regression_w2",), ("tests/implicit_bias/test_variational_regression.py",)),
    Mutation("numerics/kernels/duals/rectified.py", "- 2 / np.pi * sine_minus_t_cosine(t))", "- 2.001 / np.pi * sine_minus_t_cosine(t))", ("iw.nngp_limit", "iw.ntk_recursion"), ("tests/infinite_width/test_kernels.py",)),
    Mutation("numerics/kernels/duals/erf.py", "4 / (np.pi * kernel.cosine)", "2 / (np.pi * kernel.cosine)", ("iw.ntk_recursion",), ("tests/infinite_width/test_kernels.py",)),
    Mutation("numerics/wide_networks/ensemble.py", "residual = factor[:tests] - smoother", "residual = factor[:tests] + smoother", ("iw.lin_cov_inf",), ("tests/infinite_width/test_ensemble.py",)),
    Mutation("numerics/wide_networks/ensemble.py", "return 2 * ensemble_covariance(", "return 1 * ensemble_covariance(", ("iw.rnd_equals_ensemble",), ("tests/infinite_width/test_ensemble.py",)),
    Mutation("numerics/methods/laplace.py", "alpha=1 / config.prior_precision", "alpha=0.5 / config.prior_precision", ("fs.lla_function",), ("tests/function_space",)),
    Mutation("numerics/methods/laplace.py", "rows = root[:, :, None] * (jacobian - torch", "rows = root[:, :, None] * (jacobian + torch", ("fs.lla_function",), ("tests/function_space",)),
    Mutation("numerics/propagation/linear.py", "(np.square(x.mean) + x.variance) @ weight_variance.T", "np.square(x.mean) @ weight_variance.T", ("vp.one_hidden_exact",), ("tests/variance_propagation",)),
    Mutation("numerics/propagation/activations.py", "(np.maximum(a, 0.0) + excess) * (np.maximum(-a, 0.0) + excess)", "(np.maximum(a, 0.0) + excess) * (np.maximum(-a, 0.0))", ("vp.one_hidden_exact",), ("tests/variance_propagation",)),
    Mutation("numerics/scaling_laws/gaussian_design.py", "return p / (n - p - 1)", "return p / (n - p)", ("us.blr_gaussian_design",), ("tests/scaling_laws",)),
    Mutation("numerics/scaling_laws/gaussian_design.py", "digamma_difference((n - p + 1) / 2, p / 2)", "digamma_difference((n - p) / 2, p / 2)", ("us.blr_gaussian_design",), ("tests/scaling_laws",)),
    Mutation("numerics/verdict.py", "abs(end) > half", "abs(end) > 100 * half", ("iw.rnd_equals_ensemble",), ("tests/core/test_verdict.py",)),
    Mutation("numerics/intervals.py", "ALPHA = 1e-6", "ALPHA = 1e-60", (), ("tests/core/test_verdict.py",)),
    # PAC-Bayes: one or more for each family of bounds.
    Mutation("numerics/bounds/empirical_bernstein.py", 'mul_up(2 * ratio, a), n - 1.0', 'mul_up(ratio, a), n - 1.0', ('pb.eb',), ('tests/variance/test_variance_bounds.py',)),
    Mutation("numerics/bounds/empirical_bernstein.py", 'return div_up(2 * a, float(n))', 'return div_up(a, float(n))', ('pb.eb',), ('tests/variance/test_variance_bounds.py',)),
    Mutation("numerics/bounds/unexpected_bernstein.py", 'a = add_up(divergence, log_up(float(len(grid))), level)', 'a = add_up(divergence, level)', ('pb.ub',), ('tests/variance/test_variance_bounds.py',)),
    Mutation("numerics/bounds/split_kl.py", 'log_up(float(parts)), float(log_maurer_xi_upper(n))', 'float(log_maurer_xi_upper(n))', ('pb.split_kl',), ('tests/variance/test_variance_bounds.py',)),
    Mutation("numerics/bounds/vector_kl.py", 'log_nml_upper(classes, n)', 'log_nml_upper(classes - 1, n)', ('pb.trikl',), ('tests/variance/test_variance_bounds.py',)),
    Mutation("numerics/bounds/recursive.py", 'add_up(gain, mul_up(float(step.gamma), bounds[-1]))', 'add_up(gain, bounds[-1])', ('pb.rpb',), ('tests/variance/test_variance_bounds.py',)),
    Mutation("numerics/bounds/recursive.py", 'log_up(float(count)))\n    spent', 'log_up(1.0))\n    spent', ('pb.rpb',), ('tests/variance/test_variance_bounds.py',)),
    Mutation("numerics/certified/nml.py", 'current + (size / k) * before', 'current + (size / (k + 1)) * before', ('pb.nml',), ()),
    Mutation("numerics/bounds/majority_vote.py", 'value = 4 * float(kl_upper(rate_up(rate), complexity(2 * divergence,', 'value = 4 * float(kl_upper(rate_up(rate), complexity(divergence,', ('pb.mv_tandem',), ()),
    Mutation("numerics/bounds/majority_vote.py", 'sub_up(4 * upper, 2 * lower)', 'sub_up(4 * upper, 4 * lower)', ('pb.mv_dis',), ()),
    Mutation("numerics/bounds/sub_gaussian.py", 'level = add_up(divergence, 0.5 * log_up(div_up(total, b)), spent.log_inv_delta)', 'level = add_up(divergence, spent.log_inv_delta)', ('pb.sg_mixture',), ()),
    Mutation("numerics/bounds/chernoff.py", 'log_up(_float_up(size)), spent.log_inv_delta), float(size - 1))', 'log_up(_float_up(size)), spent.log_inv_delta), float(size))', ('pb.pbc',), ()),
    Mutation("numerics/bounds/relaxations.py", 'root = add_up(sqrt_up(add_up(q, c / 2)), sqrt_up(c / 2))', 'root = add_up(sqrt_up(add_up(q, c / 2)), sqrt_up(c / 4))', ('pb.quad',), ()),
    Mutation("numerics/bounds/time_uniform.py", 'return add_up(kl, float(log_kt_upper(n)), log_inv_delta)', 'return add_up(kl, log_inv_delta)', ('pb.kl_anytime',), ()),
    Mutation("numerics/bounds/compression.py", 'return written + table_bits(entries, len(counts)) + arithmetic_bits(counts)', 'return written + arithmetic_bits(counts)', ('pb.compression',), ()),
    Mutation("numerics/bounds/catoni.py", 'denominator = -expm1_up(-beta)', 'denominator = beta', ('pb.catoni',), ()),
    Mutation("numerics/bounds/one_draw.py", 'total = add_up(density, float(log_maurer_xi_upper(size)), spent.log_inv_delta)', 'total = add_up(density, spent.log_inv_delta)', ('pb.disintegrated',), ()),
    Mutation("numerics/bounds/occam.py", 'value = float(binomial_upper(k, size, log_inv_delta=add_up(inverse_weight, spent.log_inv_delta)))', 'value = float(binomial_upper(k, size, log_inv_delta=spent.log_inv_delta))', ('pb.occam_binomial',), ()),
)  # fmt: skip


def run(mutation: Mutation, tree: Path) -> list[str]:
    """Which checks and tests catch it."""
    path = tree / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        raise SystemExit(f"{mutation.file}: {mutation.old!r} occurs {text.count(mutation.old)} times")
    path.write_text(text.replace(mutation.old, mutation.new))
    try:
        return [*verification(mutation, tree), *pytest(mutation, tree)]
    finally:
        path.write_text(text)


def environment(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def verification(mutation: Mutation, tree: Path) -> list[str]:
    """Checks that are not supported, controls that survive, steps that fail."""
    if not mutation.keys:
        return []
    with tempfile.TemporaryDirectory() as out:
        command = [
            sys.executable,
            "-m",
            "nonvacuous.cli.main",
            "verify",
            *mutation.keys,
            "--jobs",
            "2",
            "--json",
            "--out",
            out,
        ]
        done = subprocess.run(command, cwd=out, env=environment(tree), capture_output=True, text=True)
    if not done.stdout:
        return [f"verify: {done.stderr.strip().splitlines()[-1]}"]
    found = []
    for result in json.loads(done.stdout)["results"]:
        found += [
            f"check {result['key']}: {c['name']} ({c['verdict']})"
            for c in result["checks"]
            if c["verdict"] != "supported"
        ]
        if result["derivation"].startswith("failed"):
            found.append(f"derivation {result['key']}")
        found += [
            f"control {result['key']}: {c['name']} / {k['name']} survived"
            for c in result["checks"]
            for k in c["controls"]
            if k["verdict"] != "refuted"
        ]
    return found or ([f"verify: exit code {done.returncode}"] if done.returncode else [])


def pytest(mutation: Mutation, tree: Path) -> list[str]:
    """Tests that fail."""
    if not mutation.tests:
        return []
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *mutation.tests]
    done = subprocess.run(command, cwd=tree, env=environment(tree), capture_output=True, text=True)
    return [f"test {name}" for name in re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)]


def main(numbers: list[int]) -> int:
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        for name in FOLDERS:
            source = ROOT / name
            shutil.copytree(source, tree / name) if source.is_dir() else shutil.copy(source, tree)
        for number, mutation in enumerate(MUTATIONS, 1):
            if numbers and number not in numbers:
                continue
            caught = run(mutation, tree)
            survivors += not caught
            print(f"{number}. {mutation.file}: {mutation.old!r} -> {mutation.new!r}", flush=True)
            print("\n".join(f"     {line}" for line in caught[:6]) or "     NOT CAUGHT", flush=True)
            if len(caught) > 6:
                print(f"     and {len(caught) - 6} more", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main([int(argument) for argument in sys.argv[1:]]))
