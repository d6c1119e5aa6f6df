# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The projector that training hides
#
# Two unknowns, one equation: $w_1 + 2 w_2 = 3$ has a whole line of solutions. A textbook stops there. Gradient descent does
# not: it always returns *one* point of that line. Nobody asked it to choose, so what did it choose, and why? Modern networks have more
# parameters than examples, so this silent choice decides what they predict wherever there are no data. It is called the
# **implicit bias** of the training algorithm. For linear models all of it can be written down:
#
# 1. where descent ends: a projector, $P$, that the training loop never mentions;
# 2. every iterate on the way, without iterating; stopping early is a kind of ridge regression;
# 3. momentum: same end, another clock, and a clock that can break;
# 4. another parametrisation, another projector. Adam has none;
# 5. the last layer of a real torch network.
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


def descend(X, y, start, *, step, steps):
    """Plain gradient descent on half the sum of squares, every iterate."""
    path = [np.array(start, float)]
    for _ in range(steps):
        path.append(path[-1] - step * X.T @ (X @ path[-1] - y))
    return np.array(path)


# %% [markdown]
# ## 1. One equation, two unknowns
#
# The loss is $\ell(w) = \frac12 \|y - Xw\|^2$ with rows $x_n^\top$, here the single row $(1, 2)$ and $y = 3$. The gradient is
# $X^\top(Xw - y)$: a combination of the *rows* of $X$, always. So descent can move along the rows only. Write $Q = X^+X$ for the
# orthogonal projector on their span ($X^+$ is the pseudo-inverse) and $P = I - Q$ for the other one.
#
# **Predict.** $P w$ never moves. The rest moves until the residual is as small as it can be. Hence, from every start $w_0$ and for every
# stable step,
#
# $$w_t \to w_\infty = P w_0 + X^+ y.$$
#
# This is the solution *nearest to the start*: the foot of the perpendicular. From the catalogue, where it is proved for every
# $X$ and $y$:

# %%
show("ib.ls_minnorm")

# %%
X, y = np.array([[1.0, 2.0]]), np.array([3.0])
P = ib.null_projector(X)
starts = np.array([[-2.0, 0.5], [2.5, 3.0], [0.0, 0.0], [3.5, -1.5]])
paths = [descend(X, y, start, step=0.06, steps=80) for start in starts]
limits = [ib.gradient_descent_limit(X, y, start) for start in starts]

figure, axis = plt.subplots(figsize=(4.6, 3.6), layout="constrained")
line = np.array([-3.0, 4.5])
axis.plot(line, (3 - line) / 2, color=INK, lw=1.2, label="all solutions")
for path, limit in zip(paths, limits, strict=True):
    axis.plot(*path.T, ".-", color=DATA, ms=4, lw=1)
    axis.plot(*limit, "o", color=RIGHT, ms=8, mfc="none", mew=1.8)
    axis.plot(*path[0], "s", color=OTHER, ms=5)
axis.set(xlabel="$w_1$", ylabel="$w_2$", aspect="equal", xlim=(-3, 4.5), ylim=(-2.2, 3.6))
axis.plot([], [], "s", color=OTHER, label="starts")
axis.plot([], [], "o", color=RIGHT, mfc="none", label="predicted ends")
axis.legend(fontsize=8, loc="lower left")
plt.show()

for start, path, limit in zip(starts, paths, limits, strict=True):
    # what theory allows: the part of the error that 80 steps leave, and rounding, both computed from the problem
    allowed = ib.convergence_bound(X, y, start, step=0.06, steps=80) + ib.rounding_floor(
        X, y, start, step=0.06, steps=80
    )
    assert np.linalg.norm(path[-1] - limit) <= allowed
    assert (
        np.abs(P @ (path[-1] - start)).max() < 80 * 2.0**-52 * np.linalg.norm(start) + 1e-15
    )  # the hidden part stayed

assert max(np.linalg.norm(p[-1] - end) for p, end in zip(paths, limits, strict=True)) < 1e-9  # 0.7^80 is 4e-13

# %% [markdown]
# Four starts, four different answers, one loss. Zero start: the *shortest* solution. That is the famous "minimum norm" bias,
# and it is a statement about the start as much as about descent.
#
# Which changes of the problem change the answer? The theorem decides each of them on paper. **Predict**, for an under-determined problem that
# can be fitted exactly, and for one that cannot:
#
# | change | fits exactly | does not fit |
# |---|---|---|
# | another stable step | same end | same end |
# | a row written down twice | same end | another end |
# | equations scaled, row by row | same end | another end |
#
# If the data can be fitted, the set of solutions does not care how its equations are written. If not, the loss weighs them.

