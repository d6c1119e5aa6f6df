"""Every bound against its theorem, written down again in mpmath at 50 digits from the statement alone: neither float64 routines nor balls.

A certificate must not be below the formula's value (nor its lower side above it), and not far from it.
"""

from __future__ import annotations

import math
import random
from functools import cache

import pytest
from mpmath import mp, mpf

from nonvacuous import bounds as b

SETTINGS = 8  # of each bound
RISKS = (0.0, 1e-300, 1e-9, 0.0155, 0.1, 0.3, 0.5, 0.9, 1 - 2.0**-53, 1.0)
KLS = (0.0, 1e-17, 1e-3, 1.0, 5.0, 73.2, 600.0, 1e5)
SIZES = (1, 2, 3, 7, 50, 1000, 30_000, 10**9, 10**15)
LEVELS = (1e-17, 0.1, 3.0, 10.0, 690.0, 1e4)
POSITIVE = (1e-9, 1e-3, 0.1, 0.5, 1.0, 2.0, 30.0)


@pytest.fixture(autouse=True)
def _fifty_digits():
    with mp.workdps(50):
        yield


def kl(q, p):
    return (q * mp.log(q / p) if q else mpf(0)) + ((1 - q) * mp.log((1 - q) / (1 - p)) if q < 1 else mpf(0))


def up(q, c):
    """max{p : kl(q||p) <= c} by bisection, from below."""
    q = mpf(q)
    if q == 0 or c == 0:
        return q if c == 0 else -mp.expm1(-c)
    low, high = q, mpf(1)
    for _ in range(230):
        middle = (low + high) / 2
        low, high = (middle, high) if middle < 1 and kl(q, middle) <= c else (low, middle)
    return low


def lo(q, c):
    return 1 - up(1 - mpf(q), c)


@cache
def xi(n):
    """sum_k C(n,k) (k/n)^k (1-k/n)^(n-k) = int_0^inf (1+t/n)^n e^-t dt, t = u sqrt n."""
    with mp.workdps(80):
        if n <= 60:
            return mp.fsum(mp.binomial(n, k) * (mpf(k) / n) ** k * (1 - mpf(k) / n) ** (n - k) for k in range(n + 1))
        root = mp.sqrt(n)
        return root * mp.quad(lambda u: mp.exp(n * mp.log1p(u / root) - u * root), [0, 2, 4, 8, 16, 32, 64, 200])


def kt(n):
    with mp.workdps(90):
        return mp.exp(mp.loggamma(n + 1) - mp.loggamma(n + mpf("0.5"))) * mp.sqrt(mp.pi)


def of_constant(n, constant):
    return xi(n) if constant == "exact" else 2 * mp.sqrt(n)


def c0(s, twice=1, parts=1, n=None):
    n = n or s["n"]
    return (twice * mpf(s["kl"]) + mp.log(parts * of_constant(n, s.get("constant", "exact"))) + s["log_inv_delta"]) / n


def paid(s, extra=0):
    """(kl + ln(1/delta) + extra)/n."""
    return (mpf(s["kl"]) + s["log_inv_delta"] + extra) / s["n"]


def phi(beta, risk, c):
    return -mp.expm1(-(mpf(beta) * risk + c)) / -mp.expm1(-mpf(beta))


def largest_mean(u, f, c):
    """max f.p over KL(u||p) <= c: p_i ~ u_i/(t - f_i), t above max f, or the unseen largest value takes what is left."""
    u, f = [mpf(x) / mp.fsum(map(mpf, u)) for x in u], [mpf(x) for x in f]
    top = max(f)

    def law(beyond):
        p = [x / (beyond + (top - y)) if x else mpf(0) for x, y in zip(u, f, strict=True)]
        total = mp.fsum(p)
        return [x / total for x in p]

    def divergence(p):
        return mp.fsum(x * mp.log(x / y) for x, y in zip(u, p, strict=True) if x)

    if not u[f.index(top)] and divergence(law(0)) <= c:
        k = mp.exp(mp.fsum(x * mp.log(top - y) for x, y in zip(u, f, strict=True) if x) - c)
        return top - k
    low, high = mpf(-120), mpf(60)  # of ln(t - top): the divergence falls in t
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if divergence(law(mp.exp(middle))) > c else (low, middle)
    return mp.fsum(x * y for x, y in zip(law(mp.exp(high)), f, strict=True))


