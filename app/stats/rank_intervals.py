"""Intervals for the ranks of many systems: Mogstad, Romano, Shaikh & Wilhelm (2024), "Inference for ranks".

The interval of a system holds 1 + (systems shown to be stronger) to S - (systems shown to be weaker), all its
differences from the others tested together by the maximum of their |t|: it holds the true rank with at least
the level.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DRAWS = 4_000  # of the maximum of |t|: its 95% quantile is then known to 0.02


def rank_intervals(
    strength: Floats,
    covariance: Floats,
    freedom: Callable[[Floats], Floats],
    *,
    level: float,
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:
    """Lowest and highest rank (S,) of each; 1 is the strongest.

    ``covariance`` (S, S) of ``strength`` (S,); ``freedom``: contrasts (C, S) to degrees of freedom (C,).
    Each |t| is read as the normal deviate of the same p, against the quantile of the maximum of normal ones.
    """
    s = strength.size
    values, vectors = np.linalg.eigh(covariance)
    draws = rng.standard_normal((_DRAWS, s)) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    low, high = np.ones(s, np.int64), np.full(s, s, np.int64)
    for i in range(s):
        others = np.delete(np.arange(s), i)
        contrasts = np.zeros((s - 1, s))
        contrasts[np.arange(s - 1), others], contrasts[:, i] = 1.0, -1.0
        spread = np.einsum("ci,ij,cj->c", contrasts, covariance, contrasts)
        se = np.sqrt(np.maximum(spread, 1e-24))
        most = np.quantile(np.abs((draws[:, others] - draws[:, [i]]) / se).max(1), level)
        lead = strength[others] - strength[i]
        deviate = -ndtri(np.maximum(stdtr(freedom(contrasts), -np.abs(lead) / se), 1e-300))
        low[i] += int(((lead > 0) & (deviate > most)).sum())
        high[i] -= int(((lead < 0) & (deviate > most)).sum())
    return low, high


def ranks(strength: Floats) -> Ints:
    """(S,) 1 for the strongest; equal ones share a rank."""
    return np.asarray(1 + (strength[None, :] > strength[:, None] + 1e-9).sum(1))
