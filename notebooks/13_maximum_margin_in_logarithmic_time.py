# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Maximum margin in logarithmic time
#
# In regression training ends. In classification it does not: once all examples are on the right side, the loss can always be
# lowered by making the weights longer. So the weights run away to infinity, and the question becomes *in which direction*, how fast, and what
# is left besides. The answers are exact, and they are stranger than in regression:
#
# 1. the direction: the separator with the largest margin, reached as slowly as $1/\log t$;
# 2. the constant term, which makes a slow theorem into a sharp test;
# 3. exponents that you can compute before training;
# 4. a Gaussian over the weights: what is left of its variance, and the condition that decides it;
# 5. why a classifier that trains longer is a more confident one, everywhere.
#
# Each time: predict, run, compare.

# %%
import itertools
import os

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, display
from scipy.integrate import solve_ivp

import nonvacuous as nv
from nonvacuous import implicit_bias as ib
from nonvacuous.showing import table as html_table

# "small" runs in seconds; the saved outputs were made with "full"
SMALL = os.environ.get("NONVACUOUS_NOTEBOOK", "small") == "small"

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
# ## 1. The direction
#
# Labels are $\pm 1$ and we multiply them into the rows, $x_n := y_n x_n$: correct means $x_n^\top w > 0$. The loss is
# $L(w) = \sum_n e^{-x_n^\top w}$. The **hard-margin** separator is $\hat w = \arg\min \|w\|^2$ subject to $x_n^\top w \ge 1$. Rows with
# $x_n^\top \hat w = 1$ are its support vectors, and $\hat w = \sum_n \alpha_n x_n$ with $\alpha_n \ge 0$ on them only.
#
# **Predict.** $w_t/\|w_t\| \to \hat w/\|\hat w\|$, from any start, on any separable data.

# %%
show("ib.logit_maxmargin")

# %%
features = np.array([[2.44, 0.21], [3.2, 2.6], [1.2, 4.2], [-0.26, -1.71], [-2.8, -2.8], [-4.2, -1.2]])
labels = np.array([1, 1, 1, -1, -1, -1])
X = ib.absorb_labels(features, labels)
best = ib.max_margin(X)
print(
    "maximum margin direction:",
    np.round(best.weights, 6),
    "| found by:",
    best.method,
    "| margin:",
    round(best.margin, 6),
)
print("support vectors:", np.flatnonzero(best.support), "| dual weights:", np.round(best.dual, 4))

start = np.array([2.0, -0.5])
w, step, STEPS = start.copy(), 0.05, 20_000 if SMALL else 1_000_000
kept = {0: w.copy()}
record = set(np.unique(np.geomspace(1, STEPS, 60).astype(int)).tolist())
for t in range(1, STEPS + 1):
    w = w + step * np.exp(-X @ w) @ X
    if t in record:
        kept[t] = w.copy()
times, path = np.array(list(kept)[1:]), np.array(list(kept.values())[1:])
direction = best.weights / np.linalg.norm(best.weights)
angle = np.arccos(np.clip(path @ direction / np.linalg.norm(path, axis=1), -1, 1))

figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.1), layout="constrained")
left.plot(*features[labels > 0].T, "o", color=DATA, ms=6)
left.plot(*features[labels < 0].T, "s", color=OTHER, ms=6)
across = np.array([-4.6, 4.6])
for vector, colour, label in (
    (path[4], INK, f"step {times[4]}"),
    (path[-1], WRONG, f"step {times[-1]:,}"),
    (best.weights, RIGHT, "maximum margin"),
):
    left.plot(across, -vector[0] / vector[1] * across, color=colour, lw=1.4, label=label)
left.set(xlim=(-4.6, 4.6), ylim=(-4.6, 4.6), aspect="equal")
left.legend(fontsize=7, loc="lower left")
right.semilogx(times, angle, color=DATA, lw=1.6, label="angle to the predicted direction")
right.semilogx(
    times,
    angle[-1] * np.log(times[-1]) / np.log(np.maximum(times, 2)),
    color=INK,
    ls="--",
    lw=1,
    label="a constant over log t",
)
right.set(xlabel="steps", ylim=(0, None))
right.legend(fontsize=8)
plt.show()