# %%
rng = np.random.default_rng(3)
wide, tall = rng.standard_normal((4, 9)), rng.standard_normal((9, 4)) @ rng.standard_normal((4, 5))
scaling = np.diag(rng.uniform(0.5, 2, 9))
rows = []
for name, design in (("fits exactly (4 equations, 9 unknowns)", wide), ("does not (9 equations, rank 4)", tall)):
    n, p = design.shape
    targets, start = rng.standard_normal(n), rng.standard_normal(p)
    end = ib.gradient_descent_limit(design, targets, start)
    twice = ib.gradient_descent_limit(np.vstack([design, design[:1]]), np.append(targets, targets[0]), start)
    weighed = ib.gradient_descent_limit(scaling[:n, :n] @ design, scaling[:n, :n] @ targets, start)
    largest = ib.largest_stable_step(design)
    runs = [descend(design, targets, start, step=fraction * largest, steps=40_000)[-1] for fraction in (0.3, 0.9)]
    moved = [np.linalg.norm(other - end) for other in (runs[0], runs[1], twice, weighed)]
    rows.append((name, *(f"{m:.1e}" for m in moved)))
    condition = np.linalg.cond(design) if n < p else np.divide(*ib.row_space(design).singular_values[[0, -1]])
    # rounding of solves with twice-written and rescaled equations: about p eps cond^2 of the solution's size
    allowed = 100 * 2.0**-52 * condition**2 * (np.linalg.norm(end) + np.linalg.norm(start))
    assert max(moved[:2]) < allowed
    assert (max(moved[2:]) < allowed) == (n < p)
table(["problem", "30% of the largest step", "90% of it", "row written twice", "equations rescaled"], rows)

# %% [markdown]
# Distances between the ends: rounding where the table said "same", clearly not where it said "another".
#
# ## 2. Every iterate, without iterating
#
# In the singular directions of $X = U\,\mathrm{diag}(s)\,V^\top$ the recursion is one-dimensional. After $t$ steps of size $\eta$
# the direction $i$ has been fitted to the fraction
#
# $$\varphi_t(s_i) = 1 - (1 - \eta s_i^2)^t \quad\text{(descent)}, \qquad 1 - e^{-s_i^2 t} \quad\text{(flow)}, \qquad \frac{s_i^2}{s_i^2 + \lambda} \quad\text{(ridge)}.$$
#
# Large singular values first. So stopping early *is* a regulariser, and it resembles ridge regression with $\lambda = 1/t$.
#
# **Predict.** The two filters differ by $1/(1+u) - e^{-u}$ at $u = s^2 t$. That is never more than 0.2036 (at $u = 2.513$), for any
# problem, at any time.

# %%
show("ib.ls_trajectory")

# %%
design, targets, start = wide / 3, rng.standard_normal(4), rng.standard_normal(9)
step = 0.5 * ib.largest_stable_step(design)
STEPS = 2_000 if SMALL else 20_000
walked = descend(design, targets, start, step=step, steps=STEPS)
times = np.unique(np.geomspace(1, STEPS, 30).astype(int))
jumped = ib.gradient_descent_path(design, targets, start, step=step, time=times)
worst = max(
    np.linalg.norm(walked[t] - w) / ib.rounding_floor(design, targets, start, step=step, steps=int(t))
    for t, w in zip(times, jumped, strict=True)
)
print(f"{len(times)} iterates compared; largest difference, in units of the derived rounding bound: {worst:.3f}")

u = np.geomspace(1e-2, 1e2, 400)
gap = 1 / (1 + u) - np.exp(-u)
figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 2.9), layout="constrained")
left.semilogx(u, 1 - np.exp(-u), color=DATA, lw=1.7, label="gradient flow, time t")
left.semilogx(u, u / (1 + u), color=RIGHT, lw=1.7, label="ridge, λ = 1/t")
left.semilogx(u, gap, color=WRONG, lw=1.2, ls="--", label="difference")
left.set(xlabel="$u = s^2 t$", ylabel="fraction fitted")
left.legend(fontsize=8)
fitted = np.array([ib.spectral_filter(ib.row_space(design).singular_values, step=step, time=t) for t in times])
for column, value in zip(fitted.T, ib.row_space(design).singular_values, strict=True):
    right.semilogx(times, column, lw=1.6, label=f"s = {value:.2f}")
right.set(xlabel="steps of descent", title="one problem: large singular values first")
right.legend(fontsize=8)
plt.show()

