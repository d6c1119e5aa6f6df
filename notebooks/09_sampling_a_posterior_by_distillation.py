# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sampling a posterior by distillation
#
# Random network distillation measures the variance of an ensemble (notebook 08), and an ensemble is not a posterior (notebook 07). One change of the
# *target* turns the same machine into an exact sampler: the errors of a trained predictor become draws from a Bayesian posterior. Not error bars at single
# points but whole **functions**, and no matrix is inverted. You will
#
# 1. find out which covariance the target lacks, and build such a target with one directional derivative;
# 2. check the law of the error, this time *without* a factor 2;
# 3. ask a question that only functions can answer;
# 4. add observation noise, and lose a known amount by forgetting half of it;
# 5. make the classical mistake, an un-zeroed readout, and predict its price exactly;
# 6. run out of heads.
#
# Known from before: $K$ (covariance of a random wide network), $T$ (its tangent kernel), $G = T_{*X}T_{XX}^{-1}$, $M = [\,I, -G\,]$.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML, display
from scipy.stats import binomtest, chi2
from torch import nn

import nonvacuous as nv
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


ALPHA = 1e-6  # a measurement refutes a prediction when luck alone would do it once in a million

# %% [markdown]
# ## 1. The missing covariance
#
# The error of any distillation starts as $e_0 = u_0 - g$ and ends as $M e_0$. A Bayesian with prior covariance $T$, the tangent kernel, who sees the data without
# noise, is left with the covariance
#
# $$\Sigma_{\rm ntkgp} = T_{**} - T_{*X}T_{XX}^{-1}T_{X*} = M\,T\,M^\top.$$
#
# (The second equality is one line: $M T M^\top = T_{**} - G T_{X*} - T_{*X}G^\top + G T_{XX} G^\top$, and $G T_{XX} = T_{*X}$.) So the error is a posterior draw
# if $e_0$ has covariance $T$. The predictor's start brings $K$. The target must bring the rest, **$T - K$**. That is a covariance: it is the hidden layers' share of the
# tangent kernel (`iw.readout_split`).

# %%
show("iw.brnd_target")

TRAIN = np.array([-2.2, -1.4, -0.5, 0.3, 1.0])
LABELS = np.array([0.9, -0.3, -1.0, 0.2, 0.7])
GRID = np.union1d(np.linspace(-np.pi, np.pi, 41 if SMALL else 121), TRAIN)
NETWORK = {"depth": 1, "activation": "relu", "weight_scale": 1.5, "bias_scale": 0.3}