def binomial(k, n, level):
    """max{p : P(Bin(n,p) <= k) >= e^-level} from the defining sum."""
    if k == n:
        return mpf(1)
    low, high = mpf(0), mpf(1)
    for _ in range(190):
        p = (low + high) / 2
        if p == 1:
            break
        term = total = (1 - p) ** n
        for i in range(k):
            term = term * (n - i) * p / ((i + 1) * (1 - p))
            total += term
        low, high = (p, high) if total >= mp.exp(-mpf(level)) else (low, p)
    return low


def bernstein(s):
    n, k, c1, c2 = s["n"], mpf(s["kl"]), mpf(s["c1"]), mpf(s["c2"])
    level = s["log_inv_delta"] + mp.log(2)
    nu1 = max(1, int(mp.ceil(mp.log(mp.sqrt((n - 1) / level + 1) / 2 + mpf(1) / 2) / mp.log(c1))))
    nu2 = max(1, int(mp.ceil(mp.log(mp.sqrt((mp.e - 2) * n / (4 * level))) / mp.log(c2))) + 1)
    one, two, v = k + mp.log(nu1) + level, k + mp.log(nu2) + level, mpf(s["variance"])
    bar = min(mpf("0.25"), v + (1 + c1) * mp.sqrt(v * one / (2 * (n - 1))) + 2 * c1 * one / (n - 1))
    small = two <= n * (mp.e - 2) * bar
    return s["risk"] + ((1 + c2) * mp.sqrt((mp.e - 2) * bar * two / n) if small else 2 * two / n)


def unexpected(s):
    size = max(1, int(mp.ceil(mp.log(mp.sqrt(s["n"] / mpf(s["log_inv_delta"])) / 2, 2))))
    etas = [mpf(2) ** -k for k in range(1, size + 1)]
    price = s["kl"] + mp.log(size) + s["log_inv_delta"]
    return min(s["risk"] + (-1 - mp.log1p(-e) / e) * mpf(s["second_moment"]) + price / (e * s["n"]) for e in etas)


def dirichlet(s):
    a, p = [mpf(x) for x in s["concentrations"]], [mpf(x) for x in s["prior"]]
    found = mp.loggamma(sum(a)) - sum(map(mp.loggamma, a)) - mp.loggamma(sum(p)) + sum(map(mp.loggamma, p))
    found += sum((x - y) * (mp.digamma(x) - mp.digamma(sum(a))) for x, y in zip(a, p, strict=True))
    return up(s["risk"], c0({**s, "kl": found}))


def recursion(s):
    parts, level = 1 + len(s["steps"]), s["log_inv_delta"]
    bound = up(s["risk"], (s["kl"] + mp.log(parts * of_constant(s["n"], s["constant"])) + level) / s["n"])
    for t in s["steps"]:
        g, price = mpf(t.gamma), (t.kl + mp.log(3 * parts * of_constant(t.n, s["constant"])) + level) / t.n
        gain = sum(a * up(f, price) for a, f in zip((g, 1 - g, g), t.frequencies, strict=True)) - g
        bound = gain + g * bound
    return bound


def one_sided_mixture(s):
    d = s["n"] * mpf(s["variance"]) + mpf(s["a"]) * s["reference"]
    level = s["kl"] + mp.log(d / (mpf(s["a"]) * s["reference"])) / 2 + s["log_inv_delta"]
    return s["risk"] + mp.sqrt(2 * d * level) / s["n"]


def around(s, width):
    return s["risk"] + width, s["risk"] - width


def drawn(s):
    """Complexity of one draw, with Maurer's constant."""
    return max(mpf(0), mpf(s["log_density"]) + mp.log(xi(s["n"])) + s["log_inv_delta"]) / s["n"]


def separate(s):
    """Numerator and denominator of the C-bound from their own ends; 1 where the vote may be all wrong."""
    one, two = c0(s, parts=2), c0(s, twice=2, parts=2, n=s["n_pairs"])
    denominator = lo(s["tandem"], two) - up(s["risk"], one) + mpf("0.25")
    sensible = up(s["risk"], one) < mpf("0.5") and denominator > 0
    return (up(s["tandem"], two) - lo(s["risk"], one) ** 2) / denominator if sensible else mpf(1)


