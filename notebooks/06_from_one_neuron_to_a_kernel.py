# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From one neuron to a kernel
#
# A neural network with random weights is a random function. With one hidden neuron it is a bent line at a random place.
# With ten thousand neurons it is something far simpler: a **Gaussian process**, which is described completely by one function
# of two inputs, its covariance. And when such a wide network is trained, a second function of two inputs says how: the
# **neural tangent kernel**. This notebook takes you there in five steps:
#
# 1. one random neuron, and what becomes of the sum of many;
# 2. two inputs: the covariance of the sum is an integral over *one* neuron;
# 3. more layers: the same integral again and again;
# 4. two inputs that nearly coincide, where the textbook formula loses all its digits;
# 5. the tangent kernel of a real torch network, and how fast it approaches its limit.
#
# Each time: predict, run, compare. What is *proved* is shown from the catalogue of this package, with its status.

# %%
import itertools
import os

import matplotlib.pyplot as plt
import mpmath
import numpy as np
import torch
from IPython.display import HTML, display
from scipy.stats import binom, binomtest, gamma, norm
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


# %% [markdown]
# ## 1. One neuron, and many
#
# The network has one hidden layer of $n$ neurons, no biases, and the activation $\phi(z) = \max(z, 0)$, "ReLU":
#
# $$f(x) = \sqrt{\tfrac{2}{n}} \sum_{j=1}^{n} w_j\, \phi(z_j), \qquad z_j = \sqrt{\tfrac{2}{d}}\; v_j \cdot x.$$
#
# All the $w_j$ and all the entries of the vectors $v_j$ are independent standard normal numbers, $d$ is the number of inputs.
# Weights of size 1 and a factor $\sigma_w/\sqrt{\text{inputs of the layer}}$ in front of every layer, here with
# $\sigma_w = \sqrt 2$: that is the **NTK parametrisation**. Our inputs lie on the unit circle, $d = 2$, so each $z_j$ is
# standard normal.
#
# **Predict.** $f(x)$ is a sum of $n$ independent terms, divided by $\sqrt n$.
#
# - Mean 0. Variance $2\,E w^2\, E\phi(z)^2 = 2 \cdot 1 \cdot \frac12 = 1$ for *every* width.
# - A neuron with $z_j < 0$ is silent. All are silent with probability $2^{-n}$, and then $f(x)$ is exactly 0.
# - The central limit theorem says: Gaussian as $n \to \infty$. How fast? The ratio $E f^4/(E f^2)^2$ is 3 for a Gaussian.
#   Here it is exactly $3\,(1 + 5/n)$ (`iw.fw_kappa_var`).
# - Even the characteristic function is one line: $E e^{itf} = \big[\frac12 + \frac12 (1 + 2t^2/n)^{-1/2}\big]^n$. Its largest
#   distance from the Gaussian $e^{-t^2/2}$ should shrink like $1/n$.

# %%
DRAWS = 10_000 if SMALL else 200_000
WIDTHS = (1, 3, 10, 100)


def moment_error(n):
    """Exact standard deviation of 3 S^2, S = sum of the phi(z_j)^2 over n/2: given the neurons, f is Gaussian with variance S."""
    m2, m3, m4 = 6, 60, 840  # moments of one term 2 phi(z)^2, whose mean is 1
    pairs, triples = n * (n - 1), n * (n - 1) * (n - 2)
    fourth = n * m4 + 4 * pairs * m3 + 3 * pairs * m2**2 + 6 * triples * m2 + triples * (n - 3)
    return 3 * np.sqrt(fourth / n**4 - (1 + 5 / n) ** 2)


