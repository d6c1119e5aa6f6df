"""The table of dual activations: one result for each row, made by one builder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....theory.activations import ABRelu, Base, Cosine, LeakyRelu, Rbf, Scaled, Sine
from ....theory.axioms import GAUSSIAN_AFFINE, LINEARITY
from ....theory.derivation import Algebra, Axiom, Uses
from ....theory.statements.infinite_width import dual_activations as statements
from ...result import Result
from . import dual_algebra, price
from . import dual_table_algebra as algebra
from .dual_rows import Row, result


def _price(text: str) -> Uses:
    return Uses(price.RESULT, f"{text}: V is fixed by its slope Vd and one value")


IDENTITY = result(
    Row(
        statements.IDENTITY,
        "identity",
        lambda rng: "identity",
        (Axiom(LINEARITY, "V = E u v = c by definition, Vd = E 1"), Algebra("its slope is 1", algebra.identity)),
        (),
        (("ReLU", lambda f: "relu"), ("2 z", lambda f: Scaled("identity", 2.0)), ("erf", lambda f: "erf")),
        kinked=True,
    )
)
RELU = result(
    Row(
        statements.RELU,
        "relu",
        lambda rng: "relu",
        (
            _price("dV/dc = Vd, and dVd/dc = p(0,0) since phi'' is a unit mass"),
            Algebra("the closed forms have these slopes and the right values at c = 0", dual_algebra.relu_dual),
            Algebra("the gap p/2 - V in half angles", dual_algebra.gap_through_a_layer),
            Algebra("and as that of z/2 and |z|/2, which is shipped", algebra.odd_and_even_part),
        ),
        (price.RESULT,),
        (
            ("leaky with 1e-9", lambda f: LeakyRelu(1e-9)),
            ("|z|/2", lambda f: Scaled("abs", 0.5)),
            ("negative part kept", lambda f: "identity"),
        ),
        kinked=True,
    )
)
FROM_RELU = (
    Algebra("phi is a difference of two ReLUs, so V is a sum of four ReLU terms, two of them at -v", algebra.four_relus),
    Algebra("its gap is that of the odd part plus that of the even part", algebra.odd_and_even_part),
)  # fmt: skip
ABRELU = result(
    Row(
        statements.ABRELU,
        ABRelu(-0.3, 1.2),
        lambda rng: ABRelu(float(rng.uniform(-1.5, 1.5)), float(rng.uniform(0.2, 1.5))),
        (Uses(RELU, "the dual of max(z,0)"), *FROM_RELU),
        (RELU,),
        (
            ("slope al with the other sign", lambda f: ABRelu(-f.negative, f.positive)),
            ("al 1e-9 off", lambda f: ABRelu(f.negative * (1 + 1e-9), f.positive)),
            ("be 1e-9 off", lambda f: ABRelu(f.negative, f.positive * (1 + 1e-9))),
        ),
        kinked=True,
    )
)
LEAKY = result(
    Row(
        statements.LEAKY,
        LeakyRelu(0.1),
        lambda rng: LeakyRelu(float(rng.uniform(0.01, 0.9))),
        (Uses(ABRELU, "with be = 1"),),
        (ABRELU,),
        (
            ("ReLU", lambda f: "relu"),
            ("slope with the other sign", lambda f: LeakyRelu(-f.slope)),
            ("slope 1e-9 off", lambda f: LeakyRelu(f.slope * (1 + 1e-9))),
        ),
        kinked=True,
    )
)
ABS = result(
    Row(
        statements.ABS,
        "abs",
        lambda rng: "abs",
        (Uses(ABRELU, "with al = -1, be = 1: m = 1 and q = 2/pi"),),
        (ABRELU,),
        (
            ("ReLU", lambda f: "relu"),
            ("slope 1e-9 off", lambda f: ABRelu(-1.0 - 1e-9, 1.0)),
            ("identity", lambda f: "identity"),
        ),
        kinked=True,
    )
)
SIGN = result(
    Row(
        statements.SIGN,
        "sign",
        lambda rng: "sign",
        (
            Uses(RELU, "E [u>0][v>0] = (pi - t)/(2 pi), and E [u>0] = 1/2"),
            Algebra("sign is a difference of steps", algebra.sign_from_steps),
        ),
        (RELU,),
        (
            ("a step of height 1", lambda f: Scaled("sign", 0.5, 1.0, 0.5)),
            ("1e-9 larger", lambda f: Scaled("sign", 1 + 1e-9)),
        ),
        kinked=True,
    )
)
ERF = result(
    Row(
        statements.ERF,
        "erf",
        lambda rng: "erf",
        (
            _price("dV/dc = Vd"),
            Algebra("Vd is a Gaussian integral, V has that slope and vanishes at c = 0", dual_algebra.erf_dual, (("s", 4, 5), ("c", -1, 1))),
            Algebra("the squared distance of the features as a sum of non-negative terms", dual_algebra.erf_gap),
            Algebra("and that of Vd, a distance of inverse roots", algebra.inverse_roots),
        ),
        (price.RESULT,),
        (
            ("erf(z/sqrt 2)", lambda f: Scaled("erf", 1.0, 0.5**0.5)),
            ("input 1e-9 off", lambda f: Scaled("erf", 1.0, 1 + 1e-9)),
            ("odd sine", lambda f: "sin"),
        ),
    )
)  # fmt: skip
GELU = result(
    Row(
        statements.GELU,
        "gelu",
        lambda rng: "gelu",
        (
            _price("twice: d^2V/dc^2 = E phi''(u) phi''(v)"),
            Algebra("phi'' = (2 - z^2) n(z), whose dual is a Gaussian integral: the second slope of V", algebra.gelu_curvature, (("w", 1, 2), ("c", -0.5, 0.5), ("z", 1, 2))),
            Algebra("V and Vd at c = 0, where u and v are independent", algebra.gelu_at_independence),
            Algebra("the distance of the even part: all terms but one non-negative; that of Vd", algebra.gelu_distance),
            Algebra("with the distance of inverse roots", algebra.inverse_roots),
            Uses(ERF, "and the distance of arcsines, at half the covariance"),
        ),
        (price.RESULT, ERF),
        (
            ("input 1e-9 off", lambda f: Scaled("gelu", 1.0, 1 + 1e-9)),
            ("ReLU", lambda f: "relu"),
            ("z Phi(1.702 z), the logistic habit", lambda f: Scaled("gelu", 1 / 1.702, 1.702)),
        ),
    )
)  # fmt: skip


def _wave(rng: np.random.Generator) -> tuple[float, float, float]:
    """Amplitude, frequency and phase."""
    amplitude, frequency, phase = rng.uniform([0.5, 0.5, -2.0], [1.5, 1.5, 2.0]).tolist()
    return amplitude, frequency, phase


WAVES = (
    Axiom(GAUSSIAN_AFFINE, "B(u -+ v) is Gaussian with variance B^2 (a + b -+ 2c)"),
    Algebra("the product of sines is half a difference of cosines, each with a Gaussian mean", algebra.waves),
    Algebra("distance and sum of the features as products of expm1's", algebra.wave_distance),
)
SINE = result(
    Row(
        statements.SINE,
        Sine(1.3, 0.7, 0.4),
        lambda rng: "sin" if rng.integers(4) == 0 else Sine(*_wave(rng)),
        WAVES,
        (),
        (
            ("cosine", lambda f: "cos" if f == "sin" else Cosine(f.amplitude, f.frequency, f.phase)),
            ("half the variance", lambda f: Scaled(f, 1.0, 0.5**0.5)),
            ("frequency 1e-9 off", lambda f: Scaled(f, 1.0, 1 + 1e-9)),
            ("phase 0.1 on", lambda f: Sine(1.0, 1.0, 0.1) if f == "sin" else replace(f, phase=f.phase + 0.1)),
        ),
    )
)  # fmt: skip
COSINE = result(
    Row(
        statements.COSINE,
        Cosine(1.1, 0.8, -0.5),
        lambda rng: "cos" if rng.integers(4) == 0 else Cosine(*_wave(rng)),
        (*WAVES, Uses(SINE, "with C + pi/2 for C")),
        (SINE,),
        (
            ("sine", lambda f: "sin" if f == "cos" else Sine(f.amplitude, f.frequency, f.phase)),
            ("frequency 1e-9 off", lambda f: Scaled(f, 1.0, 1 + 1e-9)),
        ),
    )
)  # fmt: skip
RBF = result(
    Row(
        statements.RBF,
        Rbf(0.6),
        lambda rng: Rbf(float(rng.uniform(0.1, 1.5))),
        (Uses(SINE, "with A^2 = 2, B^2 = 2 gam, C = pi/4"), Algebra("the second wave has no weight", algebra.gaussian_kernel)),
        (SINE,),
        (
            ("gam/2, the length-scale habit", lambda f: Rbf(f.gamma / 2)),
            ("gam 1e-9 off", lambda f: Rbf(f.gamma * (1 + 1e-9))),
        ),
    )
)  # fmt: skip


def _scaled(rng: np.random.Generator) -> Scaled:
    smooth: tuple[Base, ...] = ("erf", "gelu", Sine(1.0, 1.2, 0.7), Rbf(0.5), "identity")
    signs = rng.choice([-1.0, 1.0], 3)
    return Scaled(smooth[rng.integers(len(smooth))], *(signs * rng.uniform([0.7, 0.5, 0.05], [1.5, 1.3, 0.8])).tolist())


SCALED = result(
    Row(
        statements.SCALED,
        Scaled("gelu", 1.5, 0.8, -0.2),
        _scaled,
        (
            Axiom(GAUSSIAN_AFFINE, "(B u, B v) has the covariance B^2 times that of (u, v)"),
            Axiom(LINEARITY, "expectations of the terms of a product add; the chain rule puts A B before phi'"),
            Algebra("products expand, distances lose the constant, and the gap of a kinked phi grows as through a bias", algebra.scaling),
        ),
        (),
        (
            ("inner scale not squared", lambda f: replace(f, inner=abs(f.inner) ** 0.5)),
            ("outer 1e-9 off", lambda f: replace(f, outer=f.outer * (1 + 1e-9))),
            ("constant with the other sign", lambda f: replace(f, constant=-f.constant)),
            ("constant squared only", lambda f: Scaled(f.base, f.outer, f.inner)),
        ),
    )
)  # fmt: skip

RESULTS: tuple[Result, ...] = (IDENTITY, RELU, ABRELU, LEAKY, ABS, SIGN, ERF, GELU, SINE, COSINE, RBF, SCALED)