assert worst <= 1  # the bound is derived from the inner products of a step, not fitted
assert abs(gap.max() - 0.2036) < 1e-4
assert abs(u[gap.argmax()] - 2.513) < 2.513 * (u[1] / u[0] - 1)  # the spacing of the grid

# %% [markdown]
# ## 3. Momentum: same end, another clock
#
# The heavy ball adds a part $\beta$ of the last move: $w_{t+1} = w_t - \eta g_t + \beta (w_t - w_{t-1})$. All moves still lie in the
# span of the rows, so the end cannot change. Only the clock does. Along a direction with eigenvalue $h = s^2$ the error follows
# $d_{t+1} = (1 + \beta - \eta h)\, d_t - \beta\, d_{t-1}$, and shrinks per step by the larger root of
#
# $$r^2 - (1 + \beta - \eta h)\, r + \beta = 0.$$
#
# **Predict.** If $(1-\sqrt\beta)^2 < \eta h < (1+\sqrt\beta)^2$ the roots are complex and both have size $\sqrt\beta$: every such direction
# shrinks *at the same rate*, however small its $h$. Stable steps reach $2(1+\beta)/h$, which is almost twice as far as without momentum. Nesterov's
# version, which takes the gradient at a look-ahead point, is stable only up to $2(1+\beta)/(1+2\beta)/h$, and at $\beta = 0.9$ that is
# $1.357/h$ instead of $3.8/h$.

# %%
show("ib.ls_momentum")

# %%
BETA = 0.9


def one_mode(eta_h, steps, *, nesterov=False):
    """torch.optim.SGD on a single weight with curvature eta_h and step 1, started at 1: the error after every step."""
    w = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimiser = torch.optim.SGD([w], lr=1.0, momentum=BETA, nesterov=nesterov)
    errors = [1.0]
    for _ in range(steps):
        optimiser.zero_grad()
        (eta_h * w.square().sum() / 2).backward()
        optimiser.step()
        errors.append(float(w.detach()))
    return np.array(errors)


def slowest(eta_h, *, nesterov=False):
    a, b = ((1 + BETA) * (1 - eta_h), BETA * (1 - eta_h)) if nesterov else (1 + BETA - eta_h, BETA)
    return float(np.abs(np.roots([1, -a, b])).max())


HOW_LONG = 300
grid = np.array([0.001, 0.01, 0.1, 1.0, 3.0, 3.7, 3.9])
rows = []
for eta_h in grid:
    errors = np.abs(one_mode(eta_h, HOW_LONG))
    # complex roots oscillate: compare the largest error of the last 60 steps with that of the 60 before
    measured = (errors[-60:].max() / errors[-120:-60].max()) ** (1 / 60)
    rows.append((eta_h, f"{slowest(eta_h):.4f}", f"{measured:.4f}", "yes" if slowest(eta_h) < 1 else "no"))
    assert (errors[-1] < 1) == (slowest(eta_h) < 1)
table(["η h", "predicted factor per step", "measured by torch", "stable"], rows)

edges = {"heavy ball": (2 * (1 + BETA), False), "Nesterov": (2 * (1 + BETA) / (1 + 2 * BETA), True)}
for name, (edge, nesterov) in edges.items():
    below, above = (np.abs(one_mode(f * edge, 600, nesterov=nesterov)).max() for f in (0.99, 1.01))
    print(f"{name}: edge at η h = {edge:.3f}; largest error 1% below {below:.1f}, 1% above {above:.1e}")
    assert slowest(0.99 * edge, nesterov=nesterov) < 1 < slowest(1.01 * edge, nesterov=nesterov)
    assert below < 100 < above

assert abs(slowest(0.1) - BETA**0.5) < 1e-12  # complex roots, whatever the eigenvalue

# %% [markdown]
# The library's optimiser obeys the roots, and both edges are where they should be. That is the whole mystery of momentum on quadratics: it
# makes slow directions faster and it moves the edge. It does not choose another solution.
#
# ## 4. Another parametrisation, another projector
#
# Train $w = B v$ in the coordinates $v$, or give every weight a learning rate of its own. The update becomes
# $w \leftarrow w - \eta D g$ with $D = BB^\top$. Now moves lie in the span of $D X^\top$, no longer of the rows.
#
# **Predict.** The end is nearest to the start in another geometry: it minimises $(w - w_0)^\top D^{-1} (w - w_0)$ among the solutions,
#
# $$w_\infty = w_0 + D X^\top (X D X^\top)^{+}\, (y - X w_0).$$

# %%
show("ib.ls_precond")