rng = np.random.default_rng(0)
outputs, rows = {}, []
for n in WIDTHS:
    f, S = np.zeros(DRAWS), np.zeros(DRAWS)
    for _ in range(n):  # neuron by neuron
        active = np.maximum(rng.standard_normal(DRAWS), 0)
        f += np.sqrt(2 / n) * rng.standard_normal(DRAWS) * active
        S += 2 / n * active**2
    outputs[n] = f
    ratio, error, silent = (3 * S**2).mean(), moment_error(n) / np.sqrt(DRAWS), int((f == 0).sum())
    rows.append((n, f"{3 * (1 + 5 / n):.3f}", f"{ratio:.3f} ± {error:.3f}", f"{0.5**n:.4g}", f"{silent / DRAWS:.4g}"))
    assert abs(ratio - 3 * (1 + 5 / n)) < 5 * error  # five standard errors, known exactly
    assert abs((f**2).mean() - 1) < 5 * np.sqrt((3 * (1 + 5 / n) - 1) / DRAWS)  # the variance is 1 at every width
    assert binomtest(silent, DRAWS, 0.5**n).pvalue > 1e-6
table(["neurons n", "predicted E f⁴", "measured", "predicted P(f = 0)", "measured"], rows)

figure, axes = plt.subplots(1, 4, figsize=(9, 2.3), sharex=True, layout="constrained")
grid = np.linspace(-4, 4, 400)
for panel, n in zip(axes, WIDTHS, strict=True):
    panel.hist(outputs[n], bins=np.linspace(-4, 4, 82), density=True, color=DATA, alpha=0.75)
    panel.plot(grid, norm.pdf(grid), color=RIGHT, lw=1.6)
    panel.set(title=f"{n} neuron{'s' * (n > 1)}", ylim=(0, 1.2), xlabel="f(x)", yticks=[])
plt.show()

t = np.linspace(0.01, 8, 4000)
many = np.array([10, 100, 1000, 10_000])
distance = np.array([np.abs((0.5 + 0.5 / np.sqrt(1 + 2 * t**2 / n)) ** n - np.exp(-(t**2) / 2)).max() for n in many])
print("n times the largest distance of the characteristic functions:", np.round(many * distance, 4))

assert abs(many[-1] * distance[-1] - 10 * np.exp(-2)) < 10 / many[-1]  # next order in 1/n, and the grid of t

# %% [markdown]
# One neuron: a spike of silent networks. Three: still one network in eight. A hundred: to the eye a Gaussian, and the last
# line says that the distance is $1.35/n$ ($= 10\,e^{-2}/n$, from the next term of the logarithm).
#
# **A remark on honesty.** Each assertion in this course has a tolerance with a reason. Here the standard error of the measured moment is
# known exactly, and we allow five of them: luck alone exceeds that about once in two million runs. Nothing was
# tuned until it passed.
#
# ## 2. Two inputs: the covariance is an integral over one neuron
#
# At two inputs $x, y$ the outputs are correlated, since they share their weights. The pairs $(f(x), f(y))$ become jointly Gaussian,
# with covariance
#
# $$K(x, y) = 2\,E\,\phi(u)\,\phi(v), \qquad (u, v) \text{ Gaussian, variances 1, correlation } \cos\theta,$$
#
# where $\theta$ is the angle between $x$ and $y$. The expectation $V = E\,\phi(u)\phi(v)$ is called the **dual** of the
# activation. For ReLU it has a closed form. From the catalogue:

# %%
show("iw.dual.relu")
show("iw.nngp_limit")


# %% [markdown]
# **Predict.** With $\sigma_w = \sqrt 2$: $K = \big(\sin\theta + (\pi-\theta)\cos\theta\big)/\pi$. Two independent routes must agree
# with it: random neurons, and the package's `nv.kernels.nngp_kernel`.
#
# There is also a check that needs no random number. **Price's identity** (`iw.price_identity`): the slope of the dual in the
# covariance is the dual of the *derivative*, $dV/dc = E\,\phi'(u)\,\phi'(v)$. For ReLU the right side is the probability that
# both neurons are active, and that is plain geometry: $(\pi - \theta)/(2\pi)$.

