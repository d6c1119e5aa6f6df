# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A prior you never wrote down
#
# The last notebook ended with a fan: the same network, trained from several starts, agreed at the data and disagreed elsewhere. Here the
# fan becomes a probability law. Take a *Gaussian* over the weights, $q = N(\mu, SS^\top)$, and train $\mu$ and $S$ by gradient descent on
# the expected loss. Bayesian textbooks add a penalty, $\mathrm{KL}(q \,\|\, \text{prior})$; without it, they say, the law collapses to
# a point. It does not. Descent itself remembers where it started, and what it remembers acts as a prior:
#
# 1. the law that training ends in, and how fast;
# 2. among all laws that fit the data it is the one *nearest to the start*, in the distance $W_2$;
# 3. it is what an ensemble of independently trained networks computes, member by member;
# 4. why the distance is $W_2$ and not KL, and when that makes a difference;
# 5. sampled training: how large a step may be, and what the rank of $S$ costs.
#
# Each time: predict, run, compare.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML, display
from torch import nn

import nonvacuous as nv
from nonvacuous import implicit_bias as ib
from nonvacuous.showing import table as html_table

# "small" runs in seconds; the saved outputs were made with "full"
SMALL = os.environ.get("NONVACUOUS_NOTEBOOK", "small") == "small"
torch.set_num_threads(1)

RIGHT, WRONG, DATA, INK, OTHER, FIFTH = "#1b7f5c", "#b3261e", "#1f5fa8", "#22262b", "#b07d12", "#7a4fa3"
plt.rcParams.update({"figure.dpi": 110, "font.size": 9.5, "legend.frameon": False})
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10})


def table(headers, rows):
    """Show rows of text as an HTML table."""
    display(HTML(html_table(headers, rows)))


def show(*keys):
    """Show a statement of the catalogue with its assumptions and its status, or several with their status."""
    display(nv.show(*keys))


# %% [markdown]
# ## 1. The law that training ends in
#
# A draw of the weights is $w = \mu + S z$ with standard normal $z$. The expected loss on rows $X$ and targets $y$ is
#
# $$E\,\tfrac12\|y - Xw\|^2 = \tfrac12\|y - X\mu\|^2 + \tfrac12\|XS\|_F^2 ,$$
#
# so the mean solves least squares, and each column of $S$ solves least squares with targets 0. Each of these is a problem of the last
# notebook: what lies in the span of the rows is trained, what $P = I - X^+X$ keeps is not.
#
# **Predict.** From $\mu_0, S_0$ training ends at
#
# $$\mu_\infty = P\mu_0 + X^+ y, \qquad S_\infty = P S_0 .$$
#
# No variance at the data, the variance of the start wherever the data say nothing. From the catalogue:

# %%
show("ib.regression_w2")

# %% [markdown]
# We use a frozen network body with 40 features and a Gaussian on its last layer, of rank 8. Torch trains $\mu$ and $S$ on the expected loss.

# %%
torch.manual_seed(1)
FEATURES, RANK = 40, 8
body = nn.Sequential(nn.Linear(1, FEATURES), nn.Tanh()).double()
with torch.no_grad():
    body[0].weight.mul_(4)
    body[0].bias.mul_(3)
inputs = torch.tensor([[-0.8], [-0.5], [0.2], [0.7]], dtype=torch.float64)
targets = torch.sin(3 * inputs[:, 0])
X = body(inputs).detach() / FEATURES**0.5
y = targets.numpy()
everywhere = torch.linspace(-2, 2, 200, dtype=torch.float64)[:, None]
seen = body(everywhere).detach().numpy() / FEATURES**0.5

rng = np.random.default_rng(0)
prior = ib.GaussianLaw(rng.standard_normal(FEATURES), rng.standard_normal((FEATURES, RANK)))
step = ib.fastest_step(X.numpy())
TIME = 2_000 if SMALL else 40_000

mean = nn.Parameter(torch.from_numpy(prior.mean.copy()))
factor = nn.Parameter(torch.from_numpy(prior.factor.copy()))
optimiser = torch.optim.SGD([mean, factor], lr=step)
snapshots = {}
for t in range(TIME + 1):
    if t in (0, 20, 200, TIME):
        snapshots[t] = ib.GaussianLaw(mean.detach().numpy().copy(), factor.detach().numpy().copy())
    optimiser.zero_grad()
    loss = (torch.from_numpy(y) - X @ mean).square().sum() / 2 + (X @ factor).square().sum() / 2
    loss.backward()
    optimiser.step()

