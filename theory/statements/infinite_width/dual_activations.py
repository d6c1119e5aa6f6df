"""The table of dual activations: one statement for each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...activations import Scaled
from ...statement import Assumption, Kind, Source, Statement

_FUNCTION = "nonvacuous.numerics.kernels.activation_kernels.activation_kernels"
_HERE = Source("here", "", "derived, with its form without cancellation", "derived")
_ARC = Source("cho2009", "", "arc-cosine kernels; the form without cancellation is derived here", "standard")
_MEANING = (
    " Here (u,v) ~ N(0, [[a,c],[c,b]]), V = E phi(u) phi(v) and Vd = dV/dc = E phi'(u) phi'(v); t is the angle with "
    "cos t = c/sqrt(ab) and s = sqrt(ab - c^2)."
)


def _is(*kinds: str) -> Callable[[Any], bool]:
    return lambda setting: getattr(setting.activation, "kind", setting.activation) in kinds


def _row(name: str, title: str, text: str, latex: str, source: Source, kinds: tuple[str, ...], phi: str) -> Statement:
    return Statement(
        key=f"iw.dual.{name}",
        title=title,
        kind=Kind.IDENTITY,
        text=text + _MEANING,
        latex=latex,
        source=(source,),
        assumptions=(Assumption("activation", f"phi(z) = {phi}.", _is(*kinds)),),
        function=_FUNCTION,
    )


IDENTITY = _row(
    "identity",
    "The dual of the identity",
    "For phi(z) = z: V = c and Vd = 1.",
    r"V = c, \quad \dot V = 1",
    _HERE,
    ("identity",),
    "z",
)
RELU = _row(
    "relu",
    "The dual of ReLU",
    "For phi(z) = max(z, 0): V = (s + (pi - t) c)/(2 pi) and Vd = (pi - t)/(2 pi).",
    r"V = \frac{s + (\pi - t) c}{2\pi}, \quad \dot V = \frac{\pi - t}{2\pi}",
    _ARC,
    ("relu",),
    "max(z, 0)",
)
ABRELU = _row(
    "abrelu",
    "The dual of a function with two slopes",
    "For phi(z) = al min(z,0) + be max(z,0): V = q s + Vd c and Vd = (al^2+be^2)/2 - q t with q = (al-be)^2/(2 pi).",
    r"V = q s + \dot V c, \quad \dot V = \frac{\alpha^2 + \beta^2}{2} - q t, \quad q = \frac{(\alpha - \beta)^2}{2\pi}",
    _ARC,
    ("abrelu",),
    "al min(z,0) + be max(z,0)",
)
LEAKY = _row(
    "leaky",
    "The dual of leaky ReLU",
    "For phi(z) = max(z,0) + al min(z,0): V = q s + Vd c and Vd = (1+al^2)/2 - q t with q = (1-al)^2/(2 pi).",
    r"V = q s + \dot V c, \quad \dot V = \frac{1 + \alpha^2}{2} - q t, \quad q = \frac{(1 - \alpha)^2}{2\pi}",
    _ARC,
    ("leaky",),
    "max(z,0) + al min(z,0)",
)
ABS = _row(
    "abs",
    "The dual of the absolute value",
    "For phi(z) = |z|: V = (2/pi) (s + (pi/2 - t) c) and Vd = 1 - 2t/pi. V is even in c.",
    r"V = \frac{2}{\pi} \left(s + \left(\frac{\pi}{2} - t\right) c\right), \quad \dot V = 1 - \frac{2 t}{\pi}",
    _ARC,
    ("abs",),
    "|z|",
)
SIGN = _row(
    "sign",
    "The dual of the sign",
    "For phi(z) = sign z: V = 1 - 2t/pi and dV/dc = 2/(pi s), which is infinite at x = y: there is no tangent kernel "
    "through a sign layer.",
    r"V = 1 - \frac{2 t}{\pi}, \quad \frac{\partial V}{\partial c} = \frac{2}{\pi s}",
    _ARC,
    ("sign",),
    "sign z",
)
ERF = _row(
    "erf",
    "The dual of the error function",
    "For phi(z) = erf z: V = (2/pi) atan2(2c, D) and Vd = (4/pi)/D with D = sqrt((1+2a)(1+2b) - 4c^2).",
    r"V = \frac{2}{\pi} \arctan\frac{2c}{D}, \quad \dot V = \frac{4}{\pi D}, \quad D = \sqrt{(1+2a)(1+2b) - 4c^2}",
    Source("williams1996", "", "the form without cancellation is derived here", "standard"),
    ("erf",),
    "erf z",
)
GELU = _row(
    "gelu",
    "The dual of GELU",
    "For phi(z) = z Phi(z), Phi the normal distribution function: V = c/4 + (c G + 1/D + D (1 - r - q))/(2 pi) and "
    "Vd = 1/4 + (G + (c/D)(1/D^2 + r + q))/(2 pi) with D = sqrt((1+a)(1+b) - c^2), G = atan(c/D), r = 1/(1+a) and "
    "q = 1/(1+b).",
    r"V = \frac{c}{4} + \frac{1}{2\pi}\left(c\,\arctan\frac{c}{D} + \frac{1}{D} + D\left(1 - \frac{1}{1+a} - \frac{1}{1+b}\right)\right)",
    _HERE,
    ("gelu",),
    "z Phi(z)",
)
SINE = _row(
    "sin",
    "The dual of a sine wave",
    "For phi(z) = A sin(B z + C): V = (A^2/2)(s1 - s2) and Vd = (A^2 B^2/2)(s1 + s2) with s1 = exp(B^2 (c - (a+b)/2)) and "
    "s2 = cos(2C) exp(-B^2 (c + (a+b)/2)).",
    r"V = \frac{A^2}{2}\left(e^{B^2 (c - (a+b)/2)} - \cos(2C)\, e^{-B^2 (c + (a+b)/2)}\right)",
    _HERE,
    ("sin", "sine"),
    "A sin(B z + C)",
)
COSINE = _row(
    "cos",
    "The dual of a cosine wave",
    "For phi(z) = A cos(B z + C): V = (A^2/2)(s1 + s2) and Vd = (A^2 B^2/2)(s1 - s2) with s1 = exp(B^2 (c - (a+b)/2)) and "
    "s2 = cos(2C) exp(-B^2 (c + (a+b)/2)).",
    r"V = \frac{A^2}{2}\left(e^{B^2 (c - (a+b)/2)} + \cos(2C)\, e^{-B^2 (c + (a+b)/2)}\right)",
    _HERE,
    ("cos", "cosine"),
    "A cos(B z + C)",
)
RBF = _row(
    "rbf",
    "The activation behind the Gaussian kernel",
    "For phi(z) = sqrt(2) sin(sqrt(2 gam) z + pi/4): V = exp(-gam (a + b - 2c)), the Gaussian kernel of the vectors, and "
    "Vd = 2 gam V.",
    r"V = e^{-\gamma (a + b - 2c)}, \quad \dot V = 2 \gamma V",
    _HERE,
    ("rbf",),
    "sqrt(2) sin(sqrt(2 gam) z + pi/4)",
)
SCALED = Statement(
    key="iw.dual.scaled",
    title="The dual of a scaled and shifted activation",
    kind=Kind.IDENTITY,
    text="For A phi(B z) + k: V becomes A^2 V(B^2 a, B^2 b, B^2 c) + k A (E phi(B u) + E phi(B v)) + k^2 and Vd becomes "
    "A^2 B^2 Vd(B^2 a, B^2 b, B^2 c). Squared distances V(x,x) + V(y,y) - 2 V(x,y) do not depend on k." + _MEANING,
    latex=r"V \to A^2\, V(B^2 a, B^2 b, B^2 c) + k A\, \left(\mathbb{E}\phi(B u) + \mathbb{E}\phi(B v)\right) + k^2",
    source=(_HERE,),
    assumptions=(
        Assumption("activation", "A phi(B z) + k with phi in the table.", lambda s: isinstance(s.activation, Scaled)),
    ),
    function=_FUNCTION,
)

DUAL_ACTIVATIONS: tuple[Statement, ...] = (
    IDENTITY,
    RELU,
    ABRELU,
    LEAKY,
    ABS,
    SIGN,
    ERF,
    GELU,
    SINE,
    COSINE,
    RBF,
    SCALED,
)
