# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What a deep ensemble knows
#
# Train the same architecture ten times from ten random starts. The ten networks agree where there are data and disagree where
# there are none, and people use the disagreement as a measure of uncertainty: a **deep ensemble**. Uncertainty about what,
# exactly? For very wide networks there is an exact answer, and you will see
#
# 1. the law of a trained ensemble: a Gaussian process with an explicit covariance;
# 2. that this is *not* a Bayesian posterior, and between which two posteriors it lies;
# 3. a consequence that surprises: **one more training point can make the ensemble less certain**;
# 4. for which truths its error bars are calibrated.
#
# Notebook 06 is assumed: $K$ is the covariance of a random wide network, $T$ its tangent kernel.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML, display
from scipy.optimize import brentq
from scipy.stats import binomtest, chi2, norm
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
# ## 1. The law of a trained ensemble
#
# Our inputs lie on the unit circle, so that a function is a curve over the angle. There are $N = 5$ training points, and on one
# side of the circle there are none. The networks have one hidden ReLU layer, $\sigma_w = 1.5$ and $\sigma_b = 0.3$.
#
# Write $X$ for the training inputs, $y$ for the labels, $*$ for any test inputs; $T_{*X}$ is the matrix of tangent kernels
# between them, and so on. In the limit of infinite width a network that starts as the random function $f_0$ and is trained by
# gradient descent on $\frac12\sum_i (f(x_i)-y_i)^2$ until it fits ends as
#
# $$f_\infty = f_0 + G\,(y - f_0(X)), \qquad G = T_{*X} T_{XX}^{-1}.$$
#
# It corrects its own start. Everything random in it is $f_0$, a Gaussian process with covariance $K$; the map is linear; so the
# trained network is Gaussian too. With $M = [\,I, -G\,]$, acting on (test values, training values):

# %%
show("iw.lin_cov_inf")

assert nv.show("iw.lin_cov_inf").entries[0]["kind"] == "limit"

# %%
TRAIN = np.array([-2.2, -1.4, -0.5, 0.3, 1.0])
LABELS = np.array([0.9, -0.3, -1.0, 0.2, 0.7])
GRID = np.union1d(np.linspace(-np.pi, np.pi, 61 if SMALL else 181), TRAIN)
NETWORK = {"depth": 1, "activation": "relu", "weight_scale": 1.5, "bias_scale": 0.3}