limit = ib.regression_limit(X.numpy(), y, prior)
rows = []
for t, law in snapshots.items():
    predicted = ib.regression_path(X.numpy(), y, prior, step=step, time=t)
    apart, allowed = ib.wasserstein2(law, predicted), ib.law_rounding_floor(X.numpy(), y, prior, step=step, steps=t)
    to_limit, bound = ib.wasserstein2(law, limit), ib.distance_to_limit_bound(X.numpy(), y, prior, step=step, steps=t)
    rows.append((t, f"{apart:.1e}", f"{allowed:.1e}", f"{to_limit:.2e}", f"{bound:.2e}"))
    assert apart <= allowed + 1e-13 * np.linalg.norm(
        prior.factor
    )  # steps and formula; then the distance's own rounding
    assert to_limit <= bound + allowed + 1e-13 * np.linalg.norm(prior.factor)
table(["step", "W₂ to the predicted law", "allowed by rounding", "W₂ to the limit", "predicted bound"], rows)

figure, axes = plt.subplots(1, len(snapshots), figsize=(9.6, 2.5), sharey=True, layout="constrained")
for panel, (t, law) in zip(axes, snapshots.items(), strict=True):
    centre, spread = seen @ law.mean, np.linalg.norm(seen @ law.factor, axis=1)
    panel.fill_between(everywhere[:, 0], centre - 2 * spread, centre + 2 * spread, color=DATA, alpha=0.2, lw=0)
    panel.plot(everywhere[:, 0], centre, color=DATA, lw=1.5)
    panel.plot(inputs[:, 0], y, "o", color=INK, ms=4)
    panel.set(title=f"{t} steps", xlabel="x", ylim=(-4.5, 4.5))
plt.show()

assert ib.wasserstein2(snapshots[TIME], limit) < ib.wasserstein2(snapshots[20], limit)

# %% [markdown]
# Nobody wrote a prior or a penalty. The band closed at the four points and stayed open elsewhere.
#
# ## 2. Nearest to the start
#
# Many laws fit the data exactly: any law on the solutions $\{w : Xw = y\}$. The catalogue says that training picked the one nearest to the
# starting law in 2-Wasserstein distance: the least mean square move that turns draws of one into draws of the other.
#
# **Predict.** $W_2^2(q_\infty, q_0) = \|X^+(y - X\mu_0)\|^2 + \|X^+X S_0\|_F^2$, and no other law that fits is nearer, Gaussian or not.

# %%
price = ib.distance_to_prior_squared(X.numpy(), y, prior)
print(f"W2² to the start: formula {price:.12f}, from the two laws {ib.wasserstein2_squared(limit, prior):.12f}")

_, _, right = np.linalg.svd(X.numpy())
free = right[len(y) :].T  # an orthonormal basis of ker X
solution = np.linalg.pinv(X.numpy()) @ y
COMPETITORS = 300 if SMALL else 3_000
found = []
for _ in range(COMPETITORS):
    size = 10.0 ** rng.uniform(-4, 0.5)
    rank = int(rng.integers(1, 2 * RANK))
    m = free.T @ prior.mean + size * rng.standard_normal(free.shape[1])
    s = np.pad(free.T @ prior.factor, ((0, 0), (0, RANK)))[:, : max(rank, RANK)] + size * rng.standard_normal(
        (free.shape[1], max(rank, RANK))
    )
    rival = ib.GaussianLaw(solution + free @ m, free @ s)
    found.append((size, ib.wasserstein2_squared(rival, prior)))
found = np.array(found)

figure, axis = plt.subplots(figsize=(5.4, 2.7), layout="constrained")
axis.loglog(found[:, 0], found[:, 1] - price, ".", color=DATA, ms=3, alpha=0.6)
axis.set(
    xlabel="size of the change",
    ylabel="$W_2^2$ above that of training's law",
    title="laws that fit, all farther from the start",
)
plt.show()

scale = np.linalg.norm(prior.mean) ** 2 + np.linalg.norm(prior.factor) ** 2
assert abs(ib.wasserstein2_squared(limit, prior) - price) < 1e-13 * scale  # a few roundings of the squared scale
assert (found[:, 1] >= price - 1e-13 * (scale + found[:, 1])).all()

