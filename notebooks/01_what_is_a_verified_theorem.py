# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What is a verified theorem?
#
# A theorem in a paper is a piece of text. You can believe it or not; you cannot run it. In this course a theorem is an
# object with five parts, and each of them can fail:
#
# 1. a **statement**: what is claimed, under which assumptions, and where it comes from;
# 2. a **derivation**: steps that a machine can replay, textbook facts it leans on, and steps that are only *cited*;
# 3. a **prediction**: the function that turns the statement into numbers;
# 4. **checks**: experiments whose allowed outcomes are written down before they are run;
# 5. **controls**: wrong versions of the theorem that the checks *must* refute. A check that cannot refute anything shows
#    nothing.
#
# Our example is the PAC-Bayes-kl bound, `pb.kl` in the catalogue. You will read it, replay its proof, compute it, and test
# it in two tiny worlds where every probability is a finite sum. You will see a wrong version of it survive a
# simulation of a million training sets, and learn which check catches it. At the end you refute a wrong theorem yourself.

# %%
import html
import itertools
import os
import tempfile
from dataclasses import dataclass, replace
from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np
import sympy
from IPython.display import HTML, Math, display
from scipy.optimize import brentq
from scipy.special import logsumexp, rel_entr
from scipy.stats import binom, binomtest, multinomial

import nonvacuous as nv
from nonvacuous.errors import DeltaOverspent
from nonvacuous.numerics.certified import maurer_xi
from nonvacuous.numerics.claims import Coverage, HighProbabilityBound
from nonvacuous.proofs.derivations import derive, used_results
from nonvacuous.proofs.result import ByBudget, Check, Control, Result
from nonvacuous.report.figures import draw_check, draw_controls
from nonvacuous.theory.balls.maurer import xi_exact
from nonvacuous.theory.derivation import Algebra, Cited, Enumeration, replay
from nonvacuous.theory.statement import Kind, Source, Statement

# "small" runs in seconds; the saved outputs were made with "full"
SMALL = os.environ.get("NONVACUOUS_NOTEBOOK", "small") == "small"
RUNS = 20_000 if SMALL else 1_000_000  # simulated training sets

RIGHT, WRONG, DATA, INK = "#1b7f5c", "#b3261e", "#1f5fa8", "#22262b"
plt.rcParams.update({"figure.dpi": 110, "font.size": 9.5, "legend.frameon": False})
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10})


def table(headers, rows):
    """Show rows of text as an HTML table."""

    def line(tag, cells):
        return (
            "<tr>"
            + "".join(f"<{tag} style='text-align:left'>{html.escape(str(cell))}</{tag}>" for cell in cells)
            + "</tr>"
        )

    display(HTML("<table>" + line("th", headers) + "".join(line("td", row) for row in rows) + "</table>"))


# %% [markdown]
# ## 1. The statement
#
# The catalogue is a plain tuple of results. We take one out and read it.

# %%
catalogue = {result.key: result for result in nv.catalogue}
theorem = catalogue["pb.kl"]
statement = theorem.statement

print(f"{statement.key}: {statement.title}\nkind: {statement.kind}, computed by {statement.function}")
display(Math(statement.latex))
table(["assumption", "meaning"], [(a.name, a.text) for a in statement.assumptions])
table(["source", "where", "what differs here"], [(s.reference, s.locator, s.deviation) for s in statement.source])

assert statement.kind == Kind.CERTIFICATE
assert len(statement.assumptions) == 3

# %% [markdown]
# In words. You choose a **prior** $P$ over predictors before you see any data. Then you see $n$ independent examples and
# choose a **posterior** $Q$ in any way you like. To predict, you draw a predictor from $Q$; the average loss
# of that procedure is the *Gibbs risk*. On your sample it is $\hat r_Q$, which you can compute; on the population it is
# $r_Q$, which you want to know. The theorem says: with probability at least $1-\delta$ over the sample, the two are
# close *for every $Q$ at the same time*, including the one that your training found.
#
# "Close" is measured by the binary relative entropy $\mathrm{kl}(q\|p)$, and the price is
#
# $$c = \frac{K + \ln \xi(n) + \ln(1/\delta)}{n}.$$
#
# You pay $K = \mathrm{KL}(Q\|P)$ for moving away from the prior, $\ln(1/\delta)$ for confidence, and a small
# constant $\ln \xi(n) \approx \frac12\ln n + 0.23$. Remember that constant: dropping it makes every bound a
# little better, and hardly anybody would notice.
#
# What the theorem leaves for $r_Q$ is an interval: all $p$ with $\mathrm{kl}(\hat r_Q\|p) \le c$.