def on_circle(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def blocks(test, train, **network):
    """K and T of the infinitely wide network over (test, train), as blocks."""
    both = nv.kernels.fully_connected_kernels(np.concatenate([test, train]), **network)
    return nv.wide_networks.kernel_blocks(both, tests=len(test))


K, T = blocks(on_circle(GRID), on_circle(TRAIN), **NETWORK)
law = nv.wide_networks.ensemble_law(K, T, LABELS)
G = np.linalg.solve(T.train, T.cross.T).T
by_hand = K.test + G @ K.train @ G.T - G @ K.cross.T - K.cross @ G.T
# rounding in solving with T_XX is amplified by its condition number
rounding = 1e3 * len(TRAIN) * 2.0**-52 * np.linalg.cond(T.train) * np.abs(K.test).max()
print(
    f"condition number of T_XX: {np.linalg.cond(T.train):.0f}; the two forms differ by {np.abs(by_hand - law.covariance).max():.1e}"
)

assert np.abs(by_hand - law.covariance).max() < rounding
assert np.abs(G @ LABELS - law.mean).max() < rounding

# %% [markdown]
# **Predict.** A band around $G y$ with the width $\sqrt{\Sigma(x,x)}$, $\Sigma = M K M^\top$. The labels move the middle of the band
# and *not* its width.
#
# **Run**, twice. First in the limit: draw many $f_0$ from the Gaussian process and apply the training map. Second with real torch
# networks, trained by full-batch gradient descent (`deep_ensemble` of `nv.methods`; it takes your module and draws the weights
# itself). With $R$ independent Gaussian members, $(R-1)\,s^2/\Sigma$ has a chi-squared law with $R - 1$ degrees of freedom, which
# gives an *exact* interval for the sample variance $s^2$.

# %%
MEMBERS, WIDTH, DRAWS = (16, 64, 20_000) if SMALL else (300, 512, 200_000)
LOOK = [int(np.abs(GRID - a).argmin()) for a in (-1.0, 1.8, 2.6)]  # between two data points; in the gap, twice

rng = np.random.default_rng(0)
joint = K.joint()
values, vectors = np.linalg.eigh(joint)
starts = rng.standard_normal((DRAWS, len(joint))) @ (vectors * np.sqrt(values.clip(0))).T
f0_test, f0_train = starts[:, LOOK], starts[:, len(GRID) :]
limit_members = f0_test + (LABELS - f0_train) @ G[LOOK].T

ensemble = nv.methods.deep_ensemble
model = nn.Sequential(nn.Linear(2, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1)).double()
data = torch.from_numpy(on_circle(TRAIN)), torch.from_numpy(LABELS)[:, None]
settings = ensemble.DeepEnsembleConfig(weight_std=1.5, bias_std=0.3, members=MEMBERS)
fitted = ensemble.fit(model, data, settings, seed=1, device="cpu")
networks = ensemble.predict(fitted, torch.from_numpy(on_circle(GRID))).samples[:, :, 0].numpy()


def sample_interval(variance, members):
    """Where the sample variance of so many Gaussian members lies, with probability 1 - ALPHA."""
    return [variance * chi2.ppf(p, members - 1) / (members - 1) for p in (ALPHA / 2, 1 - ALPHA / 2)]


rows = []
for place, column in zip(LOOK, limit_members.T, strict=True):
    predicted, measured = law.variance[place], (column.var(ddof=1), networks[:, place].var(ddof=1))
    inside = [low <= v <= high for v, (low, high) in zip(measured, (sample_interval(predicted, r) for r in (DRAWS, MEMBERS)), strict=True)]  # fmt: skip
    rows.append((f"{GRID[place]:.2f}", f"{predicted:.4f}", f"{measured[0]:.4f}", f"{measured[1]:.4f}", all(inside)))
    assert all(inside)
table(
    ["angle", "predicted Σ", f"{DRAWS:,} draws of the limit", f"{MEMBERS} networks of width {WIDTH}", "both inside"],
    rows,
)

relabelled = nv.wide_networks.ensemble_law(K, T, -3 * LABELS)
assert (relabelled.covariance == law.covariance).all()

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.1), sharey=True, layout="constrained")
for panel in (left, right):
    panel.plot(TRAIN, LABELS, "o", color=INK, ms=5, zorder=5)
    panel.set(xlabel="angle of the input", xlim=(-np.pi, np.pi))
left.plot(GRID, networks[:12].T, color=DATA, lw=0.9, alpha=0.8)
left.set(title=f"12 networks of width {WIDTH}", ylabel="f(x)")
sd = np.sqrt(law.variance)
right.fill_between(GRID, law.mean - 2 * sd, law.mean + 2 * sd, color=RIGHT, alpha=0.2, lw=0)
right.plot(GRID, law.mean, color=RIGHT, lw=1.8, label="predicted: mean ± 2 sd")
right.plot(GRID, networks.mean(axis=0), color=DATA, lw=1.2, ls="--", label=f"{MEMBERS} networks")
for sign in (-2, 2):
    right.plot(GRID, networks.mean(axis=0) + sign * networks.std(axis=0, ddof=1), color=DATA, lw=1, ls="--")
right.legend()
plt.show()

at_data = np.linalg.norm(networks[:, [int(np.abs(GRID - a).argmin()) for a in TRAIN]].std(axis=0))
assert at_data < np.linalg.norm(networks.std(axis=0)) / 3  # the members agree near the data

# %% [markdown]
# **Compare.** The limit is hit to Monte-Carlo precision, and real networks follow it. Their interval is wide, because a variance from
# $R$ members has a relative error of $\sqrt{2/(R-1)}$: 47% for ten members, which is what people use. The error of the finite width is smaller than
# that here; notebook 10 measures it.
#
# ## 2. Not a posterior, but between two
#
# A Bayesian with the prior "a random wide network", covariance $K$, conditions on the data and obtains
# $\Sigma_{\rm nngp} = K_{**} - K_{*X} K_{XX}^{-1} K_{X*}$. A Bayesian with the tangent kernel as prior covariance obtains
# $\Sigma_{\rm ntkgp} = T_{**} - T_{*X} T_{XX}^{-1} T_{X*}$. The ensemble uses $T$ for its corrections and $K$ for its starts. It is
# neither. (If only the readout layer is trained, $T$ becomes $K$, and the ensemble *is* the first posterior: `iw.nngp_top_layer`.)