# %% [markdown]
# ## 3. An ensemble computes it
#
# Draw starts $w_0 \sim q_0$ and train each by plain descent. Every member moves by the same linear map as $\mu$ and the columns of $S$.
#
# **Predict.** At *every* step the members' law is the variational law, not only in the limit.

# %%
show("ib.ensemble_equiv")

# %%
MEMBERS = 2_000 if SMALL else 20_000
members = (prior.mean[:, None] + prior.factor @ rng.standard_normal((RANK, MEMBERS))).T
design, rows = X.numpy(), []
for t in range(201):
    if t in (0, 20, 200):
        law = ib.regression_path(design, y, prior, step=step, time=t)
        outputs, centre = members @ seen.T, seen @ law.mean
        spread = np.linalg.norm(seen @ law.factor, axis=1)
        off = np.abs(outputs.mean(axis=0) - centre) / (spread / np.sqrt(MEMBERS))
        ratio = outputs.var(axis=0, ddof=1) / spread**2
        error = np.abs(ratio - 1) / np.sqrt(2 / (MEMBERS - 1))  # exact standard error of a Gaussian variance
        rows.append((t, f"{off.max():.2f}", f"{error.max():.2f}"))
        # 200 points on a curve, 3 times: 1,200 numbers, each beyond 5.5 standard errors with probability 4e-8
        assert off.max() < 5.5
        assert error.max() < 7  # the tail of a chi-square variable is a little heavier than the Gaussian one
    members -= step * (members @ design.T - y) @ design
table(["step", "largest deviation of the mean", "of the variance, in standard errors"], rows)

assert np.linalg.norm(design @ members.mean(axis=0) - y) < np.linalg.norm(design @ prior.mean - y)

# %% [markdown]
# So a Gaussian of rank 8 that costs 9 sets of weights replaces infinitely many ensemble members, as long as the model is linear.
#
# ## 4. Why $W_2$, and not KL?
#
# Bayes' rule with noise-free data gives another law: condition the prior on $Xw = y$. The usual variational objective with a vanishing weight on the KL ends
# there as well. In formulas: an *oblique* projection of the prior along $\Sigma_0$, where training did an *orthogonal* one.
#
# **Predict.** The two agree if the prior is isotropic. If not, the trained law has at least the variance of Bayes in every direction. And at its
# end the KL to the prior is *infinite*, since the law has no density: KL could not have chosen it.

# %%
show("ib.kl_compare")

# %%
x2, y2 = np.array([[1.0, 1.0]]), np.array([1.5])
priors = {"isotropic": np.eye(2), "stretched": np.array([[1.6, 0.0], [0.0, 0.35]])}
figure, axes = plt.subplots(1, 2, figsize=(8.2, 3.4), layout="constrained")
around = np.linspace(0, 2 * np.pi, 200)
circle = np.stack([np.cos(around), np.sin(around)])
for panel, (name, root) in zip(axes, priors.items(), strict=True):
    start = ib.GaussianLaw(np.zeros(2), root)
    trained = ib.regression_limit(x2, y2, start)
    sigma = root @ root.T
    gain = sigma @ x2.T / (x2 @ sigma @ x2.T)
    bayes_mean, bayes = gain @ y2, sigma - gain @ x2 @ sigma
    panel.plot(*(2 * root @ circle), color=OTHER, lw=1.3, label="prior, 2 σ")
    line = np.array([-3.5, 3.5])
    panel.plot(line, 1.5 - line, color=INK, lw=0.8)
    along = np.array([1.0, -1.0]) / np.sqrt(2)
    for centre, cov, colour, label, width in (
        (trained.mean, ib.covariance(trained), RIGHT, "trained ($W_2$)", 5),
        (bayes_mean, bayes, WRONG, "Bayes (KL)", 2),
    ):
        reach = 2 * np.sqrt(along @ cov @ along) * along
        panel.plot(*np.stack([centre - reach, centre + reach]).T, color=colour, lw=width, alpha=0.75, label=label)
        panel.plot(*centre, "o", color=colour, ms=5)
    panel.set(title=f"{name} prior", aspect="equal", xlim=(-3.5, 3.5), ylim=(-2.3, 3), xlabel="$w_1$", ylabel="$w_2$")
    excess = np.linalg.eigvalsh(ib.covariance(trained) - bayes)
    same = np.abs(excess).max() < 1e-14
    print(f"{name}: eigenvalues of trained minus Bayes covariance {np.round(excess, 6) + 0.0}, same law: {same}")
    assert same == (name == "isotropic")
    assert excess.min() > -1e-14  # entries below 3, a handful of operations