# %%
def kl(q, p):
    """Binary relative entropy kl(q||p) in nats, elementwise."""
    return rel_entr(q, p) + rel_entr(1 - q, 1 - p)


q, c = 0.10, 0.03
lower, upper = brentq(lambda p: kl(q, p) - c, 1e-9, q), brentq(lambda p: kl(q, p) - c, q, 1 - 1e-9)

figure, axes = plt.subplots(figsize=(5.6, 2.9))
p = np.linspace(0.003, 0.4, 400)
axes.plot(p, kl(q, p), color=DATA, lw=1.8)
axes.axhline(c, color=INK, lw=0.9, ls="--")
axes.axvspan(lower, upper, color=RIGHT, alpha=0.13, lw=0)
axes.plot([lower, upper], [c, c], "o", color=RIGHT)
axes.text((lower + upper) / 2, 0.105, f"left for the true risk:\n{lower:.3f} to {upper:.3f}", ha="center", color=RIGHT)
axes.text(0.4, c + 0.003, "price c", ha="right", color=INK)
axes.set(xlabel="true risk p", ylabel=f"kl({q} || p)", ylim=(0, 0.15), xlim=(0, 0.4))
plt.show()

assert abs(kl(q, upper) - c) < 1e-9
assert abs(kl(q, lower) - c) < 1e-9
assert upper - q > q - lower  # at a small risk there is more room above than below

# %% [markdown]
# ## 2. The derivation
#
# Each step of a proof is one of six things. Three of them a machine can discharge: **algebra** (a symbolic normal form
# *and* 50-digit values at random points), **enclosure** (interval arithmetic over a whole box of numbers) and
# **enumeration** (a finite list of cases in exact fractions). The other three are not replayed but named: another **result**
# of the catalogue, a textbook **axiom** from a short closed list (Markov, Fubini, Jensen, ...), or a **citation**.

# %%
OUTCOME = {True: "replayed", False: "FAILED", None: "named"}
replays = [replay(step) for step in theorem.derivation]
table(["step", "what it says", "outcome"], [(step.kind, step.text, OUTCOME[step.ok]) for step in replays])

assert [step.kind for step in replays].count("uses") == 3
assert [step.ok for step in replays if step.kind == "algebra"] == [True]

# %% [markdown]
# Read it from top to bottom: that is the whole proof. Change of measure replaces "for every $Q$" by one random number,
# $E_P e^f$. Maurer's constant bounds its mean. Markov's inequality turns the mean into a probability. Convexity moves the
# average over $Q$ inside kl.
#
# Does the machine look, or does it nod? Give it two false steps. The first is the algebra step above with a slip of the
# pen: a square is missing. The second is a bound on $\xi(n)$ that is true for $n = 5, \dots, 60$, and that somebody
# published after looking at large $n$ only.


# %%
def slip_of_the_pen():
    a, b = sympy.symbols("q p", positive=True)
    hessian = sympy.hessian(a * sympy.log(a / b) + (1 - a) * sympy.log((1 - a) / (1 - b)), (a, b))
    return [(hessian.det(), (b - a) ** 2 / (a * (1 - a) * b * (1 - b)))]  # it is b^2 (1-b)^2


def too_sharp():
    for n in range(1, 61):
        yield f"n={n}", xi_exact(n) ** 2, "<=", Fraction(8, 5) ** 2 * n


slip = Algebra(
    "det of the Hessian of kl = (p-q)^2 / (q(1-q) p(1-p))", slip_of_the_pen, (("q", 0.1, 0.4), ("p", 0.5, 0.9))
)
sharp = Enumeration("xi(n) <= 1.6 sqrt(n), n = 1..60", too_sharp)
refused = [replay(step) for step in (slip, sharp)]
table(["false step", "outcome", "why"], [(step.text, OUTCOME[step.ok], step.detail) for step in refused])

broken = replace(theorem, derivation=(*theorem.derivation[:4], slip, *theorem.derivation[5:]))
print("status of the proof with the slip:", derive(broken).text)

assert [step.ok for step in refused] == [False, False]
assert derive(broken).text == "failed steps: 1"
assert derive(theorem).failed == 0

# %% [markdown]
# ## 3. The prediction
#
# The statement becomes a number through one public function. It does not return the number alone but a **certificate**:
# the value, what kind of claim it is, who spent which part of $\delta$, which assumptions you vouch for, what to cite.

