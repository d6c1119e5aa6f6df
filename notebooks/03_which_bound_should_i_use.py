# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which bound should I use?
#
# There are dozens of bounds, and each paper shows a plot in which its own is the smallest. This notebook replaces the plots
# by a few questions that you can answer before you look at a single bound:
#
# - Do you have one predictor, a list, or a posterior? Did it see the examples?
# - Do you have only an average risk, or the losses themselves? Do they vary much?
# - Was $n$ fixed in advance?
# - Is $K$ so large that a held-out test would have been better?
#
# `nv.bounds.compare` asks these questions for you; here you learn why it answers as it does. And you will see what goes
# wrong when a parameter, a variance or a stopping time is chosen by looking and not paid for. All of these failures are
# computed, none is simulated.

# %%
import html
import itertools
import os

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, display
from scipy.special import rel_entr
from scipy.stats import beta as beta_law
from scipy.stats import binom, multinomial

import nonvacuous as nv
from nonvacuous.errors import InvalidInput
from nonvacuous.numerics.certified import kt_constant, maurer_xi

# "small" runs in seconds; the saved outputs were made with "full"
SMALL = os.environ.get("NONVACUOUS_NOTEBOOK", "small") == "small"

RIGHT, WRONG, DATA, INK, OTHER, FIFTH = "#1b7f5c", "#b3261e", "#1f5fa8", "#22262b", "#b07d12", "#7a4fa3"
plt.rcParams.update({"figure.dpi": 110, "font.size": 9.5, "legend.frameon": False})
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10})

DELTA = 0.05


def table(headers, rows):
    """Show rows of text as an HTML table."""

    def line(tag, cells):
        return (
            "<tr>"
            + "".join(f"<{tag} style='text-align:left'>{html.escape(str(cell))}</{tag}>" for cell in cells)
            + "</tr>"
        )

    display(HTML("<table>" + line("th", headers) + "".join(line("td", row) for row in rows) + "</table>"))


def kl(q, p):
    """Binary relative entropy kl(q||p) in nats, elementwise."""
    return rel_entr(q, p) + rel_entr(1 - q, 1 - p)


def count_vectors(total, parts):
    """All vectors of non-negative integers with this sum (as floats): where to put the bars between the stars."""
    bars = np.array(list(itertools.combinations(range(total + parts - 1), parts - 1)))
    edges = np.column_stack([np.full(len(bars), -1), bars, np.full(len(bars), total + parts - 1)])
    return np.diff(edges, axis=1) - 1.0


# %% [markdown]
# ## 1. Ask the library
#
# Give `compare` whatever you have. It computes every bound that applies, and tells you why the others do not. Here are four
# situations.

# %%
rng = np.random.default_rng(5)
one = (rng.random(400) < 0.1).astype(float)  # 0-1 losses of one predictor
drawn = (rng.random((300, 400)) < 0.1).astype(float)  # rows: 300 draws from a posterior with K = 8
centres = rng.uniform(0.15, 0.35, 20)
many = np.clip(centres[:, None] + 0.08 * rng.standard_normal((20, 400)), 0, 1)  # 20 predictors, real losses
gibbs = nv.bounds.gibbs_posterior(losses=many.mean(axis=1), beta=60.0)

situations = {
    "one predictor, fixed before": {"losses": one},
    "one of a weighted list, ln(1/w) = 7": {"losses": one, "log_inv_weight": 7.0},
    "only the numbers of a posterior": {"risk": 0.1, "kl": 8.0, "n": 400},
    "draws from a posterior": {"losses": drawn, "kl": 8.0},
    "a finite class with weights": {"losses": many, "posterior": gibbs.weights},
}
answers = {name: nv.bounds.compare(**given, delta=DELTA) for name, given in situations.items()}
rows = []
for name, answer in answers.items():
    best = [f"{row.function} {row.certificate.value:.4f}" for row in answer.certificates[:3]]
    rows.append((name, *best, len(answer.certificates), len(answer.not_applicable)))
table(["you have", "smallest", "second", "third", "apply", "do not"], rows)
print(answers["only the numbers of a posterior"])

winners = [row[1].split()[0] for row in rows]
assert winners[0] == "binomial_test_set"
assert winners[1] == "occam_binomial"
assert winners[2] == winners[3] == "catoni_grid"  # six betas cost ln 6 = 1.8, ln xi(400) = 3.2
assert winners[4] == "betting_pac_bayes"