# %%
X, y, origin = np.array([[1.0, 2.0]]), np.array([3.0]), np.array([-1.0, -0.5])
figure, axis = plt.subplots(figsize=(4.8, 3.6), layout="constrained")
axis.plot(line, (3 - line) / 2, color=INK, lw=1.2)
ends = {}
for (name, D), colour in zip(
    {"D = I": np.eye(2), "first weight 9 times faster": np.diag([9.0, 1.0]), "a rotated D": np.array([[2.0, -1.5], [-1.5, 2.0]])}.items(),
    (DATA, OTHER, FIFTH),
    strict=True,
):  # fmt: skip
    step = 0.5 / (X @ D @ X.T).item()
    path = [origin]
    for _ in range(60):
        path.append(path[-1] - step * D @ X.T @ (X @ path[-1] - y))
    path = np.array(path)
    ends[name] = origin + (D @ X.T @ np.linalg.pinv(X @ D @ X.T) @ (y - X @ origin))
    axis.plot(*path.T, ".-", color=colour, ms=4, lw=1, label=name)
    axis.plot(*ends[name], "o", color=RIGHT, ms=8, mfc="none", mew=1.8)
    # half of the error is left per step, so 2^-60 of it; each step rounds numbers below 10 and halves what earlier ones did
    assert np.linalg.norm(path[-1] - ends[name]) < 2.0**-60 * 10 + 2 * 10 * 10 * 2.0**-53

axis.set(xlabel="$w_1$", ylabel="$w_2$", aspect="equal", xlim=(-2.2, 4), ylim=(-1.2, 3))
axis.legend(fontsize=8, loc="upper right")
plt.show()

# %% [markdown]
# And Adam? Two equations, four unknowns, three learning rates each.

# %%
rng = np.random.default_rng(5)
X, y = rng.standard_normal((2, 4)), rng.standard_normal(2)
begin = rng.standard_normal(4)
nearest = ib.gradient_descent_limit(X, y, begin)
STEPS = 800 if SMALL else 10_000
rows, ends = [], {}
for name, optimiser_of, rates in (
    ("SGD", torch.optim.SGD, (0.02, 0.05, 0.1)),
    ("Adam", torch.optim.Adam, (0.02, 0.2, 1.0)),
):
    for rate in rates:
        w = nn.Parameter(torch.from_numpy(begin.copy()))
        optimiser = optimiser_of([w], lr=rate)
        for _ in range(STEPS):
            optimiser.zero_grad()
            (torch.from_numpy(X) @ w - torch.from_numpy(y)).square().sum().div(2).backward()
            optimiser.step()
        end = w.detach().numpy().copy()
        ends[name, rate] = end
        distance, residual = np.linalg.norm(end - nearest), np.linalg.norm(X @ end - y)
        rows.append((name, rate, f"{residual:.0e}", f"{distance:.2e}", np.round(end, 3)))
table(["optimiser", "rate", "residual", "distance to the nearest solution", "end"], rows)

adam = [end for (name, _), end in ends.items() if name == "Adam"]
for (name, rate), end in ends.items():
    if name == "SGD":
        left = ib.convergence_bound(X, y, begin, step=rate, steps=STEPS)
        assert np.linalg.norm(end - nearest) <= left + ib.rounding_floor(X, y, begin, step=rate, steps=STEPS)
assert min(np.linalg.norm(end - nearest) for end in adam) > 0.05  # another solution,
assert min(np.linalg.norm(adam[i] - adam[j]) for i, j in ((0, 1), (0, 2), (1, 2))) > 1e-3  # one for each rate

# %% [markdown]
# Three metrics, three ends, all as predicted. Adam solves the equations as well, but its end depends on the learning rate: it divides by a
# history of gradients, so no $D$ that is fixed in advance can predict it. This package refuses to say where Adam ends; there is no
# such theorem.
#
# ## 5. The last layer of a real network
#
# Freeze the body of a network and train its last layer: that *is* a linear model in the features $\phi(x)$, the outputs of the body. So
# everything above is exact for it.
#
# **Predict.** `torch.optim.SGD` on the last layer ends at $P w_0 + \Phi^+ y$, where $\Phi$ holds the features of the training
# points. Away from the data the prediction is $\phi(x)^\top w_\infty$: it still contains $P w_0$, the memory of the start.

# %%
torch.manual_seed(0)
FEATURES = 60
body = nn.Sequential(nn.Linear(1, FEATURES), nn.Tanh()).double()
with torch.no_grad():
    body[0].weight.mul_(4)
    body[0].bias.mul_(3)