# %%
certificate = nv.bounds.seeger_kl(risk=0.0155, kl=73.2, n=30_000, delta=0.025)
print(certificate)

# the same number in two lines of your own: the price, then the right end of the interval
price = (73.2 + np.log(maurer_xi(30_000)) + np.log(1 / 0.025)) / 30_000
own = brentq(lambda p: kl(0.0155, p) - price, 0.0155, 0.5, xtol=1e-15)

tempting = brentq(lambda p: kl(0.0155, p) - (73.2 + np.log(1 / 0.025)) / 30_000, 0.0155, 0.5, xtol=1e-15)
print(f"\nby hand {own:.6f}; without ln xi(n) it would be {tempting:.6f}")

assert abs(certificate.value - own) < 1e-12
assert tempting < own
assert not certificate.vacuous

# %% [markdown]
# A certificate can be checked without trusting the code that made it: `check()` computes the bound again in ball
# arithmetic with 60 digits, where every number carries a rigorous error radius. It answers: is the stored float on the safe
# side of the exact bound, and by how much? Shave one part in $10^{12}$ off the value, and the check says no.

# %%
again = certificate.check()
print("stored     ", repr(certificate.value))
print("exact      ", again.low[:34], "...")
print("sound      ", again.sound, f"({again.excess:.1e} above the exact bound, relatively)")

shaved = replace(certificate, value=certificate.value * (1 - 1e-12), raw=certificate.raw * (1 - 1e-12))
print("shaved     ", shaved.check().sound, "-", shaved.check().detail)

assert again.sound
assert again.excess >= 0
assert not shaved.check().sound

# %% [markdown]
# Probability is money here: every event that can fail costs a part of $\delta$, and the **ledger** lists who spent what.
# For a neural network even the empirical Gibbs risk is an estimate, from $m$ draws of the posterior. That is one more event.
# Its certificate becomes an *input* of the bound, and the two deltas add. Spending the same event twice is an error.

# %%
drawn = nv.bounds.gibbs_monte_carlo(risk=0.0155, draws=150_000, delta=0.01)
whole = nv.bounds.seeger_kl(risk=drawn, kl=73.2, n=30_000, delta=0.025)
table(["event", "delta spent"], [(entry.event, f"{entry.delta:.3g}") for entry in whole.ledger.entries])
print(f"true Gibbs risk <= {whole.value:.6f} with probability at least {1 - whole.delta:.3f}")

try:
    whole.ledger.spend("PAC-Bayes-kl over the sample", delta=0.001)
except DeltaOverspent as error:
    refusal = str(error)
    print("refused:", refusal)

assert abs(whole.delta - 0.035) < 1e-12
assert whole.value > certificate.value
assert "already paid" in refusal
assert whole.check().sound

# %% [markdown]
# ## 4. Predict, run, compare
#
# Now the experiment. A theorem about *all* distributions can be tested in *any* world, so take the smallest one in which it
# says something.
#
# **World A.** Four possible examples, drawn with probabilities .4, .3, .2, .1; three predictors, each right or wrong on each
# example; prior weights .5, .3, .2; $n = 12$ examples. A training set is, up to order, four counts that sum to 12: there
# are 455 of them, and we can visit them all.
#
# What does the theorem forbid? Look at one training set and let
#
# $$W = \ln E_{h\sim P}\, e^{\,n\,\mathrm{kl}(\hat r_h\|r_h)} = \sup_Q \{ E_Q[n\,\mathrm{kl}(\hat r_h\|r_h)] - \mathrm{KL}(Q\|P) \}.$$
#
# The equality is change of measure, `pb.dv`: one number covers the worst of all posteriors. (It is the proof's number, before
# Jensen's inequality; the printed bound is broken at most as often.) The theorem rests on two
# claims about it, and both are finite sums here:
#
# - **moment**: $E\,e^W \le \xi(12)$ (in this world, even equal);
# - **failure probability**: $P(W > \ln(\xi(12)/\delta)) \le \delta$.
#
# Write the predictions down before you run anything.

# %%
DELTA_A, XI_A = 0.1, float(maurer_xi(12))
print(f"predicted for world A: moment {XI_A:.10f}, failure probability at most {DELTA_A}")


# %%
def count_vectors(total, parts=4):
    """All vectors of non-negative integers with this sum."""
    return np.array([v for v in itertools.product(range(total + 1), repeat=parts) if sum(v) == total])