axes[0].legend(fontsize=8, loc="lower left")
plt.show()

assert excess.max() > 1  # of the stretched prior, the last of the two: Bayes is much surer along the line

# %% [markdown]
# On the right the prior is sure about $w_2$ and unsure about $w_1$. Bayes therefore explains the data by $w_1$. Descent does not know which
# weights were uncertain; it moves along the gradient, equally in both.
#
# It could know: train in coordinates in which the prior is round, $w = \mu_0 + S_0 v$, and descent ends at Bayes' law. There is a dial in between.

# %%
show("ib.precond_bayes")

# %% [markdown]
# ### What no mean-field law can do
#
# Restrict $S$ to a diagonal: one variance per weight. That is the most popular variational family for networks. Its variance at the data is
# $\sum_i x_{ni}^2 s_i^2$, so fitting the data means $s_i \to 0$ for *every* weight that any example uses.
#
# **Predict.** $s_i(t) = (1 - \eta \|X_{:,i}\|^2)^t s_i(0)$: no uncertainty is left anywhere, with a penalty or without.

# %%
s = np.ones(FEATURES)
squares = (X.numpy() ** 2).sum(axis=0)
mean_field_step = 1 / squares.max()
walk = {0: s.copy()}
for t in range(1, 101):
    s = s - mean_field_step * squares * s
    if t in (1, 3, 10, 100):
        walk[t] = s.copy()
for t, found in walk.items():
    formula = (1 - mean_field_step * squares) ** t
    assert np.abs(found - formula).max() < 4 * (t + 1) * 2.0**-53  # t products of numbers up to 1
full = ib.GaussianLaw(np.zeros(FEATURES), np.eye(FEATURES))
kept = np.linalg.norm(seen @ ib.regression_limit(X.numpy(), y, full).factor, axis=1)
figure, axis = plt.subplots(figsize=(6, 2.6), layout="constrained")
for (t, found), colour in zip(walk.items(), (INK, DATA, FIFTH, OTHER, WRONG), strict=True):
    axis.plot(everywhere[:, 0], np.sqrt(seen**2 @ found**2), color=colour, lw=1.3, label=f"diagonal, step {t}")
axis.plot(everywhere[:, 0], kept, color=RIGHT, lw=2.2, label="full factor, limit")
axis.plot(inputs[:, 0], 0 * y, "o", color=INK, ms=4)
axis.set(xlabel="x", ylabel="standard deviation")
axis.legend(fontsize=7, ncols=2)
plt.show()

# %% [markdown]
# ## 5. Sampled training and the rank of the factor
#
# In practice the expectation is not computed. Each step draws $z$ anew and uses the gradient at $\mu + Sz$. The end stays the same, since the noise
# vanishes where $XS = 0$. But the noise is multiplied by the error, so it limits the step.
#
# **Predict.** With one draw per step and rank $R$ the second moments stay bounded up to $\eta\, h_{\max} = 2/\lambda$ with
# $\lambda = \frac12\big(R + 3 + \sqrt{(R+3)^2 - 8}\big)$, about $2/(R+3)$. A high rank is expensive. If the factor learns $R$ times more slowly than the
# mean, the edge is $R + 1 - \sqrt{R^2+1}$: between 0.586 and 1 for *every* rank.

# %%
show("ib.mc_stability")


# %%
def second_moments(a, rank, kappa, steps):
    """E of the squares (mean, average column) of one mode, from 1 and 1: the exact 2 x 2 recursion for one draw per step."""
    T = np.diag([1 - 2 * a, 1 - 2 * a * kappa]) + a**2 * np.array([[1, rank], [kappa**2, kappa**2 * (rank + 2)]])
    found = [np.ones(2)]
    for _ in range(steps):
        found.append(T @ found[-1])
    return np.array(found), np.abs(np.linalg.eigvals(T)).max()


def simulated(a, rank, kappa, steps, runs, seed):
    """The same by training `runs` copies of one mode with fresh draws."""
    draws = np.random.default_rng(seed)
    m, s = np.ones(runs), np.ones((runs, rank))
    found = [[1.0, 1.0]]
    for _ in range(steps):
        z = draws.standard_normal((runs, rank))
        residual = m + (s * z).sum(axis=1)
        m, s = m - a * residual, s - a * kappa * residual[:, None] * z
        found.append([(m**2).mean(), (s**2).mean()])
    return np.array(found)