# %% [markdown]
# **A trap.** The list is sorted, so why not quote its first line? Because you would pick it *after looking*. Each line keeps
# its own promise at $\delta$; "the smallest of them" makes a new promise that nobody proved. So `best` refuses, unless you
# ask for all of them to hold at once, with $\delta$ shared among the events. (Bounds that stand on the same event, such as
# `seeger_kl`, `quad` and `mcallester`, need only one share.) The price is small: it enters as $\ln(\text{events})/n$.

# %%
try:
    print(answers["a finite class with weights"].best)
except InvalidInput as error:
    refusal = str(error)
    print("refused:", refusal)

together = nv.bounds.compare(losses=many, posterior=gibbs.weights, delta=DELTA, simultaneous=True)
alone = {row.function: row.certificate.value for row in answers["a finite class with weights"].certificates}
shared = {row.function: row.certificate.value for row in together.certificates}
table(
    ["bound", "alone at δ", "all together at δ"],
    [(name, f"{alone[name]:.4f}", f"{v:.4f}") for name, v in shared.items()],
)
print(f"so we may quote {together.best.value:.4f}, which holds with probability at least {1 - together.delta}")

assert "not a certificate" in refusal
assert all(shared[name] >= alone[name] for name in shared)
assert together.best.value == min(shared.values())
assert shared["betting_pac_bayes"] - alone["betting_pac_bayes"] < 0.01

# %% [markdown]
# ## 2. A risk, a KL and $n$: the kl family
#
# Suppose all you have is $\hat r_Q$, $K$ and $n$. Then the bounds of this family compete:
#
# | bound | what it is |
# |---|---|
# | `seeger_kl` | inverts kl exactly, pays $\ln\xi(n) \approx \frac12\ln n$ |
# | `quad`, `thiemann_lambda` | smooth relaxations for training. With its best $\lambda$ the second *is* the first |
# | `mcallester` | $\hat r + \sqrt{\cdot}$, the one you can remember |
# | `catoni` | one $\beta$ fixed in advance, does not pay $\ln\xi(n)$ |
# | `catoni_grid` | $G$ values of $\beta$, pays $\ln G$ |
#
# **Predict.** Nobody in this family can get below a **floor** (`pb.smalldata`):
# $\mathrm{UP}(\hat r_Q, (K + \ln\frac1\delta)/n)$, the kl bound without its constant, where $\mathrm{UP}(q, c)$ is the
# largest $p$ with $\mathrm{kl}(q\|p) \le c$. The floor is not a certificate. It only says when to stop searching. Catoni's
# bound should touch it at one risk for each $\beta$; the order `seeger_kl` $\le$ `quad` and `seeger_kl` $\le$ `mcallester`
# must hold everywhere.

# %%
N, K = 1000, 20.0
BETAS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
shares = np.linspace(0.0, 0.5, 26)
given = {"kl": K, "n": N, "delta": DELTA}
family = {
    "seeger_kl": [nv.bounds.seeger_kl(risk=q, **given).value for q in shares],
    "quad": [nv.bounds.quad(risk=q, **given).raw for q in shares],
    "mcallester": [nv.bounds.mcallester(risk=q, **given).raw for q in shares],
    "catoni_grid": [nv.bounds.catoni_grid(risk=q, betas=BETAS, **given).value for q in shares],
}
floor = np.array([nv.bounds.small_data_envelope(risk=q, **given) for q in shares])
fixed = {b: np.array([nv.bounds.catoni(risk=q, beta=b, **given).raw for q in shares]) for b in (0.25, 1.0, 4.0)}

figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.3), layout="constrained")
for (name, values), colour in zip(family.items(), (DATA, OTHER, WRONG, RIGHT), strict=True):
    left.plot(shares, np.array(values) - floor, color=colour, lw=1.7, label=name)
left.set(xlabel="empirical Gibbs risk", ylabel="bound minus floor", title=f"n = {N}, K = {K:g}", ylim=(0, 0.06))
left.legend()
for (b, values), colour in zip(fixed.items(), (RIGHT, DATA, FIFTH), strict=True):
    right.plot(shares, values - floor, color=colour, lw=1.7, label=f"β = {b:g}")