OUTCOMES = np.array([0.4, 0.3, 0.2, 0.1])
LOSSES = np.array([[0, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1]])  # predictor x example
PRIOR = np.array([0.5, 0.3, 0.2])
TRUE_RISK = LOSSES @ OUTCOMES


def worst_case(counts, n=12):
    """W for each training set."""
    return logsumexp(np.log(PRIOR) + n * kl(counts @ LOSSES.T / n, TRUE_RISK), axis=1)


def failure(chance, worst, constant, delta):
    """P(W > ln(constant/delta))."""
    return float(chance[worst > np.log(constant / delta)].sum())


sets_a = count_vectors(12)
chance_a = multinomial.pmf(sets_a, 12, OUTCOMES)
worst_a = worst_case(sets_a)
moment_a = float(chance_a @ np.exp(worst_a))
failure_a = failure(chance_a, worst_a, XI_A, DELTA_A)

rows = [
    ("moment", f"= {XI_A:.10f}", f"{moment_a:.10f}"),
    ("failure probability", f"<= {DELTA_A}", f"{failure_a:.10f}"),
]
table(["world A", "predicted", "exact enumeration"], rows)

assert len(sets_a) == 455
assert abs(chance_a.sum() - 1) < 1e-12
assert abs(moment_a / XI_A - 1) < 1e-12
assert failure_a <= DELTA_A

# %% [markdown]
# The moment agrees to the last digit: in a world of 0-1 losses Maurer's constant is not an upper bound but the value.
#
# **The tempting mistake.** Suppose somebody forgets $\ln\xi(n)$ and publishes
# $\mathrm{kl}(\hat r_Q\|r_Q) \le (K + \ln(1/\delta))/n$. It is simpler, and the certificate of section 3 would
# improve from 0.0265 to 0.0261: too little to look suspicious. Would a simulation find out? Draw many training sets, count how
# often some posterior breaks the bound, and ask a binomial test whether that is more often than $\delta$.

# %%
rng = np.random.default_rng(20)
simulated = worst_case(rng.multinomial(12, OUTCOMES, size=RUNS))
ALPHA = 1e-6  # we call a theorem refuted when luck alone would do it once in a million

rows, p_values = [], []
for name, constant in (("the theorem", XI_A), ("ln xi(n) dropped", 1.0)):
    broken_sets = int((simulated > np.log(constant / DELTA_A)).sum())
    p_value = binomtest(broken_sets, RUNS, DELTA_A, alternative="greater").pvalue
    ruling = "REFUTED" if p_value < ALPHA else "not refuted"
    rows.append((name, f"{broken_sets:,} of {RUNS:,}", broken_sets / RUNS, ruling))
    p_values.append(p_value)
table(["world A, simulated", "failures", "frequency, promised <= 0.1", "binomial test"], rows)

critical = int(binom.isf(ALPHA, RUNS, DELTA_A)) + 1  # this many failures would refute
power = binom.sf(critical - 1, RUNS, 2 * DELTA_A)
print(f"chance that this test catches a theorem that fails twice as often as promised: {power:.6f}")

dropped_a = failure(chance_a, worst_a, 1.0, DELTA_A)
assert min(p_values) > ALPHA  # the simulation refutes neither
assert power > 0.999  # and not for lack of runs
assert binomtest(broken_sets, RUNS, dropped_a).pvalue > ALPHA  # it agrees with the enumeration

# %% [markdown]
# The simulation refutes neither. That is not for lack of runs: the wrong theorem fails with probability at most 0.0299 in this
# world, well below $\delta = 0.1$. More runs will only confirm it. Bounds have slack, here mostly from Markov's
# inequality, and slack hides mistakes.
#
# The **moment** has no slack. The wrong theorem needs $E\,e^W \le 1$, and it is $5.04$.
#
# Does that matter, if the bound "works" in world A? The theorem does not speak about world A. It speaks about all
# worlds, so go to one with more predictors to choose from.
#
# **World B.** Sixteen fair coins as predictors, $n = 6$ tosses of each, uniform prior. By symmetry a predictor counts only
# through how far its number of errors is from 3, so a training set is again four counts, now with sum 16.

# %%
DELTA_B = 0.3
distance = np.array([3, 2, 1, 0])  # errors minus 3, up to sign
chance_of_distance = np.array([2, 12, 30, 20]) / 64  # 1+1, 6+6, 15+15 and 20 of the 64 sequences of 6 tosses
sets_b = count_vectors(16)
chance_b = multinomial.pmf(sets_b, 16, chance_of_distance)
worst_b = np.log(sets_b @ np.exp(6 * kl((3 + distance) / 6, 0.5)) / 16)
XI_B = float(maurer_xi(6))