inputs = torch.tensor([[-0.9], [-0.6], [-0.5], [0.1], [0.3], [0.8]], dtype=torch.float64)
labels = torch.sin(3 * inputs[:, 0])
phi = body(inputs).detach().numpy()
everywhere = torch.linspace(-1.6, 1.6, 200, dtype=torch.float64)[:, None]
seen = body(everywhere).detach().numpy()

step = 0.9 * ib.largest_stable_step(phi)
TIME = 1_000 if SMALL else 40_000
learned, predicted = [], []
for _start in range(4):
    head = nn.Linear(FEATURES, 1, bias=False).double()
    start = head.weight.detach().numpy().ravel().copy()
    optimiser = torch.optim.SGD(head.parameters(), lr=step)
    features = torch.from_numpy(phi)
    for _ in range(TIME):
        optimiser.zero_grad()
        ((head(features)[:, 0] - labels).square().sum() / 2).backward()
        optimiser.step()
    learned.append(head.weight.detach().numpy().ravel())
    predicted.append(ib.gradient_descent_path(phi, labels.numpy(), start, step=step, time=TIME))
    allowed = ib.rounding_floor(phi, labels.numpy(), start, step=step, steps=TIME)
    assert np.linalg.norm(learned[-1] - predicted[-1]) <= allowed
limit = ib.gradient_descent_limit(phi, labels.numpy(), start)
print(
    f"condition number of the features: {np.linalg.cond(phi):.0f}; after {TIME} steps {np.linalg.norm(predicted[-1] - limit):.2e} from the limit"
)

figure, axis = plt.subplots(figsize=(6.4, 2.9), layout="constrained")
for weights, formula in zip(learned, predicted, strict=True):
    axis.plot(everywhere[:, 0], seen @ weights, color=DATA, lw=1.6)
    axis.plot(everywhere[:, 0], seen @ formula, color=RIGHT, lw=1.2, ls=(0, (3, 3)))
axis.plot(inputs[:, 0], labels, "o", color=INK, ms=5)
axis.plot([], [], color=DATA, label="trained by torch, four starts")
axis.plot([], [], color=RIGHT, ls="--", label="predicted iterates")
axis.legend(fontsize=8)
axis.set(xlabel="x", ylabel="prediction")
plt.show()

apart = learned[0] - learned[1]
assert np.abs(phi @ apart).max() < np.abs(seen @ apart).max()  # nearer at the data than elsewhere

# %% [markdown]
# Solid and dashed lines coincide to rounding, for every start. They agree near the data and fan out away from them: the fan is $P w_0$, seen
# through the features. The next notebook turns this fan into an uncertainty.
#
# ## 6. Your turn: a bias you can choose
#
# Look at $2 w_1 + w_2 = 4$ from the start $w_0 = (0, 0)$. Find a diagonal metric $D = \mathrm{diag}(d, 1)$ for which descent ends at the solution
# $(1, 2)$. Give $d$.

# %%
d = None  # your answer

# %% [markdown]
# <details><summary>A hint</summary>
#
# From 0 the end is a multiple of $D X^\top = (2d, 1)$.
#
# </details>
#
# ### Solution

# %% jupyter={"source_hidden": true} tags=["solution"]
answer = 1 / 4  # (2 d, 1) must point along (1, 2)
D, row = np.diag([answer, 1.0]), np.array([[2.0, 1.0]])
w = np.zeros(2)
for _ in range(200):
    w = w - 0.4 * D @ row.T @ (row @ w - 4)
print("end of descent:", w)

assert np.abs(w - [1, 2]).max() < 1e-12  # 200 steps with factor 1 - 0.4 * 2 = 0.2, then rounding
assert d is None or abs(d - answer) < 1e-9, "look again: the end is a multiple of (2d, 1)"

# %% [markdown]
# ## What breaks this
#
# - **Nonlinear models.** All of it is about models that are linear in what is trained. For a whole network it holds as far as its linearisation does:
#   notebook 10 measures that.
# - **Adaptive optimisers.** No metric that is known before the data: no theorem.
# - **Weight decay.** It pulls $Pw$ towards 0; the projector then forgets the start.
# - **Mini-batches on data that cannot be fitted.** With a fixed step there is no limit, only a law that the iterates keep (`ib.ls_sgd`).
# - **Rank.** A singular value below rounding is a direction that training never sees; the theorem takes it for a null direction, and says at which cutoff.
#
# ## Results used

# %%
USED = ("ib.ls_minnorm", "ib.ls_trajectory", "ib.ls_momentum", "ib.ls_precond", "ib.ls_sgd")
show(*USED)

assert all("verdict" in entry for entry in nv.show(*USED).entries if entry["result"])