# %%
show("iw.loewner_chain")

chain = nv.wide_networks.excess_decomposition(K, T)
readout_only = nv.wide_networks.readout_ensemble(K, LABELS)
conditioned = K.test - K.cross @ np.linalg.solve(K.train, K.cross.T)  # the textbook posterior
away = np.abs(readout_only.covariance - conditioned).max()
print(f"'train the readout only' and the textbook posterior differ by {away:.1e}")

assert away < 1e3 * 5 * 2.0**-52 * np.linalg.cond(K.train) * np.abs(K.test).max()

# %% [markdown]
# $A \preceq B$ means that $B - A$ has no negative eigenvalue: *every* linear combination of outputs varies at least as much under
# $B$. **Predict**: in every setting. **Run**: random data, depths, scales and activations, and the smallest eigenvalue of both differences, each
# formed by plain subtraction.

# %%
TRIES = 30 if SMALL else 400
rng = np.random.default_rng(2)
smallest, strict = [], 0
for _ in range(TRIES):
    depth = int(rng.integers(1, 4))
    random = {"depth": depth, "activation": str(rng.choice(["relu", "erf", "gelu"])), "weight_scale": rng.uniform(1, 2), "bias_scale": rng.uniform(0.1, 1)}  # fmt: skip
    k, t = blocks(rng.standard_normal((4, 3)), rng.standard_normal((6, 3)), **random)
    found = nv.wide_networks.excess_decomposition(k, t)
    allowed = 1e3 * 10 * 2.0**-52 * max(np.linalg.cond(k.train), np.linalg.cond(t.train)) * np.abs(t.test).max()
    for gap in (found.ensemble - found.nngp, found.ntkgp - found.ensemble):
        smallest.append(np.linalg.eigvalsh(gap)[0] / allowed)
        strict += smallest[-1] > 1
print(
    f"smallest eigenvalue of {2 * TRIES} gaps, in units of the rounding allowed: {min(smallest):.2g}; clearly positive: {strict}"
)

reversed_gap = np.linalg.eigvalsh(found.nngp - found.ensemble)[0] / allowed  # a control: the wrong order
assert min(smallest) > -1
assert reversed_gap < -1

# %% [markdown]
# **Why not simply call it a posterior?** Because it does not behave like one. Knowledge that is updated by Bayes' rule does not
# depend on the order: conditioning on $A$ and then on $B$ is conditioning on both. Take two of the points as $A$ and three as $B$.

# %%
first, then = [0, 1], [2, 3, 4]


def condition(covariance, on):
    """Covariance of everything, given exact values at the indices `on`."""
    return covariance - covariance[:, on] @ np.linalg.solve(covariance[np.ix_(on, on)], covariance[on])


def at_all(train):
    """Indices 0..4 are the training points, the rest of the grid follows."""
    return np.concatenate([on_circle(TRAIN), on_circle(GRID)]), on_circle(TRAIN[train])


rows, orders = [], {}
for name in ("NNGP posterior", "tangent-kernel posterior", "deep ensemble"):
    steps = []
    for known in (first, first + then):
        k, t = blocks(*at_all(known), **NETWORK)
        what = nv.wide_networks.excess_decomposition(k, t)
        steps.append({"NNGP posterior": what.nngp, "tangent-kernel posterior": what.ntkgp, "deep ensemble": what.ensemble}[name])  # fmt: skip
    orders[name] = np.abs(condition(steps[0], then) - steps[1]).max()
    rows.append((name, f"{orders[name]:.2e}", f"{np.diag(steps[1]).max():.3f}"))
table(["covariance", "two steps differ from one by", "largest variance"], rows)

assert max(orders["NNGP posterior"], orders["tangent-kernel posterior"]) < rounding
assert orders["deep ensemble"] > 100 * rounding