worlds = {"A": (XI_A, DELTA_A, chance_a, worst_a), "B": (XI_B, DELTA_B, chance_b, worst_b)}
ANSWER = {True: "yes", False: "NO"}
rows = []
for name, (xi, delta, chance, worst) in worlds.items():
    for label, constant in (("the theorem", xi), ("ln xi(n) dropped", 1.0)):
        moment, failed = chance @ np.exp(worst), failure(chance, worst, constant, delta)
        answers = ANSWER[bool(moment <= constant * (1 + 1e-12))], ANSWER[failed <= delta]  # 1e-12: rounding of the sum
        compared = f"{moment:.4f} <= {constant:.4f}", f"{failed:.6f} <= {delta}"
        rows.append((name, label, compared[0], answers[0], compared[1], answers[1]))
table(["world", "claim", "moment", "holds?", "failure probability", "holds?"], rows)

assert [(row[3], row[5]) for row in rows] == [("yes", "yes"), ("NO", "yes"), ("yes", "yes"), ("NO", "NO")]
assert abs(chance_b @ np.exp(worst_b) - 1223 / 324) < 1e-12  # xi(6) by hand
assert 6 * kl(0, 0.5) > np.log(16) + np.log(1 / DELTA_B)
assert DELTA_B < 1 - (31 / 32) ** 16 <= failure(chance_b, worst_b, 1.0, DELTA_B)

# %% [markdown]
# In world B the wrong theorem fails with probability 0.398 where it promised 0.3, and you can check that by hand. Wait for a
# lucky coin, one without a single error (or with errors only), and put all of $Q$ on it. You pay $K = \ln 16 = 2.77$ and
# $\ln(1/\delta) = 1.20$, but $n\,\mathrm{kl}(0\|\frac12) = 6 \ln 2 = 4.16$ is more than both together. Some coin is lucky with
# probability $1 - (31/32)^{16} = 0.398$.
#
# The next figure shows both worlds at every $\delta$ up to 0.9: in world A the wrong theorem stays below the diagonal all the
# way. No confidence level that anybody would choose betrays it.

# %%
levels = np.geomspace(1e-3, 0.9, 400)
figure, both = plt.subplots(1, 2, figsize=(7.6, 3.2), sharey=True, layout="constrained")
for axes, (name, (xi, delta, chance, worst)) in zip(both, worlds.items(), strict=True):
    axes.fill_between(levels, 1e-5, levels, color=RIGHT, alpha=0.10, lw=0)
    axes.plot(levels, levels, color=RIGHT, lw=1, ls="--")
    for label, constant, colour in (("ln ξ(n) dropped", 1.0, WRONG), ("the theorem", xi, DATA)):
        axes.plot(
            levels, [failure(chance, worst, constant, level) for level in levels], color=colour, lw=1.7, label=label
        )
    axes.plot(delta, failure(chance, worst, 1.0, delta), "X", color=WRONG, ms=8)
    axes.set(xscale="log", yscale="log", ylim=(1e-5, 1.3), xlim=(1e-3, 1), xlabel="promised: δ", title=f"world {name}")
both[0].set_ylabel("exact failure probability")
both[0].text(0.85, 1.7e-5, "allowed: below the diagonal", color=RIGHT, ha="right")
both[1].legend(loc="upper left")
plt.show()

# the failure probability jumps only where delta passes e^-W of some training set: these points decide about every delta
assert all(chance_a[worst_a >= w - 1e-9].sum() <= np.exp(-w) for w in worst_a if np.exp(-w) <= 0.9)
assert any(failure(chance_b, worst_b, 1.0, level) > level for level in levels)

# %% [markdown]
# **Why enumerate? Could you not simulate the moment?** Try it: average $e^W$ over more and more training sets, with eight
# different seeds. The average jumps and then creeps, because much of the moment sits in training sets that almost never
# occur; even after a million of them it has not arrived.

# %%
figure, axes = plt.subplots(figsize=(5.8, 2.9))
averages = []
runs = np.arange(1, RUNS + 1)
shown = np.unique(np.geomspace(50, RUNS, 300).astype(int)) - 1
for seed in range(8):
    sample = np.exp(worst_case(np.random.default_rng(seed).multinomial(12, OUTCOMES, size=RUNS)))
    average = np.cumsum(sample) / runs
    averages.append(average[-1])
    axes.plot(runs[shown], average[shown], color=DATA, lw=0.9, alpha=0.7)