right.set(xlabel="empirical Gibbs risk", title="catoni with one β fixed in advance", ylim=(0, 0.06))
right.legend()
plt.show()

one_lambda = [nv.bounds.thiemann_lambda(risk=q, **given).raw for q in shares]
assert all((np.array(values) >= floor).all() for values in family.values())
assert all((values >= floor).all() for values in fixed.values())
assert (np.array(family["seeger_kl"]) <= np.minimum(family["quad"], family["mcallester"]) + 1e-14).all()
assert np.allclose(one_lambda, family["quad"], rtol=1e-12)
assert min((fixed[1.0] - floor)[1:]) < 5e-4  # it nearly touches the floor at its own risk

# %% [markdown]
# Rules: **train with `quad` or `lambda`, report `seeger_kl` or `catoni_grid`**. Which of the two is smaller is a matter of
# $\ln\xi(n)$ (3.7 nats at $n = 1000$) against $\ln G$ (1.8 nats for these six $\beta$) and the distance to the nearest
# $\beta$. Decide in advance: the smaller of the two, picked afterwards, costs $\ln 2$. `seeger_kl` needs no guess, holds on
# both sides, and its loss is never more than $\ln\xi(n)/n$ in the price. `mcallester` and `quad` are never better than
# `seeger_kl`.
#
# ## 3. Why you may not choose $\beta$ afterwards
#
# The right panel suggests it: compute Catoni's bound for many $\beta$ and keep the smallest. That gives exactly the floor,
# and saves $\ln\xi(n)$. Published code does it. What happens to the theorem?
#
# The proof needs that $E\,e^{\phi} \le 1$ for $\phi = n\,[-\ln(1 - (1-e^{-\beta})\, r_h) - \beta\,\hat r_h]$. For one fixed
# $\beta$ that is true with equality. The best $\beta$ turns $\phi$ into $n\,\mathrm{kl}^+(\hat r_h\|r_h)$, whose moment is
# larger.
#
# **Predict.** In the world of 16 fair coins with $n = 6$ tosses each (world B of the first notebook), all moments and
# failure probabilities are finite sums. Fixed $\beta = 1$: moment exactly 1. Best $\beta$ for each coin: moment above 1, so
# nothing is promised, and we look for a $\delta$ at which "with probability $1-\delta$, for all $Q$,
# $E_Q[n\,\mathrm{kl}^+] \le K + \ln\frac1\delta$" is false.

# %%
tosses = np.arange(7) / 6
coins = count_vectors(16, 7)  # how many of the 16 coins show 0, 1, ..., 6 errors
chance_of_coins = multinomial.pmf(coins, 16, binom.pmf(np.arange(7), 6, 0.5))
LEVEL = 0.2


def phi_fixed(beta):
    return 6 * (-np.log1p(np.expm1(-beta) / 2) - beta * tosses)


def examine(phi, log_constant):
    """E_S E_P e^phi, and P(some Q has E_Q phi > K + ln(constant/delta)): both exact, for the change of measure."""
    worst = np.log(coins @ np.exp(phi) / 16)
    return chance_of_coins @ np.exp(worst), chance_of_coins[worst > log_constant + np.log(1 / LEVEL)].sum(), worst


one_sided = np.where(tosses < 0.5, 6 * kl(tosses, 0.5), 0.0)
cases = {
    "one β = 1, fixed in advance": (phi_fixed(1.0), 0.0),
    "each predictor its best β, nothing paid": (one_sided, 0.0),
    "each predictor its best β, ln ξ(n) paid (seeger_kl)": (one_sided, float(np.log(maurer_xi(6)))),
}
found = {name: examine(*case) for name, case in cases.items()}
rows = [
    (name, f"{moment:.6f}", f"{np.exp(case[1]):.4f}", f"{failed:.9f}")
    for (name, case), (moment, failed, _) in zip(cases.items(), found.values(), strict=True)
]
table(["", "moment", "needed at most", f"failure probability (allowed {LEVEL})"], rows)