def on_circle(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def blocks(test, train, **network):
    """K and T of the infinitely wide network over (test, train), as blocks."""
    both = nv.kernels.fully_connected_kernels(np.concatenate([test, train]), **network)
    return nv.wide_networks.kernel_blocks(both, tests=len(test))


K, T = blocks(on_circle(GRID), on_circle(TRAIN), **NETWORK)
missing = nv.wide_networks.brnd_target_covariance(K, T)
print(f"smallest eigenvalue of T - K over all points: {np.linalg.eigvalsh(missing.joint())[0]:.1e}")

assert np.linalg.eigvalsh(missing.joint())[0] > -1e3 * len(GRID) * 2.0**-52 * np.abs(T.test).max()  # rounding

# %% [markdown]
# **How to draw from $T - K$ without computing it.** Let $\theta_0$ be the predictor's own random start and $\psi$ an independent standard normal vector of the same
# shape. The derivative of the network along $\psi$, $J(x;\theta_0)\,\psi$, has the empirical tangent kernel as its covariance given $\theta_0$. Set the readout's entries of $\psi$
# (weights *and* bias) to zero, and only the hidden layers' share is left. In torch this is one call of `torch.func.jvp`: no Jacobian is formed, and it costs about two
# forward passes.
#
# **Predict.** Over many draws of $(\theta_0, \psi)$ the mean of $g(x)g(y)$ is $T - K$, with one hidden layer exactly so at *every* width (`iw.fw_unbiased_1layer`). Without the
# zeroing it is $T$.

# %%
NEURONS, PAIRS = (16, 1500) if SMALL else (32, 100_000)
look = torch.from_numpy(on_circle(np.array([-1.0, 1.8, 2.6])))


def network(theta, x):
    """One hidden layer in the NTK parametrisation, sigma_w = 1.5, sigma_b = 0.3."""
    hidden = torch.relu(1.5 / 2**0.5 * x @ theta["v"].T + 0.3 * theta["b"])
    return 1.5 / len(theta["b"]) ** 0.5 * hidden @ theta["w"] + 0.3 * theta["c"]


def draw(count, width, seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"v": (width, 2), "b": (width,), "w": (width,), "c": ()}
    return {k: torch.randn(count, *shape, generator=generator, dtype=torch.float64) for k, shape in shapes.items()}


def derivative(theta, psi):
    return torch.func.jvp(lambda p: network(p, look), (theta,), (psi,))[1]


theta0, psi = draw(PAIRS, NEURONS, 1), draw(PAIRS, NEURONS, 2)
zeroed = psi | {"w": torch.zeros_like(psi["w"]), "c": torch.zeros_like(psi["c"])}
K3, T3 = blocks(look.numpy(), on_circle(TRAIN), **NETWORK)
rows = []
for name, direction, expected in (("readout of ψ zeroed", zeroed, T3.test - K3.test), ("all of ψ", psi, T3.test)):
    g = torch.func.vmap(derivative)(theta0, direction).numpy()
    products = g[:, :, None] * g[:, None, :]
    error = products.std(axis=0) / np.sqrt(PAIRS)
    for i, j in ((0, 0), (1, 1), (1, 2), (0, 2)):
        rows.append(
            (name, f"({i}, {j})", f"{expected[i, j]:.4f}", f"{products.mean(axis=0)[i, j]:.4f} ± {error[i, j]:.4f}")
        )
    assert (np.abs(products.mean(axis=0) - expected) < 5 * error).all()  # five standard errors
table(["direction", "entry", "predicted", f"{PAIRS:,} networks of width {NEURONS}"], rows)

step = 1e-6  # the same derivative by a finite difference, for one pair
one = {k: v[0] for k, v in theta0.items()}
along = {k: v[0] for k, v in zeroed.items()}
moved = [network({k: one[k] + sign * step * along[k] for k in one}, look) for sign in (-1, 1)]
finite_difference = (moved[1] - moved[0]) / (2 * step)

# with the readout held the network is linear in the hidden layer between kinks: only rounding is left
assert torch.allclose(finite_difference, derivative(one, along), rtol=0, atol=100 * 2.0**-52 / step)

# %% [markdown]
# ## 2. The law of the error
#
# Train the predictor on the values of *that* target at the training points.

# %%
show("iw.brnd_error_law")

error_law = nv.wide_networks.brnd_error_covariance(K, T)
textbook = T.test - T.cross @ np.linalg.solve(T.train, T.cross.T)
rounding = 1e3 * len(TRAIN) * 2.0**-52 * np.linalg.cond(T.train) * np.abs(T.test).max()
print(f"the error's covariance and the textbook posterior differ by {np.abs(error_law - textbook).max():.1e}")

assert np.abs(error_law - textbook).max() < rounding

# %% [markdown]
# **Predict.** $E\,e(x)^2 = \Sigma_{\rm ntkgp}(x,x)$: no factor 2, nothing to halve. **Run**: draws of the limit, and torch networks (`bayesian_rnd` of `nv.methods`, several
# heads per fit). **Controls**: twice the posterior, and the ensemble's $\Sigma$ and $2\Sigma$, must be refuted by the draws.

# %%
DRAWS = 20_000 if SMALL else 400_000
FITS, HEADS, WIDTH = (1, 12, 64) if SMALL else (16, 12, 1024)
PLACE = int(np.abs(GRID - 2.6).argmin())  # in the gap
WITH_TRAIN = [PLACE, *range(len(GRID), len(GRID) + 5)]
G = nv.wide_networks.smoother(T)
rng = np.random.default_rng(0)


def gaussians(covariance, count):
    """Draws of a centred Gaussian vector at PLACE and the training points."""
    return rng.standard_normal((count, 6)) @ np.linalg.cholesky(covariance.joint()[np.ix_(WITH_TRAIN, WITH_TRAIN)]).T


start = gaussians(K, DRAWS) - gaussians(missing, DRAWS)  # u_0 - g
limit_errors = start[:, 0] - start[:, 1:] @ G[PLACE]

brnd = nv.methods.bayesian_rnd
model = nn.Sequential(nn.Linear(2, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1)).double()
data = torch.from_numpy(on_circle(TRAIN)), torch.from_numpy(LABELS)[:, None]
points = torch.from_numpy(on_circle(GRID))
settings = brnd.BayesianRNDConfig(weight_std=1.5, bias_std=0.3, heads=HEADS)
fits = [brnd.fit(model, data, settings, seed=seed, device="cpu") for seed in range(FITS)]
network_errors = np.concatenate([brnd.errors(fit, points).numpy() for fit in fits], axis=1)


def plausible(errors, variance):
    """Whether errors of this mean square can have this variance, at the level ALPHA."""
    law = chi2(errors.size)
    return law.ppf(ALPHA / 2) <= (errors**2).sum() / variance <= law.ppf(1 - ALPHA / 2)


sigma = nv.wide_networks.ensemble_covariance(K, T)
claims = {
    "posterior (the theorem)": error_law[PLACE, PLACE],
    "2 × posterior": 2 * error_law[PLACE, PLACE],
    "ensemble": sigma[PLACE, PLACE],
    "2 × ensemble (plain RND)": 2 * sigma[PLACE, PLACE],
}
rows = [(n, f"{v:.4f}", plausible(limit_errors, v), plausible(network_errors[PLACE], v)) for n, v in claims.items()]
table(["claimed variance of the error", "value", f"fits {DRAWS:,} draws of the limit", f"fits {FITS * HEADS} heads of width {WIDTH}"], rows)  # fmt: skip
print(
    f"mean square of the error: {(limit_errors**2).mean():.4f} in the limit, {(network_errors[PLACE] ** 2).mean():.4f} for the networks"
)

assert [row[2] for row in rows] == [True, False, False, False]
assert rows[0][3]
assert SMALL or [row[3] for row in rows[1:3]] == [False, False]  # enough heads at full size

# %% [markdown]
# (Two hundred heads cannot tell the posterior from twice the ensemble, which is smaller by a quarter here. The draws can.)
#
# The mean of the posterior comes from one more network: $f - f_0$ trained on the labels (a *centred* network has no variance in the limit, `iw.centered_network`).
# Mean plus the error of one head is one posterior function.

# %%
exact = nv.wide_networks.ntkgp_posterior(T, LABELS)
samples = np.concatenate([brnd.sample(fit, points, HEADS, seed=0)[:, :, 0].numpy() for fit in fits])
values, vectors = np.linalg.eigh(exact.covariance)
SHOWN = 12
gp_draws = (
    exact.mean + np.random.default_rng(1).standard_normal((20_000, len(GRID))) @ (vectors * np.sqrt(values.clip(0))).T
)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.1), sharey=True, layout="constrained")
sd = np.sqrt(exact.variance)
for panel, functions, title in ((axes[0], gp_draws, "exact Gaussian process, by matrix algebra"), (axes[1], samples, f"distillation, networks of width {WIDTH}")):  # fmt: skip
    panel.fill_between(GRID, exact.mean - 2 * sd, exact.mean + 2 * sd, color=RIGHT, alpha=0.15, lw=0)
    panel.plot(GRID, functions[:SHOWN].T, color=DATA if panel is axes[1] else RIGHT, lw=0.9, alpha=0.85)
    panel.plot(TRAIN, LABELS, "o", color=INK, ms=5, zorder=5)
    panel.set(xlabel="angle of the input", title=title)