axes.axhline(moment_a, color=RIGHT, lw=1.4)
axes.text(RUNS, moment_a + 0.4, "exact: ξ(12) = 5.036", color=RIGHT, ha="right")
axes.axhline(1, color=WRONG, lw=1.2, ls="--")
axes.text(RUNS, 1.12, "what the wrong theorem needs", color=WRONG, ha="right")
axes.set(xscale="log", xlabel="simulated training sets", ylabel="average of $e^W$", ylim=(0, 8))
plt.show()

rarest = np.argsort(-worst_a)
share = np.cumsum(chance_a[rarest]), np.cumsum((chance_a * np.exp(worst_a))[rarest]) / moment_a
for rare in (1e-3, 1e-6):
    carried = share[1][share[0] < rare].max()
    print(f"training sets that together have probability below {rare:g} carry {carried:.0%} of the moment")

# cutting e^W at 20 can only lower its mean, and makes an honest confidence limit possible (Hoeffding)
limit = np.minimum(np.exp(simulated), 20).mean() - 20 * np.sqrt(np.log(1 / ALPHA) / (2 * RUNS))
print(f"the moment is at least {limit:.3f}, at confidence 1 - {ALPHA:g}")

assert np.median(averages) < moment_a  # the typical simulation reports too small a moment
assert share[1][share[0] < 1e-6].max() > 0.1
assert 1 < limit < moment_a

# %% [markdown]
# So a simulation *can* refute the dropped constant, if it looks at the moment and cuts it: the last line is above 1. It could
# hardly tell $\xi(12)$ from $\xi(11)$. The enumeration does, to twelve digits. **What you measure decides what you can refute.**
#
# ## 5. Controls
#
# The package builds this lesson in. A `Check` is a claim with a measurement, and every check must name `Control`s: wrong
# variants that it has to refute. Let us write two checks of our own and give them the right theorem and the tempting one, each
# as a catalogue of one result.


# %%
@dataclass(frozen=True)
class Setting:
    """What a check of this bound is given: the sample size (which tells the world) and delta."""

    n: int
    delta: float


EXACT = {12: (chance_a, worst_a), 6: (chance_b, worst_b)}


def with_constant(s):
    return float(maurer_xi(s.n))


def without_constant(s):
    return 1.0


def failures_only(s, constant, rows):
    return Coverage(s.delta, failure=failure(*EXACT[s.n], constant, s.delta))


def failures_and_moment(s, constant, rows):
    chance, worst = EXACT[s.n]
    return replace(failures_only(s, constant, rows), moment=float(chance @ np.exp(worst)), constant=constant)


def result(predict, compare, n, delta):
    """One theorem with one check, whose control is the dropped constant."""
    text = "With probability at least 1-delta, for all Q: kl(rh_Q||r_Q) <= (K + ln(constant/delta))/n."
    claimed = Statement(
        "pb.of_my_own", "a bound of my own", Kind.CERTIFICATE, text, "", (Source("here", provenance="derived"),)
    )
    control = Control("ln xi(n) dropped", {"predict": without_constant})
    settings = ByBudget(quick=(Setting(n, delta),))
    check = Check("exact enumeration", HighProbabilityBound(), settings, compare, controls=(control,))
    return Result(claimed, predict=predict, example=Setting(n, delta), checks=(check,))


def verify(one_result):
    with tempfile.TemporaryDirectory() as out:
        return nv.verify(catalogue=(one_result,), device="cpu", out=out)


cases = {
    "A, failures only": (failures_only, 12, DELTA_A),
    "A, failures and moment": (failures_and_moment, 12, DELTA_A),
    "B, failures only": (failures_only, 6, DELTA_B),
}
rows = []
for name, case in cases.items():
    right, wrong = (verify(result(predict, *case)) for predict in (with_constant, without_constant))
    rows.append((name, right.ruling, wrong.ruling, "refuted" if right.controls_refuted else "SURVIVES"))
table(["check", "the theorem is", "the wrong theorem is", "the check's control is"], rows)

assert rows[0][1:] == ("supported", "supported", "SURVIVES")
assert rows[1][1:] == rows[2][1:] == ("supported", "refuted", "refuted")