def subsample(s):
    first = s["log_inv_weight"] + s["log_inv_delta"] - mp.log(s["share"])
    second = s["log_inv_delta"] - mp.log(1 - mpf(s["share"]))
    if s["form"] == "kl":
        return up(up(s["risk"], second / s["m"]), first / s["n"])
    return s["risk"] + mp.sqrt(first / (2 * s["n"])) + mp.sqrt(second / (2 * s["m"]))


def mcallester(s):
    n, price = s["n"], mpf(s["kl"]) + s["log_inv_delta"]
    square = {
        "exact": (price + mp.log(xi(n))) / (2 * n),
        "2sqrt": (price + mp.log(2 * mp.sqrt(n))) / (2 * n),
        "1999": (price + mpf(5) / 2 * mp.log(n) + 8) / (2 * n - 1),
        "2003": (price + mp.log(n)) / (2 * (n - 1)) if n > 1 else 0,
        "hybrid": (price + mp.log(n)) / (2 * n - 1),
    }[s["constant"]]
    return around(s, mp.sqrt(square))


def tail_rate(tail, t):
    v, c = (*map(mpf, vars(tail).values()), mpf(0))[:2]
    return mp.sqrt(2 * v * t) + c * t


def base(r):
    return {"risk": r.choice(RISKS), "kl": r.choice(KLS), "n": r.choice(SIZES), "log_inv_delta": r.choice(LEVELS)}


def pick(r, **more):
    return {**base(r), **{name: r.choice(pool) for name, pool in more.items()}}


def drop(s, *names):
    return {name: value for name, value in s.items() if name not in names}


def falling(r, count):
    return tuple(sorted(r.choices(RISKS, k=count), reverse=True))