fixed_moment, free_moment, paid_moment = (entry[0] for entry in found.values())
assert len(coins) == 74_613
assert abs(fixed_moment - 1) < 1e-12
assert abs(free_moment - 2.38734567901) < 1e-10
assert found["each predictor its best β, nothing paid"][1] > LEVEL  # refuted by counting
assert found["one β = 1, fixed in advance"][1] <= LEVEL
assert paid_moment <= maurer_xi(6)

# %% [markdown]
# The unpaid version is false: 0.2138 where 0.2 was promised. It is false because the moment is 2.39 where the proof needs 1.
#
# What about the weaker claim that code usually makes, one common $\beta$ for all predictors, the best for the chosen $Q$? In
# this world its failure probability is also a finite sum: the worst posterior for each $\beta$ is known, and the best
# $\beta$ is a search in one dimension.

# %%
grid = np.linspace(0.01, 14, 500)
suspects = found["each predictor its best β, nothing paid"][2] > np.log(1 / LEVEL)  # by Jensen no other sample can fail
best = np.full(int(suspects.sum()), -np.inf)
for beta in grid:
    best = np.maximum(best, np.log(coins[suspects] @ np.exp(phi_fixed(beta)) / 16))
common = chance_of_coins[suspects][best > np.log(1 / LEVEL)].sum()
print(f"one common β, chosen afterwards: fails with probability {common:.4f} (allowed {LEVEL})")

assert common < LEVEL
assert abs(common - 0.0253) < 5e-4

# %% [markdown]
# This one does *not* exceed its $\delta$ here. So is it fine? Nobody knows: the step of its proof is false, and no other
# proof is known to us. A number without a proof is not a certificate, however well it behaves in one world. The package
# therefore has no function for it. You pay in one of three ways: fix $\beta$; pay $\ln G$ for a grid; or pay $\ln\xi(n)$
# once and get all $\beta$ (`catoni_uniform`, whose minimum is `seeger_kl`).
#
# ## 4. Losses that vary little
#
# A bound that sees only $\hat r_Q$ must prepare for the worst: losses that are 0 or 1. Real losses, such as a clamped
# log-loss or a Brier score, often sit close to their mean. Three bounds look at the losses themselves: `empirical_bernstein`
# (their variance), `unexpected_bernstein` (their second moment) and the **betting** bounds (everything).
#
# **Predict.** Take 500 losses with mean 0.2 and let their spread shrink from 0.39 (almost 0-1 losses) to 0.01. The kl bound
# cannot move. The others should fall, and for 0-1 losses they should have no advantage.

# %%
spreads, curves = [], {name: [] for name in ("Chernoff", "empirical Bernstein", "unexpected Bernstein", "betting")}
middle = (np.arange(500) + 0.5) / 500
for strength in np.geomspace(0.06, 800, 14 if SMALL else 28):
    losses = beta_law.ppf(middle, 0.2 * strength, 0.8 * strength)
    losses = np.clip(losses + 0.2 - losses.mean(), 0, 1)
    q, variance, second = losses.mean(), losses.var(ddof=1), (losses**2).mean()
    spreads.append(np.sqrt(variance))
    common_arguments = {"kl": 0.0, "n": 500, "delta": DELTA}
    curves["Chernoff"].append(nv.bounds.chernoff_test_set(risk=q, n=500, delta=DELTA).value)
    curves["empirical Bernstein"].append(
        nv.bounds.empirical_bernstein(risk=q, variance=variance, **common_arguments).value
    )
    curves["unexpected Bernstein"].append(
        nv.bounds.unexpected_bernstein(risk=q, second_moment=second, **common_arguments).value
    )
    curves["betting"].append(nv.bounds.betting_interval(losses=losses, delta=DELTA).value)
curves = {name: np.array(values) for name, values in curves.items()}

figure, axes = plt.subplots(figsize=(6.2, 3.2))
for (name, values), colour in zip(curves.items(), (DATA, OTHER, FIFTH, RIGHT), strict=True):
    axes.plot(spreads, values, color=colour, lw=1.7, label=name)
axes.axhline(0.2, color=INK, lw=0.9, ls="--")
axes.text(0.395, 0.2008, "empirical risk", ha="right", va="bottom")
axes.set(xlabel="standard deviation of the 500 losses", ylabel="certified risk", ylim=(0.195, 0.32))
axes.legend()
plt.show()