# %% [markdown]
# The first check "supports" both theorems. Without the control you would not know; with it, the check is exposed before any
# theorem is at stake. So read both: `ruling` says what the checks found, `controls_refuted` whether they could have found
# anything else. (`nonvacuous verify` exits with an error when a control survives.)
#
# Here is the verification that ships with `pb.kl`: five checks, each with its controls. The first two compare the
# *function you called* with the end of the derivation at 50 digits. They are why a wrong line of code is caught as
# well as a wrong theorem.

# %%
with tempfile.TemporaryDirectory() as out:
    verdict = nv.verify("pb.kl", device="cpu", out=out)
(record,) = verdict.results

rows = []
for check in record["checks"]:
    caught = sum(control["verdict"] == "refuted" for control in check["controls"])
    rows.append((check["name"], check["verdict"], f"{caught} of {len(check['controls'])}"))
table(["check", "verdict", "controls refuted"], rows)

assert verdict.ruling == "supported"
assert verdict.controls_refuted
assert len(record["checks"]) == 5

# %%
world_b = next(check for check in record["checks"] if check["name"].startswith("world B"))
figure, (above, below) = plt.subplots(2, 1, figsize=(6.4, 4.6), layout="constrained", height_ratios=(2, 5))
draw_check(world_b, above)
above.set_title("the theorem in world B: both quantities lie in the allowed region", loc="left")
draw_controls(world_b, below)
below.set_title("its controls lie outside", loc="left")
plt.show()

assert {c["name"] for c in world_b["controls"]} >= {"K forgotten", "prior fitted on the sample", "1 in place of xi(n)"}

# %% [markdown]
# ## 6. What remains unproved
#
# Three things, and an honest theorem says all three aloud.
#
# **Axioms and cited steps.** The replay of `pb.kl` itself went through, but it uses `pb.xi`, and that proof cites two facts.
# The package counts them and says "cited steps: 2"; it will not call the theorem proved.

# %%
status = derive(theorem)
print("derivation:", status.text, "| axioms:", ", ".join(status.axioms))
cited = [
    (node.key, step.reference, step.text)
    for node in used_results(theorem)
    for step in node.derivation
    if isinstance(step, Cited)
]
table(["in", "cited from", "what is taken on trust"], cited)

assert status.cited_steps == len(cited) == 2

# %% [markdown]
# **Experiments support, they do not prove.** Two worlds and some formulas are not all worlds. A check earns trust by what it
# *would* have refuted, which is why its controls are part of the result.
#
# **Assumptions that nobody can check from the numbers.** The certificate lists them, and you vouch for them.
# See what happens when they are false. Somebody doubles a data set by copying every example, and certifies with $n = 24$
# instead of $12$. Suppose the first predictor made no error:

# %%
print("you vouch for:", ", ".join(certificate.unchecked), "\n")

doubled = nv.bounds.seeger_kl(risk=0.0, kl=float(np.log(1 / PRIOR[0])), n=24, delta=DELTA_A)
print(f"certified: risk <= {doubled.value:.4f}; is the arithmetic sound? {doubled.check().sound}")
print(f"true risk: {TRUE_RISK[0]:.4f}")

# every predictor on its own (Q a point mass, K = ln 1/P): how often is at least one of the three certificates false?
price_paid = np.log(1 / PRIOR) + np.log(maurer_xi(24)) + np.log(1 / DELTA_A)
false = (24 * kl(sets_a @ LOSSES.T / 12, TRUE_RISK) > price_paid).any(axis=1)
failure_doubled = chance_a[false].sum()
print(f"probability that a certificate is false: {failure_doubled:.4f}, promised: at most {DELTA_A}")

assert "i.i.d. examples" in certificate.unchecked
assert doubled.check().sound
assert doubled.value < TRUE_RISK[0]
assert failure_doubled > DELTA_A

# %% [markdown]
# The arithmetic is perfect, the certificate is sound to the last bit, and the claim is false. `check()` verifies the
# computation. It cannot know where your examples come from.
#
# ## 7. Your turn: refute a theorem
#
# Pinsker's inequality says $\mathrm{kl}(q\|p) \ge 2 (q-p)^2$. So `pb.kl` gives a bound that is easier to remember:
#
# $$|r_Q - \hat r_Q| \le \sqrt{\frac{K + \ln(\xi(n)/\delta)}{a\,n}}, \qquad a = 2.$$
#
# In a colleague's notes it says $a = 4$; another remembers $a = 3$. For each $a \in \{2, 3, 4\}$, in world A with
# $\delta = 0.1$ and in world B with $\delta = 0.3$, find:
#
# 1. the exact failure probability and the exact moment, with $e^{a n (\hat r_h - r_h)^2}$ in place of $e^{n\,\mathrm{kl}}$
#    and the constant $\xi(n)$ as before;
# 2. which values of $a$ are refuted by a failure probability, and which only by a moment.
#
# Replace `None` by your answers (sets of numbers, such as `{2, 3}`). The next cell checks them, then solves the exercise.

