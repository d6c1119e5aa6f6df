"""C(M,n), the exact constant of relative-entropy bounds on M class frequencies, in float64 for any M and n.

C(M,n) = E exp(n KL(ph||p)) for the frequencies ph of n draws from any interior law p on M classes. It equals the multinomial's
normalised maximum likelihood sum, and C(1,n) = 1, C(2,n) = xi(n), C(k+2,n) = C(k+1,n) + (n/k) C(k,n): positive terms only, so
nothing cancels. Powers of two are split off on the way, because C overflows at large M.

Rounding, u = 2^-53: xi costs 8u (half an ulp for n <= 200); a single step k+1 -> k+2 adds u, a double step k -> k+2 adds 3u (the
quotient, the product, the sum) and one more where n is not a float: at most 2u for each of the M - 2 indices, so C is within
(2M + 4) u. In the logarithm that is an absolute error; ln and the parts of the sum add at most 4u of their own size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...theory.errors import InvalidInput
from ...theory.validation import sample_size
from .arithmetic import ULP
from .maurer import maurer_xi

LARGEST_CLASSES = 10**5  # one pass of the recurrence for each: a second at most
_BIG = 2.0**256


def nml(classes: int, n: ArrayLike) -> NDArray[np.float64]:
    """C(M,n) for M = `classes` and whole numbers n >= 1, elementwise, within M + 2 ulp; infinite where it overflows.

    Source: Shtarkov 1987 (the sum), Kontkanen and Myllymaki 2007 (the recurrence); both derived here (pb.nml).
    """
    mantissa, exponent = _scaled(classes, n)
    with np.errstate(over="ignore"):
        return np.ldexp(mantissa, exponent)


def nml_upper(classes: int, n: ArrayLike) -> NDArray[np.float64]:
    """C(M,n) rounded up: never below the exact value, at most 2M + 5 ulp above it. C(1,n) = 1 is exact."""
    value = nml(classes, n)
    return value if classes == 1 else value * (1 + (classes + 3) * ULP)


def log_nml(classes: int, n: ArrayLike) -> NDArray[np.float64]:
    """ln C(M,n), also where C overflows, within (M + 2) 2^-52 + 2 ulp."""
    mantissa, exponent = _scaled(classes, n)
    return np.log(mantissa) + np.log(2) * exponent


def log_nml_upper(classes: int, n: ArrayLike) -> NDArray[np.float64]:
    """ln C(M,n) rounded up, for the complexity of a bound: never below the exact value."""
    value = log_nml(classes, n)
    return value if classes == 1 else value * (1 + 3 * ULP) + (classes + 3) * ULP


def _scaled(classes: int, n: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """C(M,n) as mantissa * 2^exponent, the mantissa at least 1."""
    count = sample_size("classes", classes)
    if count > LARGEST_CLASSES:
        raise InvalidInput(f"classes is {count}.", f"At most {LARGEST_CLASSES} are supported; merge outcomes.")
    xi = maurer_xi(n)
    size = np.asarray(n, dtype=np.float64)
    exponent = np.zeros(np.shape(size), dtype=np.int64)
    before, current = np.ones_like(xi), xi
    if count == 1:
        return before, exponent
    for k in range(1, count - 1):
        before, current = current, current + (size / k) * before
        big = current > _BIG
        if np.any(big):
            scale = np.where(big, 1 / _BIG, 1.0)  # C increases in M by a factor below n + 1, so nothing underflows
            before, current, exponent = before * scale, current * scale, exponent + 256 * big
    return current, exponent  # what exceeds 2^256 still exceeds 1 once 2^256 is split off