# %%
figure, axes = plt.subplots(figsize=(7, 2.9), layout="constrained")
for name, matrix, colour in (("NNGP posterior", chain.nngp, OTHER), ("deep ensemble", chain.ensemble, DATA), ("tangent-kernel posterior", chain.ntkgp, RIGHT)):  # fmt: skip
    axes.plot(GRID, np.sqrt(np.diag(matrix).clip(0)), color=colour, lw=1.8, label=name)
axes.plot(TRAIN, np.zeros(5), "o", color=INK, ms=5)
axes.set(xlabel="angle of the input", ylabel="standard deviation", xlim=(-np.pi, np.pi))
axes.legend(loc="upper left")
plt.show()

assert (np.diag(chain.nngp) <= np.diag(chain.ensemble) + rounding).all()
assert (np.diag(chain.ensemble) <= np.diag(chain.ntkgp) + rounding).all()

# %% [markdown]
# ## 3. More data, less certain
#
# For a posterior, one more observation can only lower the variance (without looking at the label, too). The ensemble has no such
# guarantee. The catalogue holds a counter-example with its digits: two hidden ReLU layers, $\sigma_w = 1.5$, $\sigma_b = 0.3$, three
# training points in the plane, one test point.

# %%
show("iw.adding_a_point")

DEEP = {"depth": 2, "activation": "relu", "weight_scale": 1.5, "bias_scale": 0.3}
OLD, NEW, TEST = np.array([(-0.1, 0.5), (-1.0, 0.2), (0.1, -0.8)]), np.array([(-1.0, 1.1)]), np.array([(-0.7, 0.2)])
three = nv.wide_networks.excess_decomposition(*blocks(TEST, OLD, **DEEP))
four = nv.wide_networks.excess_decomposition(*blocks(TEST, np.concatenate([OLD, NEW]), **DEEP))
rows = [
    (name, f"{float(getattr(three, field)[0, 0]):.7f}", f"{float(getattr(four, field)[0, 0]):.7f}")
    for name, field in (
        ("NNGP posterior", "nngp"),
        ("deep ensemble", "ensemble"),
        ("tangent-kernel posterior", "ntkgp"),
    )
]
table(["variance at (-0.7, 0.2)", "three points", "with (-1, 1.1) added"], rows)

assert rows[1][1:] == ("0.0152542", "0.0169334")  # the digits of the theory document
assert four.nngp < three.nngp
assert four.ntkgp < three.ntkgp

# %% [markdown]
# An increase of 11%. Is it a freak? **Run**: put the added point anywhere in the plane, and colour the plane by the ratio of the two
# variances. (The smoother for four points is one solve of a 4 x 4 system per place.)

# %%
SIDE = 25 if SMALL else 121
axis = np.linspace(-2.5, 2.5, SIDE)
plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
cross = nv.kernels.fully_connected_kernels(plane, np.concatenate([OLD, TEST]), **DEEP)
fixed = nv.kernels.fully_connected_kernels(np.concatenate([OLD, TEST]), **DEEP)

k = 2.25 * (plane**2).sum(axis=1) / 2 + 0.09  # variance and tangent kernel of the added point itself: V(a,a,a) = a/2
t = k
for _ in range(2):
    k_next = 2.25 * k / 2 + 0.09
    k, t = k_next, k_next + 2.25 * t / 2


def with_added(matrix, border, corner):
    """The Gram matrix over (three points, added point, test point) for every place of the plane."""
    full = np.empty((len(plane), 5, 5))
    keep = [0, 1, 2, 4]
    full[:, np.ix_(keep, keep)[0], np.ix_(keep, keep)[1]] = matrix
    full[:, 3, keep] = full[:, keep, 3] = border
    full[:, 3, 3] = corner
    return full


Kf, Tf = with_added(fixed.nngp, cross.nngp, k), with_added(fixed.ntk, cross.ntk, t)
gain = np.linalg.solve(Tf[:, :4, :4], Tf[:, :4, 4:])[..., 0]
residual = np.concatenate([-gain, np.ones((len(plane), 1))], axis=1)
after = np.einsum("zi,zij,zj->z", residual, Kf, residual)
ratio = (after / three.ensemble[0, 0]).reshape(SIDE, SIDE)
at_new = np.abs(plane - NEW).sum(axis=1).argmin()

