"""A share among answers that may share prompts, with an interval that holds near 0 and 1.

Wilson's score interval at the effective size n_eff = p (1 - p) / V, with V the cluster-robust variance of the
mean (Liang & Zeger 1986, times G / (G - 1)) and t_{G-1} in place of z; where every answer is alike V is 0
and says nothing, so there each prompt counts once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from app.stats.errors import InsufficientData
from app.stats.grouped import sum_by

MIN_PROMPTS = 2
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Share:
    """``estimate``, ``low``, ``high`` in [0, 1]; of ``n`` answers to ``prompts`` prompts, which count as
    ``effective`` independent ones."""

    estimate: float
    low: float
    high: float
    n: int
    prompts: int
    effective: float


@dataclass(frozen=True, slots=True)
class Shares:
    """One share per group, all (groups,). ``estimate`` is NaN where ``n`` is 0, ``low``, ``high`` and
    ``effective`` where ``prompts`` is below `MIN_PROMPTS`."""

    estimate: Floats
    low: Floats
    high: Floats
    n: Ints
    prompts: Ints
    effective: Floats


def share_of(
    hit: NDArray[np.bool_], prompt: NDArray[np.integer], *, level: float = 0.95, what: str = "answers"
) -> Share:
    """The share of ``hit`` (n,) among answers with prompt codes ``prompt`` (n,).

    Raises
    ------
    InsufficientData
        With answers to fewer than two prompts.
    """
    _, code = np.unique(prompt, return_inverse=True)
    size = np.bincount(code)
    if len(size) < MIN_PROMPTS:
        raise InsufficientData(f"prompts of {what}", len(size), MIN_PROMPTS)
    hits = sum_by(code, hit.astype(float))
    one = shares_by(hits=hits, size=size, group=np.zeros(len(size), np.int64), groups=1, level=level)
    return Share(
        float(one.estimate[0]), float(one.low[0]), float(one.high[0]), int(one.n[0]), int(one.prompts[0]),
        float(one.effective[0]),
    )  # fmt: skip


def shares_by(*, hits: Floats, size: Ints, group: Ints, groups: int, level: float = 0.95) -> Shares:
    """The share of every group from its prompts: ``hits`` of ``size`` answers each, all (prompts,).

    A prompt with answers in two groups is an entry in both; entries without answers do not count.
    """
    n = sum_by(group, size.astype(float), groups)
    prompts = np.bincount(group, weights=size > 0, minlength=groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = sum_by(group, hits, groups) / n
        squares = sum_by(group, (hits - np.nan_to_num(p)[group] * size) ** 2, groups)
        variance = np.maximum(prompts / (prompts - 1) * squares / n**2, 1e-300)
        alike = (p == 0) | (p == 1)
        effective = np.where(alike, prompts, np.minimum(p * (1 - p) / variance, n))
        effective[prompts < MIN_PROMPTS] = np.nan
        low, high = wilson(p, effective, np.asarray(stats.t.ppf(0.5 + level / 2, prompts - 1)))
    known = np.isfinite(effective)
    return Shares(
        estimate=p,
        low=np.where(known & (p == 0), 0.0, low),
        high=np.where(known & (p == 1), 1.0, high),
        n=n.astype(np.int64),
        prompts=prompts.astype(np.int64),
        effective=effective,
    )


def wilson(p: Floats, n: Floats, z: Floats) -> tuple[Floats, Floats]:
    """Ends of Wilson's score interval of shares ``p`` of ``n`` independent ones, at quantiles ``z``."""
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return np.maximum(0.0, centre - half), np.minimum(1.0, centre + half)
