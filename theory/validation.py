"""Checks of user input that are shared by every public function: each raises `InvalidInput` with advice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInput


def float_array(name: str, value: Any, *, ndim: int | None = None) -> NDArray[np.float64]:
    """`value` as a float64 array without NaN; a wrong number of dimensions is an error.

    Nothing is rounded on the way in: a Fraction, Decimal, long integer or long double that is no float64 is refused, since nobody but
    the caller knows which side is safe (a risk must go up for an upper bound and down for a lower one). Words are read as Python
    reads them: "0.1" is the float 0.1.
    """
    try:
        given = np.asarray(value)
        if np.ma.isMaskedArray(value) or given.dtype.kind in "cMm":
            # float64 would silently show what was masked, or drop the imaginary part
            raise InvalidInput(f"{name} is masked, complex or a date.", "Pass an ordinary array of real numbers.")
        array = np.asarray(value, dtype=np.float64)
        rounded = _rounded(given, array)
    except InvalidInput:
        raise
    except RuntimeError as error:  # a torch tensor that requires a gradient, or lives on another device
        raise InvalidInput(f"{name} cannot be read as an array: {error}", "Pass tensor.detach().cpu().") from error
    except (TypeError, ValueError, OverflowError, ArithmeticError) as error:
        raise InvalidInput(
            f"{name} is not numeric ({type(value).__name__}).", "Pass numbers or an array of numbers."
        ) from error
    if rounded is not None:
        raise InvalidInput(
            f"{name} is {rounded!r}, which no float64 is.",
            "Round it to the safe side first, with math.nextafter where float() errs: risks, divergences and ln(1/delta) upwards, "
            "delta downwards (and a risk downwards for the sake of a lower bound).",
        )
    if np.isnan(array).any():
        raise InvalidInput(
            f"{name} contains NaN.", "Find where the NaN comes from; no number can be certified from it."
        )
    if ndim is not None and array.ndim != ndim:
        wanted = "one number" if ndim == 0 else f"an array of {ndim} dimension(s)"
        raise InvalidInput(f"{name} has shape {array.shape}.", f"Pass {wanted}.")
    return array


def _rounded(given: NDArray[Any], array: NDArray[np.float64]) -> Any:
    """The first entry of `given` that its float64 is not; None where all are exact (NaN is none of this function's business)."""
    kind, size = given.dtype.kind, given.dtype.itemsize
    if kind == "O" or (kind in "iu" and given.size and max(abs(int(given.min())), abs(int(given.max()))) > 2**53):
        for x, y in zip(given.ravel().tolist(), array.ravel().tolist(), strict=True):
            if not isinstance(x, str | float) and x != y and y == y:
                return x
    if kind == "f" and size > 8:
        for x, y in zip(given.ravel(), array.ravel(), strict=True):
            if x != y and y == y:
                return x
    return None


def unit_interval(name: str, value: Any) -> NDArray[np.float64]:
    """`value` as a float64 array in [0, 1]."""
    array = float_array(name, value)
    if array.size and (array.min() < 0 or array.max() > 1):
        raise InvalidInput(
            f"{name} lies outside [0, 1] (from {array.min():g} to {array.max():g}).",
            "Rescale a loss in [a, b] to (loss - a) / (b - a) first, and map the bound back.",
        )
    return array


def non_negative(name: str, value: Any) -> NDArray[np.float64]:
    """`value` as a float64 array with entries in [0, inf]."""
    array = float_array(name, value)
    if array.size and array.min() < 0:
        raise InvalidInput(f"{name} is negative ({array.min():g}).", "It must be zero or larger (infinity is allowed).")
    return array


def finite(name: str, value: Any, *, ndim: int | None = None) -> NDArray[np.float64]:
    """`value` as a float64 array without NaN or infinity."""
    if (
        type(value) is np.ndarray
        and value.dtype == np.float64
        and ndim in (None, value.ndim)
        and np.isfinite(value).all()
    ):
        return value  # called millions of times with what is right already
    if type(value) is float and not ndim and math.isfinite(value):
        return np.asarray(value)
    array = float_array(name, value, ndim=ndim)
    if not np.isfinite(array).all():
        raise InvalidInput(f"{name} contains an infinity.", "Pass finite numbers.")
    return array


def sample_size(name: str, value: Any) -> int:
    """`value` as an integer from 1 to 2^53, beyond which float64 would round it (perhaps upward, which n must not be)."""
    number = float(float_array(name, value, ndim=0))
    if isinstance(value, bool) or not 1 <= number <= 2**53 or number != int(number):
        raise InvalidInput(f"{name} is {value!r}.", "It must be a whole number from 1 to 2^53.")
    return int(number)


def whole_number(name: str, value: Any) -> int:
    """`value` as an integer of at least 1, of any size: for what is computed exactly. A float is taken at its exact value."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise InvalidInput(f"{name} is {value!r}.", "It must be a whole number of at least 1.")
    if not math.isfinite(value) or value != int(value) or value < 1:
        raise InvalidInput(f"{name} is {value!r}.", "It must be a whole number of at least 1.")
    return int(value)


def flag(name: str, value: Any) -> bool:
    """`value` as a truth value. Words are refused: "False" would count as true."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidInput(f"{name} is {value!r}.", "It is True or False (in JSON: true or false).")
    return bool(value)


def log_inverse_delta(delta: Any = None, log_inv_delta: Any = None, *, name: str = "delta") -> float:
    """ln(1/delta), rounded up, from exactly one of the two ways to state a confidence level; `log_inv_delta` may be 1e300."""
    if (delta is None) == (log_inv_delta is None):
        raise InvalidInput(f"Give exactly one of {name} and log_inv_{name}.", f"For example {name}=0.05.")
    if delta is not None:
        value = float(finite(name, delta, ndim=0))
        if not 0 < value < 1:
            raise InvalidInput(
                f"{name} is {value:g}.",
                f"It must lie strictly between 0 and 1; for very small ones pass log_inv_{name}.",
            )
        return math.nextafter(-math.log(value), math.inf)  # the logarithm is within an ulp: never spend more than delta
    value = float(finite(f"log_inv_{name}", log_inv_delta, ndim=0))
    if value <= 0:
        raise InvalidInput(f"log_inv_{name} is {value:g}.", f"It is ln(1/{name}) and must be positive.")
    return value