figure, axes = plt.subplots(figsize=(5.2, 3.9), layout="constrained")
image = axes.pcolormesh(
    axis, axis, np.log2(ratio.clip(2**-2, 2**0.5)), cmap="RdBu_r", vmin=-0.5, vmax=0.5, rasterized=True
)
axes.contour(axis, axis, ratio, levels=[1.0], colors=INK, linewidths=1)
axes.plot(*OLD.T, "o", color=INK, ms=6, label="training points")
axes.plot(*TEST[0], "*", color="white", mec=INK, ms=13, label="test point")
axes.plot(*NEW[0], "P", color=OTHER, mec=INK, ms=9, label="the added point above")
figure.colorbar(image, label="log₂ of new variance / old variance")
axes.legend(loc="lower right", fontsize=8, frameon=True)
axes.set(title="where an added point raises the variance (red)")
plt.show()
print(f"share of the square where the variance rises: {(ratio > 1).mean():.1%}; largest ratio {ratio.max():.3f}")

check = blocks(TEST, np.concatenate([OLD, plane[at_new : at_new + 1]]), **DEEP)
assert (
    abs(after[at_new] / nv.wide_networks.ensemble_covariance(*check)[0, 0] - 1) < 1e-10
)  # the same number by the package
assert (ratio > 1).mean() > 0.05
assert ratio.max() > four.ensemble[0, 0] / three.ensemble[0, 0] * 0.99

# %% [markdown]
# Not a freak. For exploration by ensembles (and by RND, the next notebook) this means: a bonus may *increase* after a new state was
# visited, even in the idealised limit, with exact training.
#
# ## 4. When are the error bars calibrated?
#
# A predictor says "mean $\pm z\,\sigma(x)$". If the truth is a random function with covariance $C$ and the predictor's mean is $S y$
# for some matrix $S$, then its error is $[\,I, -S\,]$ applied to the truth, a Gaussian with variance
# $v(x) = \big([I, -S]\,C\,[I,-S]^\top\big)(x,x)$. The interval covers with probability $2\Phi(z\,\sigma(x)/\sqrt{v(x)}) - 1$,
# where $\Phi$ is the standard normal distribution function.
#
# **Predict**, at nominal 95%:
#
# - Truth drawn from $K$ (it looks like an untrained network). The NNGP posterior is calibrated, as every correct posterior is. *The ensemble is
#   calibrated too*: its error $[\,I,-G\,]\,f_{\rm true}$ has exactly its own covariance $M K M^\top$. The tangent-kernel posterior is too wide.
# - Truth drawn from $T$. Now the tangent-kernel posterior is calibrated, and the ensemble, with the *same* mean, is too narrow.

# %%
ROUNDS = 4000 if SMALL else 100_000
place = LOOK[1]
H = np.linalg.solve(K.train, K.cross.T).T
predictors = {
    "NNGP posterior": (H, chain.nngp, OTHER),
    "deep ensemble": (G, chain.ensemble, DATA),
    "tangent-kernel posterior": (G, chain.ntkgp, RIGHT),
}
levels = np.linspace(0.02, 0.995, 60)
figure, axes = plt.subplots(1, 2, figsize=(8.2, 3.3), sharey=True, layout="constrained")
rows = []
for panel, (truth, prior) in zip(axes, (("K", K), ("T", T)), strict=True):
    s = len(GRID)
    kernel = prior.joint()[np.ix_([place, *range(s, s + 5)], [place, *range(s, s + 5)])]
    draws = np.random.default_rng(5).standard_normal((ROUNDS, 6)) @ np.linalg.cholesky(kernel).T
    for name, (smoother, claimed, colour) in predictors.items():
        error = draws[:, 0] - draws[:, 1:] @ smoother[place]
        contrast = np.array([1, *-smoother[place]])
        actual, sigma = np.sqrt(contrast @ kernel @ contrast), np.sqrt(claimed[place, place])
        z = norm.isf((1 - levels) / 2)
        panel.plot(levels, 2 * norm.cdf(z * sigma / actual) - 1, color=colour, lw=1.8, label=name)
        panel.plot(levels[::6], [(np.abs(error) <= q * sigma).mean() for q in z[::6]], "o", color=colour, ms=4)
        covered = int((np.abs(error) <= norm.isf(0.025) * sigma).sum())
        predicted = 2 * norm.cdf(norm.isf(0.025) * sigma / actual) - 1
        rows.append((truth, name, f"{predicted:.4f}", f"{covered / ROUNDS:.4f}"))
        assert binomtest(covered, ROUNDS, predicted).pvalue > ALPHA
    panel.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":")
    panel.set(xlabel="nominal coverage", title=f"truth drawn from {truth}")