# %%
angles = np.array([0.0, 0.4, 0.9, 1.4, 1.9, 2.5, np.pi])
circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
NETWORK = {"activation": "relu", "weight_scale": np.sqrt(2), "bias_scale": 0.0}

formula = (np.sin(angles) + (np.pi - angles) * np.cos(angles)) / np.pi
library = nv.kernels.nngp_kernel(circle[:1], circle, depth=1, **NETWORK)[0]

neurons = 40_000 if SMALL else 2_000_000
z = np.random.default_rng(1).standard_normal((neurons, 2)) @ circle.T
products = 2 * np.maximum(z[:, :1], 0) * np.maximum(z, 0)
sampled, error = products.mean(axis=0), products.std(axis=0) / np.sqrt(neurons)
table(
    ["angle θ", "formula", "nv.kernels.nngp_kernel", "random neurons"],
    [(f"{a:.2f}", f"{f:.12f}", f"{k:.12f}", f"{m:.4f} ± {e:.4f}") for a, f, k, m, e in zip(angles, formula, library, sampled, error, strict=True)],
)  # fmt: skip

correlation = np.linspace(-0.99, 0.99, 9)
step = 1e-6


def dual(c):
    angle = np.arccos(c)
    return (np.sin(angle) + (np.pi - angle) * c) / (2 * np.pi)


slope = (dual(correlation + step) - dual(correlation - step)) / (2 * step)
both_active = (np.pi - np.arccos(correlation)) / (2 * np.pi)

assert np.abs(library - formula).max() < 1e-14  # rounding of numbers of size 1
assert (np.abs(sampled - formula) <= 5 * error + 1e-14).all()
# a central difference errs by step^2 V'''/6, V''' = c/(2 pi sin^3) being below 60 here, and by rounding, a few 2^-53/step
assert np.abs(slope - both_active).max() < 60 * step**2 / 6 + 5 * 2.0**-53 / step

# %%
pair = np.array([[1.0, 0.0], [np.cos(0.9), np.sin(0.9)]])
figure, axes = plt.subplots(1, 3, figsize=(9, 2.9), layout="constrained")
target = (np.sin(0.9) + (np.pi - 0.9) * np.cos(0.9)) / np.pi
around = np.linspace(0, 2 * np.pi, 200)
ellipse = np.linalg.cholesky([[1, target], [target, 1]]) @ np.stack([np.cos(around), np.sin(around)])
for panel, n in zip(axes[:2], (3, 300), strict=True):
    draws = np.random.default_rng(n)
    active = np.maximum(draws.standard_normal((1500, n, 2)) @ pair.T, 0)
    at = np.sqrt(2 / n) * np.einsum("rj,rjp->rp", draws.standard_normal((1500, n)), active)
    panel.plot(*at.T, ".", color=DATA, ms=2, alpha=0.5)
    for radius in (1, 2, 3):
        panel.plot(*(radius * ellipse), color=RIGHT, lw=1)
    panel.set(xlim=(-4, 4), ylim=(-4, 4), xlabel="f(x)", ylabel="f(y)", title=f"n = {n}")
fine = np.linspace(0, np.pi, 200)
axes[2].plot(fine, (np.sin(fine) + (np.pi - fine) * np.cos(fine)) / np.pi, color=RIGHT, lw=1.8, label="K(x, y)")
axes[2].plot(fine, (np.pi - fine) / np.pi, color=OTHER, lw=1.4, ls="--", label="slope in the covariance")
axes[2].plot(angles, sampled, "o", color=DATA, ms=4, label="random neurons")
axes[2].set(xlabel="angle θ between x and y")
axes[2].legend(fontsize=8)
plt.show()