# %%
refuted_by_failures = None  # your answer: the a for which some world's failure probability exceeds delta
refuted_by_moment_only = None  # your answer: the a that only a moment refutes

# %% [markdown]
# <details><summary>A hint</summary>
#
# `worst_case` and the definition of `worst_b` are all you need: replace `kl(q, p)` by `a * (q - p) ** 2`. The training
# sets and their chances stay the same.
#
# </details>
#
# ### Solution


# %% jupyter={"source_hidden": true} tags=["solution"]
def with_squared_gap(a):
    """Both worlds with a (rh - r)^2 in place of kl."""
    in_a = logsumexp(np.log(PRIOR) + 12 * a * (sets_a @ LOSSES.T / 12 - TRUE_RISK) ** 2, axis=1)
    in_b = np.log(sets_b @ np.exp(6 * a * (distance / 6) ** 2) / 16)
    return {"A": (XI_A, DELTA_A, chance_a, in_a), "B": (XI_B, DELTA_B, chance_b, in_b)}


rows, by_failures, by_moment = [], set(), set()
for a in (2, 3, 4):
    for name, (xi, delta, chance, worst) in with_squared_gap(a).items():
        moment, failed = chance @ np.exp(worst), failure(chance, worst, xi, delta)
        by_moment |= {a} if moment > xi * (1 + 1e-12) else set()
        by_failures |= {a} if failed > delta else set()
        rows.append((a, name, f"{failed:.6f} (allowed {delta})", f"{moment:,.4f} (allowed {xi:.4f})"))
table(["a", "world", "failure probability", "moment"], rows)
print("refuted by failures:", by_failures, "| by a moment only:", by_moment - by_failures)

assert by_failures == {4}
assert by_moment == {3, 4}
assert refuted_by_failures in (None, by_failures), "look again at the failure probabilities"
assert refuted_by_moment_only in (None, by_moment - by_failures), "look again at the moments"

# %% [markdown]
# With $a = 4$ the lucky coin breaks the bound in world B, while world A sees nothing. With $a = 3$ *no* failure
# probability in either world gives it away: only the moment does, in both.
#
# A moment above its constant refutes the step on which a theorem stands, not yet its last line. To refute that too, build a
# richer world. Take very many fair coins, tossed $n$ times, and let $Q$ prefer coins with few errors, so that
# $\hat r_Q = q$; by the law of large numbers this costs $K = n\,\mathrm{kl}(q\|\frac12)$. The notes then claim
#
# $$a\,n\,(q - \tfrac12)^2 \le n\,\mathrm{kl}(q\|\tfrac12) + \ln(\xi(n)/\delta).$$
#
# For $a = 2$ that is Pinsker. For $a = 3$ the left side wins at small $q$ as soon as $n$ is large enough, and then the bound
# fails not with probability $\delta$ but almost surely.

# %%
grid = np.linspace(0, 0.5, 5001)
gain = {a: (a * (grid - 0.5) ** 2 - kl(grid, 0.5)).max() for a in (2, 3)}
enough = next(n for n in itertools.count(1) if n * gain[3] > np.log(maurer_xi(n) / DELTA_B))
print(f"a = 3 is false at delta = {DELTA_B} in a world of very many fair coins and n = {enough} tosses of each")

assert gain[2] <= 1e-15  # Pinsker, up to rounding
assert 6 * gain[3] < np.log(XI_B / DELTA_B)  # world B is too small to show it

# %% [markdown]
# ## What to take with you
#
# - A statement says what is claimed, a derivation why, a prediction how much, a check whether, and a control whether the
#   check could have said no.
# - Cited is not derived, and derived is not tested. The package keeps the three apart and counts in public.
# - Look where there is no slack. Coverage has slack; moments, identities and 50-digit formulas do not.
# - Exact beats simulated wherever the world is small enough to enumerate.
# - A sound certificate about false assumptions is still false.
#
# From here: `nonvacuous list` shows the catalogue, `nonvacuous show pb.kl` this theorem, and `nonvacuous new pb.yours` starts a
# proof file of your own.