axes[0].set(ylabel="f(x)")
plt.show()

on_data = samples[:, np.isin(GRID, TRAIN)]
# every function passes through the data; training stops at 1e-4 of the residual
assert np.abs(on_data - LABELS).max() < 0.01

# %% [markdown]
# Look at the roughness: these functions are jagged everywhere, as notebook 06 predicted for the covariance $T$ of ReLU networks.
#
# ## 3. A question for functions
#
# "With which probability does $f$ exceed 2 *somewhere* in the gap?" Error bars at single points cannot say. The largest pointwise probability is too small, and their sum is far
# too large. Draws of whole functions count directly.
#
# **Predict.** The heads of the networks and the exact process give the same probability, within the binomial error of so many functions.

# %%
LEVEL = 2.0
gap = (GRID > 1.0) | (GRID < -2.2)
truth = (gp_draws[:, gap].max(axis=1) > LEVEL).mean()
hits = int((samples[:, gap].max(axis=1) > LEVEL).sum())
pointwise = (gp_draws[:, gap] > LEVEL).mean(axis=0)
rows = [
    ("largest pointwise probability", f"{pointwise.max():.3f}"),
    ("sum of the pointwise probabilities (union bound)", f"{pointwise.sum():.3f}"),
    ("20,000 exact functions", f"{truth:.3f}"),
    (f"{len(samples)} functions by distillation", f"{hits / len(samples):.3f}"),
]
table([f"P(f > {LEVEL:g} somewhere in the gap)", ""], rows)