def steps(r):
    return [b.RecursiveStep(r.choice((0.1, 0.5)), falling(r, 3), r.choice(KLS), 2000 // 2**i) for i in range(r.choice((0, 1, 2)))]  # fmt: skip


C, TWO = ("exact", "2sqrt"), (2, 3, 50, 1000, 10**9)
# name: (settings, what the theorem says of them: the bound, or (upper, lower))
FORMULAS = {
    "seeger_kl": (lambda r: pick(r, constant=C), lambda s: (up(s["risk"], c0(s)), lo(s["risk"], c0(s)))),
    "kl_anytime": (base, lambda s: tuple(f(s["risk"], paid(s, mp.log(kt(s["n"])))) for f in (up, lo))),
    "seeger_kl_split": (lambda r: pick(r, n=(50, 1000), n_prior=(1, 20)), lambda s: up(s["risk"], c0(s, n=s["n"] - s["n_prior"]))),
    "quad": (lambda r: pick(r, constant=C), lambda s: (s["risk"] + c0(s) + mp.sqrt(c0(s) ** 2 + 2 * s["risk"] * c0(s)), s["risk"] - mp.sqrt(2 * s["risk"] * c0(s)))),
    "thiemann_lambda": (lambda r: pick(r, lam=(1e-3, 0.5, 1.0, 1.9), gamma=(0.1, 1.0, 5.0)), lambda s: (s["risk"] / (1 - mpf(s["lam"]) / 2) + c0(s) / (mpf(s["lam"]) * (1 - mpf(s["lam"]) / 2)), (1 - mpf(s["gamma"]) / 2) * s["risk"] - c0(s) / mpf(s["gamma"]))),
    "mcallester": (lambda r: pick(r, n=TWO, constant=("exact", "2sqrt", "1999", "2003", "hybrid")), mcallester),
    "catoni": (lambda r: pick(r, beta=POSITIVE), lambda s: phi(s["beta"], s["risk"], paid(s))),
    "catoni_grid": (lambda r: pick(r, betas=[(0.5,), (0.25, 1.0, 4.0)]), lambda s: min(phi(x, s["risk"], paid(s, mp.log(len(s["betas"])))) for x in s["betas"])),
    "catoni_uniform": (lambda r: pick(r, beta=POSITIVE, constant=C), lambda s: phi(s["beta"], s["risk"], c0(s))),
    "catoni_continuous": (lambda r: pick(r, alpha=(1.0001, 1.1, 2.0), lam=(1.0, 30.0, 1e6)), lambda s: phi(mpf(s["lam"]) / s["n"], s["risk"] + mpf(s["alpha"]) / s["lam"] * (s["kl"] + s["log_inv_delta"] + 2 * mp.log(mp.log(mpf(s["alpha"]) ** 2 * s["lam"]) / mp.log(s["alpha"]))), 0)),
    "gibbs_monte_carlo": (lambda r: drop(pick(r, draws=SIZES), "kl", "n"), lambda s: up(s["risk"], mpf(s["log_inv_delta"]) / s["draws"])),
    "pbb": (lambda r: pick(r, draws=SIZES, draws_log_inv_delta=(3.0, 9.0), log_inv_delta=LEVELS[1:]), lambda s: up(up(s["risk"], (s["draws_log_inv_delta"] + mp.log(2)) / s["draws"]), c0({**s, "constant": "2sqrt"}))),
    "chernoff_test_set": (lambda r: drop(base(r), "kl"), lambda s: up(s["risk"], mpf(s["log_inv_delta"]) / s["n"])),
    "hoeffding_test_set": (lambda r: drop(base(r), "kl"), lambda s: s["risk"] + mp.sqrt(mpf(s["log_inv_delta"]) / (2 * s["n"]))),
    "binomial_test_set": (lambda r: {"errors": r.choice((0, 1, 5, 7)), "n": r.choice((7, 50, 400)), "log_inv_delta": r.choice(LEVELS[1:])}, lambda s: binomial(s["errors"], s["n"], s["log_inv_delta"])),
    "occam_binomial": (lambda r: {"errors": r.choice((0, 5)), "n": r.choice((7, 400)), "code_bits": r.choice((0.0, 3.0, 200.0)), "log_inv_delta": 3.0}, lambda s: binomial(s["errors"], s["n"], s["log_inv_delta"] + mpf(s["code_bits"]) * mp.log(2))),
    "subsampled_occam": (lambda r: drop(pick(r, m=SIZES, form=("kl", "hoeffding"), log_inv_weight=KLS, share=(0.1, 0.5)), "kl"), subsample),
    "occam_kl": (lambda r: drop(pick(r, code_bits=KLS), "kl"), lambda s: up(s["risk"], (s["code_bits"] * mp.log(2) + s["log_inv_delta"]) / s["n"])),
    "empirical_bernstein": (lambda r: pick(r, n=TWO, variance=(0.0, 1e-9, 0.03, 0.25, 0.5), c1=(1.15, 2.0), c2=(1.15, 1.5)), bernstein),
    "unexpected_bernstein": (lambda r: pick(r, second_moment=RISKS), unexpected),
    "split_kl": (lambda r: drop(pick(r, levels=[(-1.0, 0.0, 0.5, 3.0)]), "risk") | {"frequencies": falling(r, 3)}, lambda s: s["levels"][0] + sum((y - x) * up(f, c0(s, parts=3)) for x, y, f in zip(s["levels"], s["levels"][1:], s["frequencies"], strict=False))),
    "vector_kl": (lambda r: drop(pick(r, values=[(1.0, -1.0, 0.0), (-2.0, 0.5, 3.0)], frequencies=[(0.0, 0.25, 0.75), (0.25, 0.25, 0.5), (0.0, 0.0, 1.0), (2.0**-40, 0.5, 0.5 - 2.0**-40)]), "risk"), lambda s: (largest_mean(s["frequencies"], s["values"], paid(s, mp.log(xi(s["n"]) + s["n"]))), -largest_mean(s["frequencies"], [-x for x in s["values"]], paid(s, mp.log(xi(s["n"]) + s["n"]))))),
    "recursive_pac_bayes": (lambda r: pick(r, n=(3000,), constant=C, form=("split",)) | {"steps": steps(r)}, recursion),
    "majority_vote_first_order": (lambda r: pick(r, constant=C), lambda s: 2 * up(s["risk"], c0(s))),
    "majority_vote_tandem": (lambda r: drop(pick(r, tandem=RISKS, constant=C), "risk"), lambda s: 4 * up(s["tandem"], c0(s, twice=2))),
    "majority_vote_disagreement": (lambda r: pick(r, risk=(0.1, 0.5, 1.0), disagreement=(0.0, 1e-9, 0.15), n_pairs=SIZES), lambda s: 4 * up(s["risk"], c0(s, parts=2)) - 2 * lo(s["disagreement"], c0(s, twice=2, parts=2, n=s["n_pairs"]))),
    "majority_vote_cbound": (lambda r: pick(r, risk=(0.0, 0.1, 0.45), tandem=(0.05, 0.3), n_pairs=SIZES, form=("separate",)), separate),
    "majority_vote_chebyshev_cantelli": (lambda r: drop(pick(r, joint_error=(0.0, 0.05, 0.2), disagreement=(0.0, 0.1, 0.3), mu=(-0.5, 0.1, 0.3)), "risk"), lambda s: largest_mean((s["joint_error"], s["disagreement"], 1 - mpf(s["joint_error"]) - s["disagreement"]), ((1 - mpf(s["mu"])) ** 2, -s["mu"] * (1 - mpf(s["mu"])), mpf(s["mu"]) ** 2), (2 * mpf(s["kl"]) + mp.log(xi(s["n"]) + s["n"]) + s["log_inv_delta"]) / s["n"]) / (mpf("0.5") - s["mu"]) ** 2),
    "stochastic_majority_vote": (lambda r: drop(base(r), "kl") | {"concentrations": [r.choice(POSITIVE[2:]) for _ in range(3)], "prior": [1.0, 0.5, 2.0]}, dirichlet),
    "one_draw_kl": (lambda r: drop(pick(r, log_density=(-700.0, -1.0, 0.0, 30.0)), "kl"), lambda s: (up(s["risk"], drawn(s)), lo(s["risk"], drawn(s)))),
    "one_draw_catoni": (lambda r: drop(pick(r, log_density=(-1.0, 0.0, 30.0), beta=POSITIVE), "kl"), lambda s: max(mpf(0), phi(s["beta"], s["risk"], (mpf(s["log_density"]) + s["log_inv_delta"]) / s["n"]))),
    "one_draw_occam": (lambda r: drop(pick(r, log_density=(-1.0, 0.0, 30.0), b=POSITIVE), "kl"), lambda s: up(s["risk"], (mp.log1p(s["b"]) + s["log_inv_delta"] + (1 + 1 / mpf(s["b"])) * max(0, s["log_density"])) / s["n"])),
    "one_draw_renyi": (lambda r: drop(pick(r, divergence=KLS, order=(1.5, 2.0, 30.0), candidates=(1, 9)), "kl"), lambda s: up(s["risk"], ((2 * mpf(s["order"]) - 1) / (mpf(s["order"]) - 1) * (mp.log(2) + s["log_inv_delta"]) + s["divergence"] + mp.log(s["candidates"]) + mp.log(xi(s["n"]))) / s["n"])),
    "renyi": (lambda r: drop(pick(r, divergence=KLS), "kl"), lambda s: up(s["risk"], c0({**s, "kl": s["divergence"]}))),
    "chi_square": (lambda r: drop(pick(r, chi2=KLS, variance=POSITIVE, log_inv_delta=LEVELS[:4]), "kl"), lambda s: around(s, mp.sqrt(mpf(s["variance"]) / s["n"] * mp.exp(s["log_inv_delta"]) * (1 + mpf(s["chi2"]))))),
    "power_divergence": (lambda r: drop(pick(r, density_norm=(1.0, 3.0), order=(1.5, 2.0, 7.0), moment=POSITIVE, log_inv_delta=LEVELS[:4]), "kl", "n"), lambda s: around(s, (mpf(s["moment"]) * mp.exp(s["log_inv_delta"])) ** (1 - 1 / mpf(s["order"])) * s["density_norm"])),
    "wasserstein": (lambda r: drop(pick(r, distances=[(0.5, 2.0)], sizes=[(30, 70)], lipschitz=POSITIVE, form=("bounded", "second moment")), "kl", "n"), lambda s: s["risk"] + sum(2 * mpf(m) * s["lipschitz"] * w / 100 + mp.sqrt((0.5 if s["form"] == "bounded" else 2) * m * (mp.log(2) + s["log_inv_delta"]) / mpf(100) ** 2) for m, w in zip(s["sizes"], s["distances"], strict=True))),
    "supermartingale": (lambda r: pick(r, rates=[(0.1, 0.5, 0.3)], form=("variance",), moment=POSITIVE, deviation=POSITIVE) | {"n": None}, lambda s: s["risk"] + ((mpf(s["deviation"]) / 6 + mpf(s["moment"]) / 3) * sum(mpf(x) ** 2 for x in s["rates"]) + s["kl"] + s["log_inv_delta"]) / sum(map(mpf, s["rates"]))),
    "mutual_information": (lambda r: {"information": r.choice(KLS), "n": r.choice(SIZES), "sigma": r.choice(POSITIVE)}, lambda s: mp.sqrt(2 * mpf(s["sigma"]) ** 2 * s["information"] / s["n"])),
    "conditional_information_kl": (lambda r: {"risk": r.choice(RISKS), "information": r.choice(KLS), "n": r.choice(SIZES)}, lambda s: 2 * up(s["risk"], mpf(s["information"]) / s["n"]) - s["risk"]),
    "sub_gaussian_mixture": (lambda r: pick(r, variance=POSITIVE, a=POSITIVE), lambda s: around(s, mp.sqrt(2 * mpf(s["variance"]) * (s["n"] + mpf(s["a"])) * (s["kl"] + mp.log((s["n"] + mpf(s["a"])) / s["a"]) / 2 + s["log_inv_delta"])) / s["n"])),
    "sub_gaussian_mixture_one_sided": (lambda r: pick(r, variance=POSITIVE, a=POSITIVE, reference=POSITIVE), one_sided_mixture),
    "second_moment": (lambda r: pick(r, second_moment=POSITIVE, tilts=[(0.5,), (0.1, 1.0)]), lambda s: min(s["risk"] + mpf(x) * s["second_moment"] / 2 + paid(s, mp.log(len(s["tilts"]))) / mpf(x) for x in s["tilts"])),
    "pac_bayes_chernoff": (lambda r: pick(r, n=TWO, tail=(b.SubGaussian(0.3), b.SubGamma(0.3, 0.7))), lambda s: s["risk"] + tail_rate(s["tail"], (s["kl"] + mp.log(s["n"]) + mpf(s["log_inv_delta"])) / (s["n"] - 1))),
    "pac_bayes_chernoff_alpha": (lambda r: pick(r, tail=(b.SubGaussian(0.3), b.SecondMoment(2.0)), alpha=(0.1, 0.9)), lambda s: s["risk"] + tail_rate(s["tail"], (s["kl"] - mp.log(1 - mpf(s["alpha"])) + s["log_inv_delta"]) / (mpf(s["alpha"]) * s["n"]))),
    "alquier": (lambda r: drop(pick(r, tilt=POSITIVE, log_moment=(-3.0, 0.0, 5.0)), "n"), lambda s: s["risk"] + (s["kl"] + mpf(s["log_inv_delta"]) + s["log_moment"]) / mpf(s["tilt"])),
    "pac2": (lambda r: pick(r, p_min=(1e-300, 1e-5, 0.3), risk=(0.0, 0.1, 1.0)), lambda s: -mp.log(s["p_min"]) * up(s["risk"] / -mp.log(s["p_min"]), c0(s, twice=2))),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_a_bound_is_its_theorem(name):
    make, theorem = FORMULAS[name]
    source = random.Random(f"{name}, fixed")
    for _ in range(SETTINGS):
        setting = make(source)
        exact = theorem(setting)
        upper, lower = exact if isinstance(exact, tuple) else (exact, None)
        found = getattr(b, name)(**setting)
        slack = mp.mpf(10) ** -40 * (1 + abs(upper))
        assert mpf(found.raw) >= min(upper, mpf(found.top)) - slack, setting
        assert found.vacuous or found.raw <= float(upper) + 1e-11 * abs(float(upper)) + 1e-13, setting
        if lower is not None and found.lower is not None:
            assert mpf(found.lower) <= max(lower, mpf(0) if found.lower == 0 else -mp.inf) + slack, setting
            assert math.isclose(found.lower, max(float(lower), min(found.lower, 0.0)), rel_tol=1e-9, abs_tol=1e-12), (
                setting
            )