axes[0].set(ylabel="actual coverage")
axes[0].legend(fontsize=8)
plt.show()
table(["truth drawn from", "predictor", "predicted coverage of '95%'", "measured"], rows)

by = {(truth, name): float(p) for truth, name, p, _ in rows}
assert {by["K", "NNGP posterior"], by["K", "deep ensemble"], by["T", "tangent-kernel posterior"]} == {0.95}
assert by["T", "deep ensemble"] < 0.9
assert by["K", "tangent-kernel posterior"] > 0.97

# %% [markdown]
# (Left, the lines of the NNGP posterior and of the ensemble coincide.) So what does an ensemble know? It knows how far *functions like its own initial networks* may be from what its training rule makes of the data.
# If the truth is such a function, its error bars are right on average over truths, though a Bayesian would have made smaller errors.
# If the truth is rougher, like a draw from $T$, they are too small. And no calibration speaks about *your* truth unless you believe in one of these priors.
#
# ## 5. Your turn: stopped early
#
# Training for a finite time $t$ (unit rate, sum of squares, no $1/N$) replaces $G$ by $T_{*X}T_{XX}^{-1}(I - e^{-tT_{XX}})$. The ensemble then still
# disagrees *at* the training points. At which time has its largest variance at a training point fallen to 1% of the largest variance at the start? Give three digits.

# %%
stopping_time = None  # your answer, such as 1.23

# %% [markdown]
# <details><summary>A hint</summary>
#
# At the training points $M_t$ becomes $e^{-tT_{XX}}$ on the start, so the covariance there is $e^{-tT_{XX}} K_{XX}\, e^{-tT_{XX}}$. Or use
# `nv.wide_networks.ensemble_covariance(..., time_sum_loss=t)` with the training points as test points.
#
# </details>
#
# ### Solution

# %% jupyter={"source_hidden": true} tags=["solution"]
eigenvalues, basis = np.linalg.eigh(T.train)


def left_over(time):
    decay = (basis * np.exp(-time * eigenvalues)) @ basis.T
    return np.diag(decay @ K.train @ decay).max()


answer = brentq(lambda time: left_over(time) - 0.01 * np.diag(K.train).max(), 0.01, 100, xtol=1e-12)
own = blocks(on_circle(TRAIN), on_circle(TRAIN), **NETWORK)
package = np.diag(nv.wide_networks.ensemble_covariance(*own, time_sum_loss=answer)).max()
print(f"t = {answer:.6f}; the slowest direction has the rate {eigenvalues[0]:.3f}")

assert abs(package / np.diag(K.train).max() - 0.01) < rounding
assert stopping_time is None or abs(stopping_time / answer - 1) < 5e-3, "look again: the variance decays with e^(-2tλ)"

# %% [markdown]
# ## What breaks this
#
# - **Finite width.** The law holds as the width grows with everything else fixed. At finite width the variance even depends on the labels (notebook 10).
# - **Another optimiser.** Gradient flow, descent with a stable step, momentum and vanishing-step SGD reach the same $G$; Adam does not
#   (`iw.row_space_invariance`). The methods of this package therefore train by themselves.
# - **Another loss or labels with noise.** The squared error is used throughout. With a ridge penalty the smoother changes, and the ensemble is still no posterior.
# - **Repeated or nearly repeated inputs** make $T_{XX}$ singular: the package refuses instead of adding jitter in silence.
# - **The chain** needs a trained readout with its bias, so that $T - K$ is a covariance.
# - One step behind these statements is *cited*, not replayed here: that wide networks train like their linearisation (`iw.linearisation`).
#
# ## Results used

# %%
USED = ("iw.linearisation", "iw.lin_cov_inf", "iw.lin_cov_t", "iw.nngp_top_layer", "iw.ntkgp_posterior", "iw.excess_decomposition", "iw.loewner_chain", "iw.adding_a_point", "iw.row_space_invariance")  # fmt: skip
show(*USED)

assert all("verdict" in entry for entry in nv.show(*USED).entries if entry["result"])