# %% [markdown]
# Left: with three neurons there is a cross on the axes, because often all of them are silent at one of the two inputs. Middle: three hundred fill the ellipses
# of the Gaussian. Right: the covariance never becomes negative. It reaches 0 at opposite inputs, where no neuron is active at both.
#
# ## 3. More layers
#
# In the limit the first layer's outputs are Gaussian, so the second layer sees exactly what the first one saw: Gaussian
# inputs with a known covariance. The same dual applies again, and again:
# $K^{l+1} = \sigma_w^2\, V(K^l) + \sigma_b^2$, where $\sigma_b$ is the size of the biases.
#
# **Predict.** Without biases and with $\sigma_w^2 = 2$ the variance stays 1 in every layer. The correlation of two different
# inputs can only grow. Write $1 - \varepsilon$ for it. For small $\varepsilon$ the formula of section 2 gives
# $\varepsilon' \approx \varepsilon - \frac{2\sqrt2}{3\pi}\varepsilon^{3/2}$, and this recursion falls like
# $\varepsilon_L \approx 9\pi^2/(2 L^2)$ in the depth $L$: **deep random ReLU networks forget which input they saw**, slowly.
# (Biases would make them forget faster.)

# %%
DEPTHS = np.unique(np.geomspace(1, 300, 12 if SMALL else 24).astype(int))
two = circle[[0, 4]]
lost = []
for depth in DEPTHS:
    distances = nv.kernels.fully_connected_distances(two, depth=int(depth), **NETWORK)
    lost.append(distances.nngp[0, 1] / 2)  # K(x,x) + K(y,y) - 2 K(x,y) = 2 (1 - correlation)
lost = np.array(lost)

figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 2.9), layout="constrained")
for depth, colour in ((1, DATA), (4, RIGHT), (16, OTHER), (64, WRONG)):
    shown = np.stack([np.cos(fine), np.sin(fine)], axis=1)
    curve = nv.kernels.nngp_kernel(circle[:1], shown, depth=depth, **NETWORK)[0]
    left.plot(fine, curve, color=colour, lw=1.7, label=f"{depth} hidden layer{'s' * (depth > 1)}")
left.plot(fine, np.cos(fine), color=INK, lw=1, ls=":", label="the inputs themselves")
left.set(xlabel="angle θ", ylabel="correlation of f(x), f(y)")
left.legend(fontsize=8)
right.loglog(DEPTHS, lost, "o-", color=DATA, ms=4, lw=1.2, label="1 - correlation, θ = 1.9")
right.loglog(DEPTHS, 9 * np.pi**2 / (2 * DEPTHS**2.0), color=INK, ls="--", lw=1, label="$9\\pi^2/(2L^2)$")
right.set(xlabel="depth L")
right.legend()
plt.show()

root = 1 / np.sqrt(lost)  # falls like a straight line: 1/sqrt(eps) grows by sqrt(2)/(3 pi) per layer
last = (root[-1] - root[-2]) / (DEPTHS[-1] - DEPTHS[-2])
print(f"slope of 1/sqrt(ε) per layer: {last:.5f}, predicted {np.sqrt(2) / (3 * np.pi):.5f}")

assert (np.diff(lost) < 0).all()
drop = 2 * np.sqrt(2) / (3 * np.pi)
assert abs(last / (drop / 2) - 1) < drop * np.sqrt(lost[-2])  # the next term of the expansion is 3/4 of this

# %% [markdown]
# ## 4. Two inputs that nearly coincide
#
# How different is a random network at two inputs at distance $h$? The squared distance of the outputs is
# $E (f(x) - f(y))^2 = K(x,x) + K(y,y) - 2K(x,y)$. Written like this it is a difference of nearly equal numbers. With 16
# digits and $h = 10^{-8}$ nothing is left: the answer is $10^{-16}$, the rounding error too. It is worse inside the recursion,
# because $\arccos$ of a number near 1 returns half of the digits at best.
#
# The remedy (`iw.gap_propagation`): never store the correlation. Carry the **gap** $g = \sqrt{K(x,x)K(y,y)} - K(x,y)$, for which
# there is a recursion of its own without any subtraction of nearly equal numbers. `nv.kernels.fully_connected_distances` does that.
#
# **Predict.** The judge is the textbook recursion in 60-digit arithmetic. The naive formula in floats should be wrong by 100% for
# small $h$, and the gap recursion should keep some 14 digits down to any $h$.