assert best.residuals.worst == 0  # six examples: the active set was confirmed in rational arithmetic
assert abs(best.dual.sum() - best.weights @ best.weights) < 1e-14 * best.dual.sum() * 10  # both are 1/margin^2
assert (X @ w > 0).all()
assert angle[-1] < angle[len(angle) // 2] < angle[0]

# %% [markdown]
# The angle falls like $1/\log t$: to halve it, *square* the number of steps. A test with that tolerance could hardly
# fail, and a check that cannot fail is worth nothing. So look closer.
#
# ## 2. The constant term
#
# **Predict.** If the support vectors are linearly independent with $\alpha_n > 0$ and span the rows, then
#
# $$w_t = \hat w \log t + \tilde w + P w_0 + o(1), \qquad x_n^\top \tilde w = \log(\eta/\alpha_n) \text{ on the support vectors.}$$
#
# Hence the obvious estimate $w_t/\log t$ of $\hat w$ is off by $(\tilde w + Pw_0)/\log t$, an offset that we can *assert*. And the
# log-difference $(w_{t_2} - w_{t_1})/\log(t_2/t_1)$ has no such offset: its error is a power of $t_1$.

# %%
show("ib.logit_residual")

# %%
remainder = ib.limit_remainder(X, start, step=step)
left_over = path - np.log(times)[:, None] * best.weights
off = np.linalg.norm(left_over - remainder, axis=1)
naive = path / np.log(np.maximum(times, 2))[:, None]
offset = np.linalg.norm(naive - best.weights - remainder / np.log(np.maximum(times, 2))[:, None], axis=1)
half = np.searchsorted(times, times[-1] ** 0.5)
sharp = ib.log_difference(path[half], path[-1], times=(times[half], times[-1]))
table(
    ["estimate of the maximum margin vector", "error"],
    [
        (f"w/log t at step {times[-1]:,}", f"{np.linalg.norm(naive[-1] - best.weights):.2e}"),
        ("the same minus its predicted offset", f"{offset[-1]:.2e}"),
        (
            f"log-difference between steps {times[half]:,} and {times[-1]:,}",
            f"{np.linalg.norm(sharp - best.weights):.2e}",
        ),
    ],
)
exponent = ib.correction_exponent(X)
print(f"predicted exponent of the remainder: {exponent:.4f}")

figure, axis = plt.subplots(figsize=(5.4, 2.8), layout="constrained")
axis.loglog(times, off, color=DATA, lw=1.6, label="distance from the predicted constant")
anchor = len(times) * 2 // 3
axis.loglog(
    times,
    off[anchor] * (times / times[anchor]) ** -exponent,
    color=INK,
    ls="--",
    lw=1,
    label=f"slope $-{exponent:.3f}$",
)
axis.set(xlabel="steps")
axis.legend(fontsize=8)
plt.show()

thirds = [*np.searchsorted(times, times[-1] ** np.array([1 / 3, 2 / 3])).tolist(), len(times) - 1]
slopes = [np.log(off[b] / off[a]) / np.log(times[b] / times[a]) for a, b in itertools.pairwise(thirds)]
print(f"measured slopes over the second and third third of log time: {slopes[0]:.3f}, {slopes[1]:.3f}")
assert abs(offset[-1] - off[-1] / np.log(times[-1])) < 1e-12 * np.linalg.norm(path[-1])  # an identity
assert off[-1] < off[half]
assert abs(slopes[1] + exponent) < abs(
    slopes[0] + exponent
)  # the later, the nearer: corrections to a power are smaller powers

# %% [markdown]
# From an error that no computer can make small to a straight line over many decades. The theorem is the same; the test can now fail.
#
# ## 3. Exponents before training
#
# Everything near the end is governed by $A = \sum_{n \in SV} \alpha_n x_n x_n^\top$. Always $A \hat w = \hat w$: one eigenvalue is exactly
# 1. The smallest, $\lambda_{\min}$, sets the pace.
#
# **Predict.** Two support vectors with inner products $\begin{pmatrix}6&1\\1&6\end{pmatrix}$: spectrum $\{1, 5/7\}$.

# %%
gram = np.array([[6.0, 1.0], [1.0, 6.0]])
pair = np.linalg.cholesky(gram)
spectrum = ib.rate_spectrum(pair)
print("spectrum:", spectrum, "| 5/7 =", 5 / 7)
weights = ib.max_margin(pair).weights
A = ib.rate_matrix(pair)
assert np.abs(spectrum - [5 / 7, 1]).max() < 1e-14
assert np.abs(A @ weights - weights).max() < 1e-14

# %% [markdown]
# ## 4. A Gaussian over the weights
#
# Now $w = \mu + Sz$ as in the last notebook, with the expected loss $\sum_n \exp(-x_n^\top\mu + \frac12\|S^\top x_n\|^2)$. Descent on it:
#
# $$\mu' = \sum_n l_n x_n, \qquad S' = -\sum_n l_n\, x_n x_n^\top S, \qquad l_n = \exp(-x_n^\top \mu + \tfrac12\|S^\top x_n\|^2).$$
#
# **Predict.** If the support vectors span the rows, the mean does what it did above, and $S \to P S_0$: the law keeps exactly the variance
# that the data cannot see, as in regression. But slowly: $\|QS\| \sim t^{-\lambda_{\min}}$, where regression was exponential.

# %%
show("ib.class_w2")
show("ib.class_rates")


# %%
def flow(rows, mean, factor, taus):
    """Gradient flow of the expected exponential loss in logarithmic time, tau = log(1 + t): means and factors at each tau."""
    p, rank = factor.shape

    def slope(tau, state):
        m, s = state[:p], state[p:].reshape(p, rank)
        seen = rows @ s
        pull = np.exp(tau - rows @ m + (seen**2).sum(axis=1) / 2)  # l_n dt/dtau
        return np.concatenate([pull @ rows, -(rows.T @ (pull[:, None] * seen)).ravel()])

    found = solve_ivp(
        slope,
        (0, taus[-1]),
        np.concatenate([mean, factor.ravel()]),
        method="LSODA",
        t_eval=taus,
        rtol=1e-10,
        atol=1e-12,
    )
    return found.y[:p].T, found.y[p:].T.reshape(-1, p, rank)


rows3 = np.column_stack([pair, np.zeros(2)])  # a third weight that no example uses
taus = np.linspace(0, 25, 101)
S0 = 0.5 * np.random.default_rng(0).standard_normal((3, 3))
means, factors = flow(rows3, np.zeros(3), S0, taus)
_, _, right = np.linalg.svd(rows3)
Q = right[:2].T @ right[:2]
size = np.linalg.norm(Q @ factors, axis=(1, 2))
local = np.gradient(np.log(size), taus)
print(f"local exponent at tau = 25: {local[-2]:.5f}, predicted {-5 / 7:.5f}")

frozen_rows = np.array([[1.0, 0.0, 0.0], [2.5, 2.0, 0.0]])
_, frozen = flow(frozen_rows, np.zeros(3), np.eye(3), taus)
variance = ((frozen_rows @ frozen) ** 2).sum(axis=2)
figure, (left, right_panel) = plt.subplots(1, 2, figsize=(8.6, 2.9), layout="constrained")
left.semilogy(taus, size, color=DATA, lw=1.7, label="$\\|QS\\|$")
left.semilogy(
    taus,
    np.linalg.norm(factors - Q @ factors, axis=(1, 2)),
    color=RIGHT,
    lw=1.7,
    label="$\\|PS\\|$, predicted constant",
)
left.semilogy(taus, size[-1] * np.exp(-5 / 7 * (taus - taus[-1])), color=INK, ls="--", lw=1, label="$t^{-5/7}$")
left.set(xlabel="log time", title="support vectors span the rows")
left.legend(fontsize=8)
for column, colour, label in ((0, DATA, "support vector (1, 0, 0)"), (1, WRONG, "other example (2.5, 2, 0)")):
    right_panel.semilogy(taus, variance[:, column], color=colour, lw=1.7, label=label)
right_panel.set(xlabel="log time", title="they do not", ylabel="variance at the example")
right_panel.legend(fontsize=8)
plt.show()

Qs0 = S0 - Q @ S0
assert (
    np.abs(factors[-1] - Q @ factors[-1] - Qs0).max() < 1e-9
)  # never moved; 1e-10 is what the integrator promises per unit
assert (
    abs(local[-2] + 5 / 7) < 1e-3
)  # the corrections fall like exp(-5/7 tau): 2e-8 here; the rest is the difference quotient
assert abs(variance[-1, 1] - 1.6816) < 5e-5  # the printed digits of the theory

# %% [markdown]
# Right: the second example is no support vector. Its pull dies out before its variance does, and the variance *freezes*, at a value that depends
# on the whole path. No theorem predicts it, and the package refuses to.
#
# How often do support vectors span? If there are fewer examples than weights: exactly when *every* example is a support vector.

# %%
show("ib.class_nonspan")

# %%
DRAWS = 30 if SMALL else 300
counted = []
for examples, parameters in ((20, 21), (20, 40), (20, 100), (20, 400)):
    draws = np.random.default_rng(parameters)
    hits = sum(ib.every_row_supports(draws.standard_normal((examples, parameters))) for _ in range(DRAWS))
    counted.append((examples, parameters, f"{hits / DRAWS:.2f}"))
table(["examples", "weights", "fraction of random problems in which all examples support"], counted)

# %% [markdown]
# Twice as many weights as examples is not enough; twenty times is. "Overparametrised" means more here than having more weights
# than examples.
#
# ## 5. Confident everywhere
#
# At a test point $x$ the mean margin $x^\top \mu_t$ grows like $x^\top \hat w \log t$ and its standard deviation tends to $\|S_0^\top P x\|$.
#
# **Predict.** Every predicted probability goes to 0 or 1 with training time, however wide the law. Only where $x^\top \hat w = 0$ is there
# a limit in between.

# %%
show("ib.class_overconfidence")

# %%
angles = np.linspace(0, 2 * np.pi, 181)
what = ib.max_margin(rows3).weights
unit, hidden = what / np.linalg.norm(what), np.array([0.0, 0.0, 1.0])
circle = 1.5 * (np.cos(angles)[:, None] * unit + np.sin(angles)[:, None] * hidden)
z = np.random.default_rng(1).standard_normal(4_000)
figure, axis = plt.subplots(figsize=(6, 2.8), layout="constrained")
entropies = {}
for tau, colour in ((0, INK), (2, FIFTH), (6, DATA), (24, RIGHT)):
    k = np.abs(taus - tau).argmin()
    margin = (circle @ means[k])[:, None] + np.linalg.norm(circle @ factors[k], axis=1)[:, None] * z
    probability = (1 / (1 + np.exp(-margin))).mean(axis=1)
    entropy = -probability * np.log(probability) - (1 - probability) * np.log1p(-probability)
    entropies[tau] = entropy
    axis.plot(np.degrees(angles), entropy, color=colour, lw=1.6, label=f"log time {tau}")
axis.axhline(np.log(2), color=INK, lw=0.6, ls=":")
axis.set(
    xlabel="angle of the test point to the maximum margin direction",
    ylabel="entropy, nats",
    xticks=[0, 90, 180, 270, 360],
)
figure.legend(fontsize=8, ncols=4, loc="outside upper center")
plt.show()

assert (entropies[24][[0, 90]] < entropies[2][[0, 90]]).all()
assert entropies[24][45] > 0.5  # at 90 degrees the margin has no drift

# %% [markdown]
# So in classification the length of training is a hyperparameter of the uncertainty, whether one tunes it or not. In regression it was not.
#
# ## 6. Your turn: one example
#
# A single row $x$ with $\|x\|^2 = b$. What is $\hat w$, what is $\alpha$, and what is the constant $x^\top \tilde w$ for gradient flow ($\eta = 1$)? Give the last one for
# $b = 4$, three decimals.

# %%
constant = None  # your answer

# %% [markdown]
# <details><summary>A hint</summary>
#
# $\hat w = x/b$, so $\alpha = 1/b$. For one example the flow can be solved: $e^{m} = e^{m_0} + bt$.
#
# </details>
#
# ### Solution

# %% jupyter={"source_hidden": true} tags=["solution"]
answer = np.log(4.0)
one = np.array([[2.0, 0.0]])
print(f"{answer:.6f}, from the package: {(one @ ib.constant_term(one)).item():.6f}")

assert abs((one @ ib.constant_term(one)).item() - answer) < 1e-14
assert constant is None or abs(constant - answer) < 1e-3, "look again: log(eta/alpha)"

# %% [markdown]
# ## What breaks this
#
# - **Data that cannot be separated.** Then the loss has a minimum, and descent on the mean finds it. `nv.implicit_bias.max_margin` says so, exactly for small data.
# - **Support vectors that do not span.** The direction survives, the law does not (section 4).
# - **Momentum.** No proof is known for the law; the package does not claim it.
# - **Too large a step.** The expected exponential loss carries $e^{v/2}$ and is not smooth: one bad step can overflow.
# - **Adaptive optimisers** end at other margins.
#
# ## Results used

# %%
USED = (
    "ib.logit_maxmargin",
    "ib.logit_residual",
    "ib.class_w2",
    "ib.class_rates",
    "ib.class_nonspan",
    "ib.class_overconfidence",
)
show(*USED)

assert all("verdict" in entry for entry in nv.show(*USED).entries if entry["result"])