assert np.ptp(curves["Chernoff"]) < 1e-3  # all means are 0.2, but for the clipping
assert curves["betting"][-1] < 0.22 < curves["Chernoff"][-1]
assert curves["betting"][0] > curves["Chernoff"][0]  # 0-1 losses: nothing to see, and betting pays for time
assert curves["empirical Bernstein"][-1] < curves["Chernoff"][-1]
assert curves["unexpected Bernstein"][0] > curves["Chernoff"][0]

# %% [markdown]
# Betting wins for small spread, and close to 0-1 losses Chernoff does. `unexpected_bernstein` sees the *raw* second moment,
# so it cannot profit from a small variance around a large mean. It is at its best for losses near zero.
#
# **The tempting mistake** is to plug the empirical variance into a formula that wants the true one:
# $\hat r + \sqrt{2\hat V \ln(1/\delta)/n}$. It looks like a bound. **Predict**: take a loss that is 0.1 nearly always and 1
# with probability 0.005. Among 100 examples there is often no large loss at all; then $\hat V = 0$ and the "bound" is 0.1,
# below the true mean 0.1045. That alone has probability $0.995^{100} = 0.606$. Certified bounds must survive the same test.

# %%
n_rare, chance = 100, 0.005
mean_rare = 0.1 + 0.9 * chance
rows, fails = [], {}
k = np.arange(9)
weights = binom.pmf(k, n_rare, chance)
samples = [np.repeat([0.1, 1.0], [n_rare - j, j]) for j in k]
bounds = {
    "plug-in variance": [x.mean() + np.sqrt(2 * x.var() * np.log(1 / DELTA) / n_rare) for x in samples],
    "empirical_bernstein": [
        nv.bounds.empirical_bernstein(risk=x.mean(), variance=x.var(ddof=1), kl=0.0, n=n_rare, delta=DELTA).value
        for x in samples
    ],
    "betting_interval": [nv.bounds.betting_interval(losses=x, delta=DELTA).value for x in samples],
    "chernoff_test_set": [nv.bounds.chernoff_test_set(risk=x.mean(), n=n_rare, delta=DELTA).value for x in samples],
}
for name, values in bounds.items():
    fails[name] = float(weights @ (np.array(values) < mean_rare))
    rows.append((name, f"{values[0]:.4f}", f"{values[1]:.4f}", f"{fails[name]:.4f}"))
table(["", "with no rare loss", "with one", f"exact failure probability (allowed {DELTA})"], rows)

assert abs(fails["plug-in variance"] - 0.995**100) < 1e-6
assert max(fails[name] for name in bounds if name != "plug-in variance") <= DELTA

# %% [markdown]
# ## 5. Is A better than B?
#
# You have a new predictor and a reference, both evaluated on the same examples, and want to bound
# $r_{\text{new}} - r_{\text{ref}}$. The loss of this question takes the values $-1, 0, 1$, and mostly it is 0. Subtracting
# two kl bounds throws that away. `split_kl` uses one binary kl for each step between the values; `trinomial_kl` inverts the
# relative entropy of all three frequencies at once.
#
# **Predict.** The less the two predictors disagree, the better the difference is known, although both risks stay as they
# are.

# %%
N_X, K_X, EXCESS = 10_000, 50.0, 0.03
disagreement = np.linspace(0.031, 0.47, 12 if SMALL else 30)
given = {"kl": K_X, "n": N_X, "delta": DELTA}
half = {"kl": K_X, "n": N_X, "delta": DELTA / 2}
separate = nv.bounds.seeger_kl(risk=0.25, **half).value - nv.bounds.seeger_kl(risk=0.22, **half).lower
rescaled = 2 * nv.bounds.seeger_kl(risk=(1 + EXCESS) / 2, **given).value - 1
trinomial, split = [], []
for d in disagreement:
    worse, better = (d + EXCESS) / 2, (d - EXCESS) / 2
    trinomial.append(nv.bounds.trinomial_kl(loss=worse, gain=better, **given).value)
    split.append(nv.bounds.split_kl(frequencies=(1 - better, worse), levels=(-1, 0, 1), **given).value)

