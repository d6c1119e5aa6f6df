"""Code lengths of quantised vectors and the weights they give, exactly: by log-gamma balls and the 2-adic valuation.

A whole number N with log2 N in a tiny ball around m is 2^m exactly iff 2^m divides N, which Legendre's formula for factorials decides;
so ceilings are decided without writing N down. The float code compares large integers instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import factorial, prod

from flint import arb, ctx, fmpz

from ..errors import InvalidInput, NumericalFailure

_MAXIMUM_BITS = 1 << 14


def _ceiling(log2: Callable[[], arb], power_of_two: Callable[[int], bool]) -> int:
    """The ceiling of log2(x); `power_of_two(m)` says whether x is 2^m, and is asked only where x is close to it."""
    bits = 128
    while bits <= _MAXIMUM_BITS:
        with ctx.workprec(bits):
            value = log2()
            found = value.ceil().unique_fmpz()
            if found is not None:
                return int(found)
            nearest = (value + 0.5).floor().unique_fmpz()
            if nearest is not None and value.rad() < arb(2) ** -60 and power_of_two(int(nearest)):
                return int(nearest)
        bits *= 2
    raise NumericalFailure("A code length lies too close to a whole number of bits.", "Change the number of levels.")


def _lgamma(m: int) -> arb:
    return arb(m + 1).lgamma()


def _twos_in_factorial(m: int) -> int:
    return m - m.bit_count()


def _log2_factorials(up: Sequence[int], down: Sequence[int]) -> Callable[[], arb]:
    def evaluate() -> arb:
        return (sum(map(_lgamma, up), arb(0)) - sum(map(_lgamma, down), arb(0))) / arb(2).log()

    return evaluate


def _factorial_ratio_bits(up: Sequence[int], down: Sequence[int]) -> int:
    """ceil(log2) of a whole number that is a product of factorials divided by others."""
    twos = sum(map(_twos_in_factorial, up)) - sum(map(_twos_in_factorial, down))
    return _ceiling(_log2_factorials(up, down), lambda m: twos == m)


def _entropy_bits(counts: Sequence[int]) -> int:
    """ceil(log2(d^d / prod c^c))."""
    entries = sum(counts)

    def log2() -> arb:
        d = arb(entries)
        return (d * d.log() - sum((arb(c) * arb(c).log() for c in counts if c), arb(0))) / arb(2).log()

    def power_of_two(m: int) -> bool:
        primes: Counter[int] = Counter()
        for base, sign in [(entries, 1), *((c, -1) for c in counts if c > 1)]:
            for prime, power in fmpz(base).factor():
                primes[int(prime)] += sign * int(power) * base
        return primes.pop(2, 0) == m and not any(primes.values())

    return _ceiling(log2, power_of_two)


def quantised_bits(counts: Sequence[int], bits_per_level: int, form: str) -> int:
    """The whole number of bits of the arithmetic or the enumerative code, levels and tables included."""
    entries, levels = sum(counts), len(counts)
    if entries < 1 or min(counts) < 0 or bits_per_level < 0 or form not in ("arithmetic", "enumerative"):
        raise InvalidInput(f"counts {counts!r}, {bits_per_level} bits, form {form!r}.", "They describe no code.")
    written = levels * bits_per_level
    if form == "arithmetic":
        width = next(b for b in range(entries.bit_length() + 1) if 2**b >= entries + 1)
        return written + levels * width + _entropy_bits(counts) + 2
    index = _factorial_ratio_bits([entries + levels - 1], [levels - 1, entries])
    return written + index + _factorial_ratio_bits([entries], list(counts))


def log_inv_weight_ball(
    bits: int, *, code: str = "prefix-free", choices: int = 1, permuted_widths: Sequence[int] = (), digits: int = 60
) -> arb:
    """bits ln 2, what naming the length costs, ln(choices), less ln of the number of permutations."""
    if bits < 1 or choices < 1 or any(h < 1 for h in permuted_widths):
        raise InvalidInput(f"{bits} bits, {choices} choices, widths {permuted_widths!r}.", "They are positive.")
    if code not in ("prefix-free", "basel", "published") or (code == "published" and bits < 2):
        raise InvalidInput(f"A code of the kind {code!r} with {bits} bits.", "It has no proper weight.")
    with ctx.workdps(digits + 20):
        total = bits * arb(2).log() + arb(choices).log() - sum(map(_lgamma, permuted_widths), arb(0))
        if code != "prefix-free":
            total += 2 * arb(bits).log() + (arb(0) if code == "published" else (arb.pi() ** 2 / 6).log())
        if total < 0:
            raise InvalidInput("More codes than there are of this length.", "The permutations cannot all be distinct.")
        return total


def codeword_mass(counts: Sequence[int], bits: int) -> tuple[int, int]:
    """How many vectors have these counts, and the 2^bits each of them weighs: for the sum in Kraft's inequality."""
    return factorial(sum(counts)) // prod(factorial(c) for c in counts), 2**bits
