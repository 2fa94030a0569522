"""Adjusted p-values for many rows at once."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Adjustment = Literal["holm", "bh"]


def holm(p: Floats) -> Floats:
    """Holm (1979): reject where the result is at most alpha, and the chance of any false claim is at most
    alpha.

    ``p`` (m,) in [0, 1]; NaN stays NaN and does not count.
    """
    return _stepwise(p, lambda ordered, m: np.maximum.accumulate((m - np.arange(m)) * ordered))


def benjamini_hochberg(p: Floats) -> Floats:
    """Benjamini & Hochberg (1995): the expected share of false claims among claims is at most alpha.

    ``p`` (m,) in [0, 1], independent or positively dependent; NaN stays NaN and does not count.
    """

    def adjust(ordered: Floats, m: int) -> Floats:
        scaled: Floats = ordered * m / np.arange(1, m + 1)
        return np.minimum.accumulate(scaled[::-1])[::-1]

    return _stepwise(p, adjust)


def adjusted_p(p: Floats, adjustment: Adjustment) -> Floats:
    """`holm` or `benjamini_hochberg`, by its short name."""
    return holm(p) if adjustment == "holm" else benjamini_hochberg(p)


def _stepwise(p: Floats, adjust: Callable[[Floats, int], Floats]) -> Floats:
    known = ~np.isnan(p)
    out = np.full(p.shape, np.nan)
    values = p[known]
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(adjust(values[order], values.size), 1.0)
    out[known] = adjusted
    return out
