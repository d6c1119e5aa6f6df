"""Code lengths of quantised networks, and the Occam bound that they give (pb.compression)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ...theory.errors import InvalidInput
from ...theory.statements.pac_bayes.held_out import COMPRESSION
from ...theory.validation import flag, float_array, sample_size
from ..certified.binomial_tail import binomial_upper
from ..certified.code_lengths import (
    arithmetic_bits,
    arrangement_bits,
    basel_up,
    count_index_bits,
    log_permutations_down,
    table_bits,
)
from ..certified.outward import add_up, log_up, mul_up
from .certificate import Certificate
from .held_out import QUANTITY, error_count
from .issue import issue, scalar, spend
from .occam import EVENT

FORMS = ("enumerative", "arithmetic")
LENGTH_PRIORS = ("basel", "published")
Form = Literal["enumerative", "arithmetic"]


def quantised_code_bits(level_counts: Sequence[int], *, bits_per_level: int = 16, form: Form = "enumerative") -> int:
    """Bits of a prefix-free code for a vector whose d entries take L values: the levels, how often each occurs, and the vector given that.

    Parameters
    ----------
    level_counts: how many entries sit at each of the L levels (0 is allowed); d is their sum. d and L are fixed in advance or paid for.
    bits_per_level: bits in which each level is written down (16: half precision).
    form: "arithmetic": frequency table L ceil(log2(d+1)) and arithmetic code ceil(d H) + 2, H in bits; "enumerative", never longer by
        more than rounding: ceil(log2 C(d+L-1, L-1)) and ceil(log2 (d!/prod c_j!)). Without the table nobody could decode.
    """
    counts, levels = _counts(level_counts), _whole("bits_per_level", bits_per_level, 0)
    if form not in FORMS:
        raise InvalidInput(f"form is {form!r}.", f"Choose one of {FORMS}.")
    entries, written = sum(counts), len(counts) * levels
    if form == "arithmetic":
        return written + table_bits(entries, len(counts)) + arithmetic_bits(counts)
    return written + count_index_bits(entries, len(counts)) + arrangement_bits(counts)


def code_log_inv_weight(
    bits: int,
    *,
    prefix_free: bool = True,
    length_prior: Literal["basel", "published"] = "basel",
    choices: int = 1,
    permuted_widths: Sequence[int] = (),
) -> float:
    """ln(1/w) in nats, rounded up, of a predictor with a codeword of `bits` bits.

    Parameters
    ----------
    bits: length of the codeword (bits, not nats: it is multiplied by ln 2 here).
    prefix_free: False for a message whose end must be known from elsewhere, such as a file; its length b is then paid with
        2 ln b + ln(pi^2/6) ("basel"), or 2 ln b ("published", a proper weight for lengths of at least 2 only).
    choices: number of options (hyper-parameters, codes, sizes) among which was chosen after looking: ln(choices) more.
    permuted_widths: widths h of hidden layers whose units may be permuted freely: codes of the same length that decode to the same
        predictor pool their weight, ln(h!) less each. Only if the units of a layer are distinct.
    """
    length = _whole("bits", bits, 1)
    if length_prior not in LENGTH_PRIORS:
        raise InvalidInput(f"length_prior is {length_prior!r}.", f"Choose one of {LENGTH_PRIORS}.")
    parts = [mul_up(float(length), log_up(2.0)), log_up(float(_whole("choices", choices, 1)))]
    if not flag("prefix_free", prefix_free):
        published = length_prior == "published"
        if published and length < 2:
            raise InvalidInput("A length of 1 has no share in weights 1/b^2.", 'Use length_prior="basel".')
        parts.append(basel_up(length, published=published))
    credit = log_permutations_down(_widths(permuted_widths))
    total = add_up(*parts, -credit)
    if total < 0:
        raise InvalidInput(
            f"Permutations of {tuple(permuted_widths)} units outnumber the codes of {length} bits.",
            "So many codes cannot all decode to one predictor.",
        )
    return total


def compression_bound(
    *,
    errors: int,
    n: int,
    level_counts: Sequence[int] | None = None,
    bits_per_level: int = 16,
    form: Form = "enumerative",
    message_bits: int | None = None,
    prefix_free: bool = True,
    length_prior: Literal["basel", "published"] = "basel",
    choices: int = 1,
    permuted_widths: Sequence[int] = (),
    delta: float | None = None,
    log_inv_delta: float | None = None,
) -> Certificate:
    """Certificate for the true 0-1 risk of a compressed network: the exact binomial limit at level delta times its weight.

    errors, n: wrong answers among the n training examples. Give either `level_counts` (with `bits_per_level` and `form`, see
    `quantised_code_bits`) or `message_bits`, the length of any other description; `prefix_free`, `length_prior`, `choices` and
    `permuted_widths` as in `code_log_inv_weight`. The decoder was fixed before the examples were seen. Raises `InvalidInput`.
    Source: Zhou et al. 2019; Lotfi et al. 2022; the frequency table, enumerative code and constants are derived here.
    """
    k, size = error_count(errors, n), sample_size("n", n)
    given: dict[str, Any] = {"errors": k, "n": size}
    if (level_counts is None) == (message_bits is None):
        raise InvalidInput("Give exactly one of level_counts and message_bits.", "They describe the same codeword.")
    if level_counts is not None:
        if not flag("prefix_free", prefix_free):
            raise InvalidInput("The code of a quantised vector is prefix-free.", "Leave prefix_free=True.")
        bits = quantised_code_bits(level_counts, bits_per_level=bits_per_level, form=form)
        given |= {"level_counts": tuple(_counts(level_counts)), "bits_per_level": int(bits_per_level), "form": form}
    else:
        bits = _whole("message_bits", message_bits, 1)
        given |= {"message_bits": bits, "code": "prefix-free" if prefix_free else length_prior}
    inverse_weight = code_log_inv_weight(
        bits,
        prefix_free=prefix_free,
        length_prior=length_prior,
        choices=choices,
        permuted_widths=permuted_widths,
    )
    spent = spend(EVENT, delta, log_inv_delta)
    value = float(binomial_upper(k, size, log_inv_delta=add_up(inverse_weight, spent.log_inv_delta)))
    given |= {"choices": int(choices), "permuted_widths": tuple(_widths(permuted_widths))}
    return issue(
        COMPRESSION,
        value,
        quantity=QUANTITY,
        spent=(spent,),
        inputs={**given, "log_inv_delta": spent.log_inv_delta},
    )


def _whole(name: str, value: Any, least: int) -> int:
    """A whole number of at least `least`, at most 2^53."""
    try:
        number = float(float_array(name, scalar(name, value)))
        whole = not isinstance(value, bool) and number == int(number) and least <= number <= 2**53
    except (ValueError, OverflowError):
        whole = False
    if not whole:
        raise InvalidInput(f"{name} is {value!r}.", f"It must be a whole number from {least} to 2^53.")
    return int(number)


def _counts(level_counts: Sequence[int]) -> list[int]:
    if isinstance(level_counts, str) or not np.iterable(level_counts) or not len(list(level_counts)):
        raise InvalidInput(f"level_counts is {level_counts!r}.", "Give the number of entries at each level.")
    counts = [_whole("level_counts", c, 0) for c in level_counts]
    _whole("the number of entries", sum(counts), 1)
    return counts


def _widths(widths: Sequence[int]) -> list[int]:
    if isinstance(widths, str) or not np.iterable(widths):
        raise InvalidInput(
            f"permuted_widths is {widths!r}.", "Give the width of each hidden layer, for example (300, 100)."
        )
    return [_whole("permuted_widths", h, 1) for h in widths]