# %%
PAIRS_AT, DEPTH = 10.0 ** -np.arange(1, 11), 3


def textbook(x, y, m, depth=DEPTH):
    """Squared distances of NNGP and tangent kernel by the textbook recursion; m supplies the arithmetic (numpy or mpmath)."""
    kxx, kyy, kxy = (sum(a * b for a, b in zip(p, q, strict=True)) for p, q in ((x, x), (y, y), (x, y)))
    txx, tyy, txy = kxx, kyy, kxy
    pi = m.pi
    for _ in range(depth):
        p = m.sqrt(kxx * kyy)
        c = kxy / p
        angle = m.acos(c if c < 1 else p / p)
        txy = txy * (pi - angle) / pi
        kxy = p * (m.sin(angle) + (pi - angle) * m.cos(angle)) / pi
        txx, tyy, txy = kxx + txx, kyy + tyy, kxy + txy  # sw^2 V(x,x) = K(x,x): variances stay
    return kxx + kyy - 2 * kxy, txx + tyy - 2 * txy


class Floats:
    """float64, under the names of mpmath."""

    pi, sqrt, acos, sin, cos = np.pi, staticmethod(np.sqrt), staticmethod(np.arccos), staticmethod(np.sin), staticmethod(np.cos)  # fmt: skip


base = np.array([0.6, 0.8]) * np.sqrt(2)
records = []
with mpmath.workdps(60):
    for h in PAIRS_AT:
        other = base + h * np.array([0.8, -0.6])
        exact = textbook([mpmath.mpf(v) / mpmath.sqrt(2) for v in base], [mpmath.mpf(v) / mpmath.sqrt(2) for v in other], mpmath)  # fmt: skip
        naive = textbook(base / np.sqrt(2), other / np.sqrt(2), Floats)
        ours = nv.kernels.fully_connected_distances(base[None], other[None], depth=DEPTH, activation="relu", weight_scale=(1.0, *[np.sqrt(2)] * DEPTH), bias_scale=0.0)  # fmt: skip
        found = (ours.nngp[0, 0], ours.ntk[0, 0])
        wrong = [[abs(float((mpmath.mpf(float(v)) - e) / e)) for v, e in zip(pair, exact, strict=True)] for pair in (naive, found)]  # fmt: skip
        records.append((h, float(exact[0]), float(exact[1]), *wrong[0], *wrong[1]))
records = np.array(records)
table(
    ["h", "exact dK", "naive is wrong by", "gap recursion by", "exact dT", "naive is wrong by", "gap recursion by"],
    [(f"{h:.0e}", f"{dk:.4e}", f"{nk:.0e}", f"{ok:.0e}", f"{dt:.4e}", f"{nt:.0e}", f"{ot:.0e}") for h, dk, dt, nk, nt, ok, ot in records],
)  # fmt: skip

slopes = [np.diff(np.log(records[:, column])) / np.diff(np.log(PAIRS_AT)) for column in (1, 2)]
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3), layout="constrained")
left.loglog(PAIRS_AT, records[:, 3], "o-", color=WRONG, ms=4, label="naive, dK")
left.loglog(PAIRS_AT, records[:, 4], "s--", color=OTHER, ms=4, label="naive, dT")
left.loglog(PAIRS_AT, np.maximum(records[:, 5:].max(axis=1), 1e-17), "o-", color=RIGHT, ms=4, label="gap recursion")
left.set(xlabel="distance h of the inputs", ylabel="relative error", ylim=(1e-18, 1e4))
left.legend(fontsize=8)
right.loglog(PAIRS_AT, records[:, 1], "o-", color=DATA, ms=4, label="dK: slope 2")
right.loglog(PAIRS_AT, records[:, 2], "o-", color=FIFTH, ms=4, label="dT: slope 1")
right.set(xlabel="distance h of the inputs", title="squared distance of the outputs")
right.legend()
plt.show()