assert pointwise.max() < truth < pointwise.sum()
assert binomtest(hits, len(samples), truth).pvalue > ALPHA

# %% [markdown]
# And since the error law is a posterior, a new training point can never increase it. The ensemble had no such promise (`iw.adding_a_point`). **Run** both on
# random data:

# %%
TRIES = 60 if SMALL else 500
rng2 = np.random.default_rng(6)
rises = {"ensemble (RND)": 0, "posterior (Bayesian RND)": 0}
for _ in range(TRIES):
    scattered, where = rng2.standard_normal((5, 2)), rng2.standard_normal((1, 2))
    deep = NETWORK | {"depth": 2}
    pairs = [blocks(where, scattered[:m], **deep) for m in (4, 5)]
    for name, law in (("ensemble (RND)", nv.wide_networks.ensemble_covariance), ("posterior (Bayesian RND)", nv.wide_networks.brnd_error_covariance)):  # fmt: skip
        before, after = (law(k, t)[0, 0] for k, t in pairs)
        allowed = 1e3 * 6 * 2.0**-52 * np.linalg.cond(pairs[1][1].train) * pairs[1][1].test[0, 0]
        rises[name] += after > before + allowed
table(["variance", f"rose in, of {TRIES} random additions"], list(rises.items()))

assert rises["posterior (Bayesian RND)"] == 0
assert rises["ensemble (RND)"] > 0

# %% [markdown]
# ## 4. Observation noise
#
# Labels with noise of variance $s^2$ call for the posterior with $T_{XX} + s^2 I$ in place of $T_{XX}$. The text-book remark is "add $s^2$ to the diagonal", in training a
# penalty $\frac{s^2}{2}|\theta - \theta_0|^2$. That is *half* of it. With $G_s = T_{*X}(T_{XX} + s^2 I)^{-1}$ the penalty alone gives the error covariance $M_s T M_s^\top$.
#
# **Predict** (`iw.brnd_noise`): it is too small, by exactly $s^2 G_s G_s^\top$. The target's values need fresh noise $\xi$ of variance $s^2$, too: then $e = M_s e_0 + G_s\xi$, and
# the sum is the posterior.

# %%
NOISE = 0.3
noisy = nv.wide_networks.ntkgp_posterior(T, LABELS, noise=NOISE).covariance
without = nv.wide_networks.brnd_noise_error_covariance(T, noise=NOISE, label_noise=False)
Gs = np.linalg.solve(T.train + NOISE * np.eye(5), T.cross.T).T
xi = np.sqrt(NOISE) * rng.standard_normal((DRAWS, 5))