figure, axes = plt.subplots(figsize=(6.2, 3.1))
axes.plot(disagreement, trinomial, color=RIGHT, lw=1.8, label="trinomial_kl")
axes.plot(disagreement, split, color=DATA, lw=1.8, label="split_kl")
axes.axhline(separate, color=OTHER, lw=1.5, ls="--", label="two bounds subtracted (risks .25, .22)")
axes.axhline(rescaled, color=FIFTH, lw=1.5, ls=":", label="kl of (loss + 1)/2")
axes.axhline(EXCESS, color=INK, lw=0.8)
axes.set(xlabel="share of examples on which they disagree", ylabel="certified difference", ylim=(0.025, 0.21))
axes.legend(loc="upper left")
plt.show()

document = {"kl": 50.0, "n": 10_000, "delta": 0.05}
example = nv.bounds.trinomial_kl(loss=0.08, gain=0.05, **document).value
assert abs(example - 0.0712718) < 1e-7
assert (np.array(trinomial) < split)[disagreement > 0.05].all()
assert trinomial[0] > split[0]  # where the new predictor hardly ever wins, split_kl is a little smaller
assert trinomial[0] < 0.6 * separate
assert (np.diff(trinomial) > 0).all()

# %% [markdown]
# Neither of the two is always the smaller one: at the left end, where nearly all disagreements go one way, `split_kl` is
# ahead by a hair. Both leave the other two far behind when the predictors agree on most examples.
#
# **Check it where everything is a sum.** $n = 20$ pairs of outcomes, all 231 count vectors: the moment of
# $n\,\mathrm{KL}(\hat u\|u)$ must be exactly $\xi(n) + n$, whatever the true law, and the certificate may fail with
# probability at most 0.05.

# %%
n_exact = 20
vectors = count_vectors(n_exact, 3)
rows = []
for law in ((0.15, 0.10, 0.75), (0.02, 0.01, 0.97), (0.4, 0.35, 0.25)):
    probability = multinomial.pmf(vectors, n_exact, law)
    moment = probability @ np.exp(n_exact * rel_entr(vectors / n_exact, law).sum(axis=1))
    values = np.array(
        [
            nv.bounds.trinomial_kl(loss=v[0] / n_exact, gain=v[1] / n_exact, kl=0.0, n=n_exact, delta=DELTA).value
            for v in (vectors[::7] if SMALL else vectors)
        ]
    )
    failed = float((probability[::7] if SMALL else probability) @ (values < law[0] - law[1]))
    rows.append((law, f"{moment:.9f}", f"{failed:.6f}"))
    assert abs(moment / (maurer_xi(n_exact) + n_exact) - 1) < 1e-12
    assert failed <= DELTA
table(["true law of (+1, -1, 0)", "moment", "failure probability" + (" (every 7th sample)" if SMALL else "")], rows)
print(f"predicted moment: ξ({n_exact}) + {n_exact} = {float(maurer_xi(n_exact)) + n_exact:.9f}")

assert len(vectors) == 231

# %% [markdown]
# ## 6. When $n$ is not fixed
#
# You look at the test results every day and stop when the bound looks good. Then $n$ is chosen by looking, and a bound for
# fixed $n$ promises nothing. `kl_anytime` holds at all $n$ at once, and costs no more than the constant $2\sqrt n$ that
# older papers pay for a single $n$.
#
# **Predict.** One predictor with risk 0.2, a look after every example. The probability that *some* look shows a false
# Chernoff bound grows with the number of looks, past 0.05. For `kl_anytime` it stays below 0.05 forever. We compute it
# exactly, by following the number of errors from step to step and removing those paths that have seen a false bound.

# %%
LOOKS, RISK = (1500 if SMALL else 10_000), 0.2
looks = np.arange(1, LOOKS + 1)


def ever_false(log_constant):
    """P(a false upper bound was seen by time t), t = 1..LOOKS, for kl+(k/t || RISK) <= (ln constant_t + ln(1/delta))/t."""
    price = (log_constant + np.log(1 / DELTA)) / looks
    low, high = np.zeros(LOOKS), np.full(LOOKS, RISK)
    for _ in range(60):  # the smallest frequency that is not yet false
        middle = (low + high) / 2
        low, high = np.where(kl(middle, RISK) > price, middle, low), np.where(kl(middle, RISK) > price, high, middle)
    fewest = np.where(kl(0.0, RISK) > price, np.ceil(high * looks - 1e-9), 0).astype(int)
    alive, seen = np.zeros(LOOKS + 1), np.zeros(LOOKS)
    alive[0], gone = 1.0, 0.0
    for t in range(LOOKS):
        alive[1 : t + 2] = RISK * alive[: t + 1] + (1 - RISK) * alive[1 : t + 2]
        alive[0] *= 1 - RISK
        gone += alive[: fewest[t]].sum()
        alive[: fewest[t]] = 0
        seen[t] = gone
    return seen