RUNS, HORIZON = (4_000, 12) if SMALL else (100_000, 20)
figure, axes = plt.subplots(1, 2, figsize=(8.6, 2.9), layout="constrained")
for panel, (label, kappa_of) in zip(
    axes, {"same rate": lambda r: 1.0, "factor R times slower": lambda r: 1 / r}.items(), strict=True
):
    for rank, colour in ((1, DATA), (4, RIGHT), (10, WRONG)):
        kappa = kappa_of(rank)
        lam = ((rank + 3) + np.sqrt((rank + 3) ** 2 - 8)) / 2
        edge = 2 / lam if kappa == 1 else rank + 1 - np.sqrt(rank**2 + 1)
        for fraction, style in ((0.8, "-"), (1.2, "--")):
            exact, radius = second_moments(fraction * edge, rank, kappa, HORIZON)
            assert (radius < 1) == (fraction < 1)
            sample = simulated(fraction * edge, rank, kappa, HORIZON, RUNS, seed=rank)
            panel.semilogy(
                exact.sum(axis=1), style, color=colour, lw=1.2, label=f"R = {rank}, {fraction:g} of the edge"
            )
            panel.semilogy(sample.sum(axis=1), ".", color=colour, ms=3)
        assert abs(second_moments(edge, rank, kappa, 0)[1] - 1) < 1e-12  # the edge itself, to rounding
    panel.set(title=label, xlabel="steps")
axes[0].set(ylabel="second moments (dots: trained)")
axes[0].legend(fontsize=6.5)
plt.show()

# the edge of the slower factor, at ranks that were not drawn
assert all(abs(second_moments(r + 1 - np.sqrt(r**2 + 1), r, 1 / r, 0)[1] - 1) < 1e-9 for r in (2, 7, 100))

# %% [markdown]
# Lines are the exact recursion, dots are averages over trained copies. Just above the edge the dots may fall below the line later on: rare runs carry
# the second moment, and a finite sample misses them. Which is why the package computes the edge rather than looking for it.
#
# ## 6. Your turn: how much does the data cost?
#
# Take the stretched prior of section 4, $\Sigma_0 = \mathrm{diag}(1.6^2, 0.35^2)$, mean 0, and the data $w_1 + w_2 = 1.5$. What is $W_2^2$ between the
# trained law and the prior? Four digits.

# %%
distance = None  # your answer

# %% [markdown]
# <details><summary>A hint</summary>
#
# $X^+ = (1, 1)^\top/2$. The price is $\|X^+ y\|^2 + \|X^+ X S_0\|_F^2$.
#
# </details>
#
# ### Solution

# %% jupyter={"source_hidden": true} tags=["solution"]
answer = 1.5**2 / 2 + (1.6**2 + 0.35**2) / 2
stretched = ib.GaussianLaw(np.zeros(2), priors["stretched"])
print(f"{answer:.4f}, from the laws: {ib.wasserstein2_squared(ib.regression_limit(x2, y2, stretched), stretched):.4f}")

assert abs(ib.distance_to_prior_squared(x2, y2, stretched) - answer) < 1e-14
assert distance is None or abs(distance - answer) < 1e-3, "look again: 1.125 for the mean, and the factor's share"

# %% [markdown]
# ## What breaks this
#
# - **Nonlinear models.** The theorem is about models that are linear in what is trained. For deep networks it is a limit statement near the linearisation.
# - **The parametrisation of the covariance.** It must be a factor $S$ with $\Sigma = SS^\top$. A Cholesky factor, a logarithm of scales or $\Sigma$ itself
#   end elsewhere, or nowhere.
# - **Reused draws.** With the same few draws in every step, directions of $S$ that no draw sees are never trained, and variance stays at the data.
# - **Adaptive optimisers.** No metric known in advance, no law.
# - **Classification.** There is no end: the mean grows like $\log t$. Notebook 13.
#
# ## Results used

# %%
USED = ("ib.w2_gauss", "ib.regression_w2", "ib.ensemble_equiv", "ib.kl_compare", "ib.precond_bayes", "ib.mc_stability")
show(*USED)

assert all("verdict" in entry for entry in nv.show(*USED).entries if entry["result"])
