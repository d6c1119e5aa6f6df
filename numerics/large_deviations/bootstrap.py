"""The plug-in inverse rate of a sample with what limits it: saturation, effective sample size, bootstrap error bars. A diagnostic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...theory.errors import InvalidInput
from ...theory.statement import Kind
from ...theory.validation import finite
from .inverse_rate import inverse_rate
from .laws import FiniteLaw, saturation

_BLOCK = 1 << 17  # losses drawn at once: temporaries of this size stay in a core's cache


@dataclass(frozen=True)
class PlugIn:
    """The plug-in Iinv(s) of N losses. Never a certificate (`kind` says so): it is optimistic on average and knows nothing beyond `limit`.

    `limit` is ln(N/number of smallest losses): from there on `saturated`, and `value` is mean - minimum. `effective` is the effective sample size
    of the tilted weights. `low` and `high` are bootstrap percentiles at `level` (NaN where saturated: resamples share the minimum and their
    spread means nothing), `standard_error` the bootstrap's, `saturated_share` the share of resamples that saturate.
    """

    value: float
    tilt: float
    saturated: bool
    effective: float
    limit: float
    low: float
    high: float
    standard_error: float
    saturated_share: float
    level: float
    kind: Kind = Kind.ORACLE


def plug_in(losses: ArrayLike, s: float, *, resamples: int = 200, level: float = 0.95, seed: int = 0) -> PlugIn:
    """Plug-in inverse rate of a sample with error bars.

    losses: one row of N losses of fresh examples (float64 inside). s: nats for each example. resamples: bootstrap samples (0 for none);
    level: of the percentile interval; seed: explicit. If the same losses also serve to show "bound against test loss", the comparison is
    circular. Raises `InvalidInput`. Statement pb.cgf_estimation.
    """
    x = finite("losses", losses, ndim=1)
    if not 0 < level < 1 or resamples < 0 or int(resamples) != resamples:
        raise InvalidInput(f"level is {level}, resamples {resamples}.", "A level in (0, 1) and a whole number.")
    law = FiniteLaw(x)
    found = inverse_rate(law, s)
    value, tilt, effective = (float(np.ravel(part)[0]) for part in (found.value, found.tilt, found.effective))
    saturated = bool(np.ravel(found.saturated)[0])
    low = high = error = share = float("nan")
    if resamples and not saturated:
        rng, rows, done = np.random.default_rng(seed), [], 0
        flags = []
        while done < resamples:
            count = min(resamples - done, max(1, _BLOCK // x.size))
            again = inverse_rate(x[rng.integers(0, x.size, (count, x.size))], s)
            rows.append(again.value)
            flags.append(again.saturated)
            done += count
        values = np.concatenate(rows)
        low, high = (float(q) for q in np.quantile(values, [(1 - level) / 2, (1 + level) / 2]))
        error, share = float(values.std(ddof=1)) if resamples > 1 else float("nan"), float(np.concatenate(flags).mean())
    return PlugIn(value, tilt, saturated, effective, float(saturation(law)[0]), low, high, error, share, level)