peeking = {
    "Chernoff, made for one n": ever_false(np.zeros(LOOKS)),
    "kl_anytime": ever_false(np.log([float(kt_constant(int(t))) for t in looks])),
}
figure, axes = plt.subplots(figsize=(6, 3))
for (name, seen), colour in zip(peeking.items(), (WRONG, RIGHT), strict=True):
    axes.plot(looks, seen, color=colour, lw=1.8, label=name)
axes.axhline(DELTA, color=INK, lw=0.9, ls="--")
axes.set(xscale="log", xlabel="looks so far", ylabel="P(a false bound was seen)")
axes.legend()
plt.show()

at_1000 = nv.bounds.kl_anytime(risk=0.2, kl=0.0, n=1000, delta=DELTA).value
once = nv.bounds.chernoff_test_set(risk=0.2, n=1000, delta=DELTA).value
print(f"at n = 1000 and risk 0.2: anytime {at_1000:.4f}, one look {once:.4f}")

assert peeking["Chernoff, made for one n"][-1] > 2 * DELTA
assert peeking["kl_anytime"][-1] <= DELTA
assert at_1000 > once

# %% [markdown]
# ## 7. Few examples and a large $K$
#
# The floor also tells you when PAC-Bayes cannot win. Suppose you have $n = 1000$ examples. Either you use all of them for
# training and for a kl-type bound with complexity $K$. Or you train on 800 and test on 200. Suppose both give an empirical
# risk of 0.1.
#
# **Predict.** For large $K$ even the floor, which no bound of this kind can reach, is above the test bound. Then the
# held-out test wins, and no cleverness within the family changes that. (With more information than $\hat r_Q$, as in section
# 4, it might.)