third = int(np.flatnonzero(np.isclose(TRAIN, 0.3))[0])
cases = {
    "in the gap": (PLACE, start[:, 0]),
    "at a training point": (int(np.flatnonzero(GRID == 0.3)[0]), start[:, 1 + third]),
}
rows = []
for name, (place, at) in cases.items():
    half = at - start[:, 1:] @ Gs[place]
    whole = half + xi @ Gs[place]
    for what, errors, covariance in (("penalty and label noise", whole, noisy), ("penalty alone", half, without)):
        rows.append((name, what, f"{covariance[place, place]:.5f}", f"{(errors**2).mean():.5f}"))
        assert plausible(errors, covariance[place, place])
    assert SMALL or not plausible(half, noisy[place, place])  # the control: with many draws the deficit is seen
table(["place", "trained with", "predicted variance", "drawn"], rows)

assert not plausible(half, noisy[place, place])  # at the data a few draws suffice

deficit = noisy - without
figure, axes = plt.subplots(figsize=(7, 2.8), layout="constrained")
axes.plot(GRID, np.sqrt(np.diag(noisy)), color=RIGHT, lw=1.8, label=f"posterior, $s^2$ = {NOISE}")
axes.plot(GRID, np.sqrt(np.diag(without)), color=WRONG, lw=1.6, ls="--", label="label noise forgotten")
axes.plot(GRID, np.sqrt(np.diag(error_law).clip(0)), color=INK, lw=1, ls=":", label="no noise")
axes.plot(TRAIN, np.zeros(5), "o", color=INK, ms=5)
axes.set(xlabel="angle of the input", ylabel="standard deviation")
axes.legend()
plt.show()

assert np.abs(deficit - NOISE * Gs @ Gs.T).max() < rounding

# %% [markdown]
# At the data the deficit is largest: an over-confident posterior just where you look first.
#
# **Exact at every width.** Freeze the Jacobian $J$ of *any* finite network and treat it as a linear model that starts at the zero function, with the full tangent target $J\psi$. Then the
# error is *exactly* a draw from the posterior of the empirical kernel $JJ^\top$ (`iw.sto_finite`): no limit, no approximation. **Run** with a network of ten neurons.

# %%
show("iw.sto_finite")