# about a hundred rounded operations in three layers, each off by at most 2^-53 of itself, none of which is amplified
assert records[:, 5:].max() < 100 * 2.0**-53
assert records[-1, 3] > 0.5  # all digits of the naive formula are gone
assert (np.abs(slopes[0][3:] - 2) < 0.02).all()
assert (np.abs(slopes[1][3:] - 1) < 0.02).all()

# %% [markdown]
# The right panel could not have been drawn without the gap. It shows something worth knowing (`iw.ntk_kink`): for the
# covariance $K$ the distance is of order $h^2$, so random ReLU networks are smooth enough to have slopes. For the tangent
# kernel $T$, which comes next, it is of order $h$. A Gaussian process with that covariance is as rough as Brownian motion.
#
# ## 5. The tangent kernel
#
# Now train. One small step of gradient descent on $\frac12\sum_i (f(x_i) - y_i)^2$ with step size $\eta$ moves the parameters
# $\theta$ by $-\eta \sum_i (f(x_i) - y_i)\, \nabla_\theta f(x_i)$, and so, to first order, the output anywhere by
#
# $$\Delta f(x) = -\eta \sum_i T_0(x, x_i)\,(f(x_i) - y_i), \qquad T_0(x, y) = \nabla_\theta f(x) \cdot \nabla_\theta f(y).$$
#
# $T_0$ is the **empirical tangent kernel**. `nv.empirical_ntk` computes it for any torch module; ours is in the NTK
# parametrisation of section 1.
#
# **Predict.** The error of the first-order formula falls like $\eta^2$: a hundredth of the step, a ten-thousandth of the error.


# %%
class NTKLinear(nn.Module):
    """A linear layer whose numbers are standard normal, with the factor sqrt(2/inputs) outside of them."""

    def __init__(self, inputs, outputs, generator):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, generator=generator, dtype=torch.float64))

    def forward(self, x):
        return x @ self.weight.T * (2 / self.weight.shape[1]) ** 0.5