# %%
all_examples, tested = 1000, 200
complexities = np.linspace(0, 60, 61)
family_floor = [nv.bounds.small_data_envelope(risk=0.1, kl=x, n=all_examples, delta=DELTA) for x in complexities]
best_of_family = [nv.bounds.seeger_kl(risk=0.1, kl=x, n=all_examples, delta=DELTA).value for x in complexities]
test = nv.bounds.binomial_test_set(errors=tested // 10, n=tested, delta=DELTA).value

figure, axes = plt.subplots(figsize=(5.8, 2.9))
axes.plot(complexities, best_of_family, color=DATA, lw=1.8, label="seeger_kl, 1000 examples")
axes.plot(complexities, family_floor, color=INK, lw=1.1, ls=":", label="floor of its family (no certificate)")
axes.axhline(test, color=RIGHT, lw=1.6, label="binomial test, 200 examples")
axes.set(xlabel="K", ylabel="certified risk", ylim=(0.12, 0.28))
axes.legend(loc="upper left")
plt.show()

assert family_floor[0] < best_of_family[0] < test < family_floor[-1]

# %% [markdown]
# ## 8. The map
#
# | what you have | what to use | why |
# |---|---|---|
# | one predictor, 0-1 losses it never saw | `binomial_test_set` | exact |
# | the same, losses in [0, 1] | `chernoff_test_set`; `betting_interval` if they vary little | section 4 |
# | one of a weighted list or a code, chosen with these losses | `occam_binomial`, `compression_bound` | pays $\ln(1/w)$, nothing else |
# | a posterior with $\hat r_Q$, $K$, $n$ | `seeger_kl`, or `catoni_grid` with few $\beta$ fixed in advance | sections 2 and 3 |
# | a posterior that you can only draw from | `gibbs_monte_carlo`, then `seeger_kl` (or `certify_losses`) | one event more |
# | a prior learned from part of the data | `seeger_kl_split` | $n$ counts the rest |
# | an objective to train with | `quad`, `thiemann_lambda` | smooth; report `seeger_kl` afterwards |
# | weights and real-valued losses that vary little | `betting_pac_bayes`, `empirical_bernstein` | section 4 |
# | a difference of two predictors | `trinomial_kl`, `split_kl` | section 5 |
# | an $n$ that was not fixed | `kl_anytime`, `betting_pac_bayes` | section 6 |
# | unbounded losses with a declared tail | `pac_bayes_chernoff`, `sub_gaussian_mixture`, `second_moment` | next notebook |
# | a vote of many predictors | `certify_votes` | the notebook after that |
# | a large $K$ and few examples | hold out a test set | section 7 |
# | you cannot decide | `compare(..., simultaneous=True)` | section 1 |

# %%
MAP = """binomial_test_set chernoff_test_set betting_interval occam_binomial compression_bound seeger_kl gibbs_monte_carlo
catoni_grid certify_losses seeger_kl_split quad thiemann_lambda betting_pac_bayes empirical_bernstein trinomial_kl split_kl kl_anytime
pac_bayes_chernoff sub_gaussian_mixture second_moment certify_votes compare"""
missing = [name for name in MAP.split() if not hasattr(nv.bounds, name)]
print(len(MAP.split()), "functions, of which missing in nv.bounds:", missing)

assert not missing

# %% [markdown]
# ## 9. Your turn: when is a test set better?
#
# You have $n = 1000$ examples and a Gibbs risk of 0.1, as in section 7, with $\delta = 0.05$ and a test on 200 examples with
# 20 errors. Find the smallest whole number $K$ such that
#
# 1. `seeger_kl` on all 1000 examples is above the test bound;
# 2. *every* bound of the family is above the test bound.
# 3. Question 1 again, with ten times as many examples on both sides and the same shares of errors.

# %%
smallest = None  # your answer: (question 1, question 2, question 1 with ten times the data)

# %% [markdown]
# <details><summary>A hint</summary>
#
# Question 2 is about the floor, `nv.bounds.small_data_envelope`. All three are searches over $K = 0, 1, 2, \dots$
#
# </details>
#
# ### Solution


# %% jupyter={"source_hidden": true} tags=["solution"]
def first_above(bound, limit):
    """The smallest whole K with bound(K) > limit; the bounds grow with K."""
    low, high = -1, 1
    while bound(high) <= limit:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bound(middle) <= limit else (low, middle)
    return high


def certified(n):
    return lambda size: nv.bounds.seeger_kl(risk=0.1, kl=float(size), n=n, delta=DELTA).value


def lowest_possible(size):
    return nv.bounds.small_data_envelope(risk=0.1, kl=float(size), n=1000, delta=DELTA)


larger_test = nv.bounds.binomial_test_set(errors=200, n=2000, delta=DELTA).value
solution = (
    first_above(certified(1000), test),
    first_above(lowest_possible, test),
    first_above(certified(10_000), larger_test),
)
table(
    ["question", "answer"],
    [
        ("seeger_kl loses from K =", solution[0]),
        ("every bound of the family loses from K =", solution[1]),
        ("seeger_kl loses with ten times the data from K =", solution[2]),
    ],
)

assert certified(1000)(solution[0]) > test >= certified(1000)(solution[0] - 1)
assert solution[0] < solution[1]
assert abs(solution[1] - solution[0] - np.log(maurer_xi(1000))) < 1.001  # the difference is what the constant costs
assert solution[2] <= solution[0]  # more data do not help
assert smallest in (None, solution), "look again: one of the three numbers differs"

# %% [markdown]
# Two nats are enough to lose, and with ten times the data `seeger_kl` loses from the start: both bounds improve at the rate
# $1/\sqrt n$, but $\ln\xi(n)$ grows. More data of the same kind is no remedy. A prior learned from data is one (it brings
# $K$ down), and so is a bound that sees the losses. Mind the assumption, too: here training on 800 examples was as good as
# training on 1000.
#
# ## What to take with you
#
# - Say what you have before you look at any bound. That decides almost everything.
# - For a risk, a KL and $n$: `seeger_kl`, or a short Catoni grid. Nothing of the kind is below the floor, which is close.
# - A parameter, a variance or a stopping time chosen by looking must be paid for, or the promise is void.
# - Bounds that see the losses can be far better than bounds that see their mean. Keep the array.
# - If $K$ is more than a few nats and the data are few, a held-out test is the better certificate.