theta = {k: v[0] for k, v in draw(1, 10, 9).items()}
where = torch.cat([points[[PLACE]], torch.from_numpy(on_circle(TRAIN))])
jacobian = torch.func.jacrev(lambda p: network(p, where))(theta)
J = torch.cat([part.reshape(6, -1) for part in jacobian.values()], dim=1).numpy()
model10 = nv.wide_networks.features(J[[0, 4]], J[1:])  # test: in the gap, and at the fourth training point
direction = rng.standard_normal((DRAWS // 4, J.shape[1]))
draws10 = nv.wide_networks.sample_then_optimise(model10, np.zeros(5), initial=-direction, noise=NOISE, label_noise=xi[: DRAWS // 4])  # fmt: skip
empirical = J @ J.T
solved = np.linalg.solve(empirical[1:, 1:] + NOISE * np.eye(5), empirical[1:])
posterior10 = np.diag(empirical - empirical[:, 1:] @ solved)[[0, 4]]
limit10 = noisy[PLACE, PLACE]
for name, value, column in zip(("in the gap", "at a training point"), posterior10, draws10.T, strict=True):
    print(f"ten neurons, {name}: empirical posterior {value:.4f}, drawn {(column**2).mean():.4f}")
    assert plausible(column, value)
print(f"infinite width, in the gap: {limit10:.4f}")

assert not plausible(draws10[:, 0], limit10)  # ten neurons have a kernel of their own

# %% [markdown]
# ## 5. The readout that was not zeroed
#
# Forget to zero the readout's entries of $\psi$. The target then brings $T$ instead of $T - K$.
#
# **Predict** (`iw.brnd_breaks`): the error's covariance is $M(K + T)M^\top = \Sigma_{\rm ntkgp} + \Sigma_{\rm ens}$. Too large, by exactly the ensemble's covariance, everywhere.

# %%
show("iw.brnd_breaks")

careless = gaussians(K, DRAWS) - gaussians(T, DRAWS)
careless_errors = careless[:, 0] - careless[:, 1:] @ G[PLACE]
expected = error_law[PLACE, PLACE] + sigma[PLACE, PLACE]
print(
    f"predicted {expected:.4f}, drawn {(careless_errors**2).mean():.4f}, the posterior is {error_law[PLACE, PLACE]:.4f}"
)

assert plausible(careless_errors, expected)
assert not plausible(careless_errors, error_law[PLACE, PLACE])

# %% [markdown]
# ## 6. Out of heads
#
# Each head is one function. Drawing heads *with* replacement repeats functions, and repeated functions are not independent. (The published corollary draws with replacement.) The
# sampler of this package hands out every head once, and then says so.

# %%
try:
    brnd.sample(fits[0], points, HEADS + 1, seed=0)
except nv.wide_networks.HeadsExhausted as error:
    refusal = str(error)
    print("refused:", refusal)

every = brnd.sample(fits[0], points, HEADS, seed=3)
distances = torch.cdist(every[:, :, 0], every[:, :, 0]) + 1e9 * torch.eye(HEADS)

assert "unused" in refusal
assert float(distances.min()) > 1e-3  # all different

# %% [markdown]
# ## 7. Your turn: with replacement after all
#
# Somebody trains 100 heads and draws 50 times *with* replacement.
#
# 1. With which probability are the 50 functions all different?
# 2. How many different functions are among them on average?

# %%
replacement = None  # your answer, such as (0.1, 25.0)

# %% [markdown]
# <details><summary>A hint</summary>
#
# The first is the birthday problem with 100 days. For the second: a given head is missed by all 50 draws with probability $0.99^{50}$.
#
# </details>
#
# ### Solution

# %% jupyter={"source_hidden": true} tags=["solution"]
answer = (float(np.prod(1 - np.arange(50) / 100)), 100 * (1 - 0.99**50))
simulated = np.random.default_rng(0).integers(0, 100, size=(4000, 50))
different = np.array([len(set(row)) for row in simulated])
print(f"P(all different) = {answer[0]:.2e}; {answer[1]:.2f} different on average, simulated {different.mean():.2f}")

assert abs(different.mean() - answer[1]) < 5 * different.std() / np.sqrt(4000)
assert replacement is None or (replacement[0] < 1e-5 and abs(replacement[1] - answer[1]) < 0.1), (
    "look again: 100 (1 - 0.99^50)"
)

# %% [markdown]
# ## What breaks this
#
# - **Finite width.** Heads that share one direction $\psi$ err on the low side, a direction for each head on the high side, by terms of order $1/n$ that grow with the number of heads.
# - **A readout that is not zeroed, or whose bias is not drawn or not trained.** Exact amounts: `iw.brnd_breaks`.
# - **A target taken at another $\theta_0$**: harmless in the limit, wrong at finite width.
# - **Early stopping.** The error law stays known, but it is no longer a posterior.
# - **Noise without label noise**: over-confident by $s^2 G_s G_s^\top$. A posterior needs the noise variance; nothing here estimates it.
# - **Adam, batch statistics, feature learning**: outside of every theorem here.
# - **The prior.** The posterior is exact for the prior with covariance $T$. Whether that is *your* prior is not a question of sampling.
#
# ## Results used

# %%
USED = ("iw.readout_split", "iw.brnd_target", "iw.brnd_error_law", "iw.centered_network", "iw.ntkgp_posterior", "iw.adding_a_point", "iw.brnd_noise", "iw.sto", "iw.sto_finite", "iw.brnd_breaks", "iw.brnd_sampling")  # fmt: skip
show(*USED)

assert all("verdict" in entry for entry in nv.show(*USED).entries if entry["result"])