def random_network(width, depth, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [2, *[width] * depth]
    layers = [part for a, b in itertools.pairwise(sizes) for part in (NTKLinear(a, b, generator), nn.ReLU())]
    return nn.Sequential(*layers, NTKLinear(sizes[-1], 1, generator))


points = torch.from_numpy(circle)
inputs, labels = points[[0, 2, 5]], torch.tensor([[1.0], [-1.0], [0.5]], dtype=torch.float64)
network = random_network(64, depth=2, seed=0)
before = network(points).detach()
kernel = nv.empirical_ntk(network, points, inputs)
print("axes of the kernel's blocks:", kernel.blocks.shape, "| computed by the route:", kernel.method)
predicted = -(kernel.mean_over_outputs @ (before[[0, 2, 5]] - labels))

missed = []
for eta in (1e-3, 1e-5):
    stepped = random_network(64, depth=2, seed=0)
    (0.5 * (stepped(inputs) - labels).square().sum()).backward()
    with torch.no_grad():
        for parameter in stepped.parameters():
            parameter -= eta * parameter.grad
        missed.append(float((stepped(points) - before - eta * predicted).abs().max()))
print(f"missed by the first order: {missed[0]:.2e} at η = 1e-3, {missed[1]:.2e} at η = 1e-5")

# next to the second order, the third is smaller by about η times the largest eigenvalue of the kernel: 1% at the larger step
assert abs(missed[0] / missed[1] / 1e4 - 1) < 0.05

# %% [markdown]
# $T_0$ is random. As the width grows it stops being random, and its limit $T$ has a recursion like that of $K$:

# %%
show("iw.ntk_recursion")
show("iw.fw_relu_var")

assert nv.show("iw.fw_relu_var").entries[0]["kind"] == "identity"

# %% [markdown]
# **Predict.** For one hidden ReLU layer without biases these facts hold *exactly at every width*: the mean of $T_0$ is $T$
# (`iw.fw_unbiased_1layer`), and the variance of $T_0(x,x)$ is $3\,T(x,x)^2/n$. In fact all of its law is known. Neuron $j$
# contributes $2\,(z_j^2 + w_j^2)/n$ if it is active, else 0; and $z_j^2 + w_j^2$ is an exponential variable. So
# $T_0(x,x)$ is $4/n$ times a sum of $B$ standard exponentials, where $B$ is the number of heads in $n$ tosses of a coin. A
# single network misses the limit by about $T\sqrt{3/n}$, which is 5% at a thousand neurons, and the squared error falls with
# slope $-1$.

# %%
LADDER, SEEDS = ((16, 64, 256), 25) if SMALL else ((16, 64, 256, 1024), 300)
limit = nv.kernels.ntk_kernel(circle[[0, 2]], depth=1, **NETWORK)
kernels = {
    n: np.array([nv.empirical_ntk(random_network(n, 1, 1000 * n + s), points[[0, 2]]).mean_over_outputs.numpy() for s in range(SEEDS)])
    for n in LADDER
}  # fmt: skip


def square_error(n):
    """Exact standard deviation of (T_0 - T)^2 at (x, x): a neuron's share has the second and fourth central moments 12 and 1872."""
    return np.sqrt((1872 + 3 * (n - 1) * 12**2) / n**3 - (12 / n) ** 2)


rows, spread, sure = [], [], []
for n in LADDER:
    diagonal, across = kernels[n][:, 0, 0], kernels[n][:, 0, 1]
    measured = ((diagonal - limit[0, 0]) ** 2).mean()
    exact, error = 3 * limit[0, 0] ** 2 / n, square_error(n) / SEEDS**0.5
    rows.append((n, f"{diagonal.mean():.4f}", f"{limit[0, 0]:.4f}", f"{across.mean():.4f}", f"{limit[0, 1]:.4f}", f"{measured:.5f}", f"{exact:.5f} ± {error:.5f}"))  # fmt: skip
    spread.append(measured)
    sure.append(error / exact)
    assert abs(diagonal.mean() - limit[0, 0]) < 5 * np.sqrt(exact / SEEDS)  # five exact standard errors
    assert abs(across.mean() - limit[0, 1]) < 5 * np.sqrt(exact / SEEDS)  # (x, y) varies less than (x, x)
    assert abs(measured - exact) < 5 * error
headers = ("width n", "mean T₀(x,x)", "T(x,x)", "mean T₀(x,y)", "T(x,y)", "mean square of T₀ - T at (x,x)", "3T²/n")
table(headers, rows)

log_n, log_s, weights = np.log(LADDER), np.log(spread), 1 / np.array(sure) ** 2
centre = (weights @ log_n) / weights.sum()
slope = weights @ ((log_n - centre) * log_s) / (weights @ (log_n - centre) ** 2)
slope_error = 1 / np.sqrt(weights @ (log_n - centre) ** 2)
print(f"slope of log(mean square) against log(width): {slope:.3f} ± {slope_error:.3f}")

assert abs(slope + 1) < 5 * slope_error

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 2.9), layout="constrained")
value = np.linspace(0.02, 5, 60 if SMALL else 300)
for n, colour in zip(LADDER, (OTHER, DATA, RIGHT, FIFTH), strict=False):
    left.hist(
        kernels[n][:, 0, 0], bins=np.linspace(0, 5, 101), density=True, color=colour, alpha=0.35, label=f"n = {n}"
    )
    active = np.arange(1, n + 1)
    left.plot(value, gamma.pdf(value[:, None], active, scale=4 / n) @ binom.pmf(active, n, 0.5), color=colour, lw=1.3)
