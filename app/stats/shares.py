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

MIN_PROMPTS = 2


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
    n, groups = len(hit), int(code.max()) + 1 if len(code) else 0
    if groups < MIN_PROMPTS:
        raise InsufficientData(f"prompts of {what}", groups, MIN_PROMPTS)
    p = float(np.mean(hit))
    residual = np.bincount(code, weights=hit - p, minlength=groups)
    variance = groups / (groups - 1) * float((residual**2).sum()) / n**2
    effective = float(groups) if p in (0.0, 1.0) else min(p * (1 - p) / max(variance, 1e-300), float(n))
    z = float(stats.t.ppf(0.5 + level / 2, groups - 1))
    centre = (p + z**2 / (2 * effective)) / (1 + z**2 / effective)
    half = z / (1 + z**2 / effective) * np.sqrt(p * (1 - p) / effective + z**2 / (4 * effective**2))
    low, high = max(0.0, centre - float(half)), min(1.0, centre + float(half))
    return Share(p, 0.0 if p == 0 else low, 1.0 if p == 1 else high, n, groups, effective)