left.axvline(limit[0, 0], color=INK, lw=1, ls="--")
left.set(xlabel="$T_0(x, x)$ of one network", ylabel="density (lines: exact law)", ylim=(0, 4))
left.legend()
right.errorbar(
    LADDER, spread, yerr=2 * np.array(sure) * spread, fmt="o", color=DATA, ms=4, label="measured, ± 2 standard errors"
)
right.loglog(LADDER, [3 * limit[0, 0] ** 2 / n for n in LADDER], color=RIGHT, lw=1.4, label="$3\\,T^2/n$")
right.set(xlabel="width n", ylabel="mean square of $T_0 - T$")
right.legend()
plt.show()

# %% [markdown]
# The picture behind the whole theory: at width 16 every network has a kernel of its own; at width 1024 they nearly share
# one. If the kernel is the same for all networks *and* does not move during training, then training is a linear recursion that can be
# solved on paper. The next three notebooks live in that limit. The last one measures where real networks leave it.
#
# ## 6. Your turn: a network that neither forgets nor explodes
#
# For the activation erf the dual at equal inputs is $V(a, a, a) = \frac2\pi \arcsin\frac{2a}{1 + 2a}$. Choose
# `bias_scale` = 0.3 and find the `weight_scale` $\sigma_w$ for which a variance of 1 stays 1 in every layer:
# $\sigma_w^2\, V(1,1,1) + 0.3^2 = 1$. Give three decimals.

# %%
weight_scale = None  # your answer, such as 1.234

# %% [markdown]
# <details><summary>A hint</summary>
#
# $V(1,1,1) = \frac2\pi\arcsin\frac23$. The first layer needs inputs with $\sigma_w^2 |x|^2/d + \sigma_b^2 = 1$, so check with a suitable $|x|$.
#
# </details>
#
# ### Solution

# %% jupyter={"source_hidden": true} tags=["solution"]
answer = np.sqrt((1 - 0.3**2) / (2 / np.pi * np.arcsin(2 / 3)))
length = np.sqrt(2 * (1 - 0.3**2)) / answer  # of an input with two entries
steady = [
    float(nv.kernels.nngp_kernel(length * circle[:1], depth=depth, activation="erf", weight_scale=answer, bias_scale=0.3)[0, 0])
    for depth in (1, 5, 50)
]  # fmt: skip
print(f"σ_w = {answer:.6f}; variance after 1, 5 and 50 hidden layers: {steady}")

# each layer adds a few roundings; the slope of the map at 1 is below 1, so they do not grow
assert np.abs(np.array(steady) - 1).max() < 1e-14
assert weight_scale is None or abs(weight_scale - answer) < 1e-3, "look again: σ_w² · 0.4646 = 0.91"

# %% [markdown]
# ## What breaks this
#
# - **Finite width.** $K$ and $T$ are limits. At width $n$ and depth $H$ those of ReLU networks fluctuate by a relative $\sqrt{5H/n}$ or so;
#   notebook 10 says when that matters.
# - **The order of limits.** Proved here: the widths grow one layer after another. Joint limits are in the literature (cited).
# - **The parametrisation.** With other factors in front of the layers (standard parametrisation with one learning rate, mu-P) the
#   same function at the start has *another* tangent kernel.
# - **The activation.** Closed forms exist for eleven activations; anything else is done by quadrature with an error *estimate*, not a
#   bound. Through sign there is no tangent kernel at all: its derivative is 0 almost everywhere. Batch normalisation has no such kernel.
# - **Nothing is said about learning.** A kernel that describes training exactly may be a bad kernel for your data.
#
# ## Results used

# %%
USED = ("iw.fw_kappa_var", "iw.dual.relu", "iw.price_identity", "iw.nngp_limit", "iw.gap_propagation", "iw.ntk_kink", "iw.ntk_recursion", "iw.fw_unbiased_1layer", "iw.fw_relu_var")  # fmt: skip
show(*USED)

assert all("verdict" in entry for entry in nv.show(*USED).entries if entry["result"])
