"""Test-retest: how far one judge's repeated verdicts on the same question agree.

ICC = 1 - W / T, with W the pooled variance within repeats and T the variance of all verdicts: the share
of a judge's variance that a second draw repeats.
"""

import numpy as np
from numpy.typing import NDArray

from app.stats.errors import InsufficientData
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

MIN_REPEATED = 20


def retest_reliability(*, value: Floats, question: Ints, prompt: Ints, level: float = 0.95) -> Effect:
    """Reliability of a single verdict, 1 for a judge that always repeats itself.

    ``value``, ``question`` (same unit in the same presentation), ``prompt`` are (m,), one row per verdict.
    """
    codes, row = np.unique(question, return_inverse=True)
    counts = np.bincount(row).astype(float)
    repeated = counts >= 2
    n = int(repeated.sum())
    if n < MIN_REPEATED:
        raise InsufficientData("questions asked twice", n, MIN_REPEATED)
    mean = np.bincount(row, weights=value) / counts
    within = np.bincount(row, weights=(value - mean[row]) ** 2)
    square = np.bincount(row, weights=value**2)
    prompt_of = np.zeros(len(codes), dtype=np.int64)
    prompt_of[row] = prompt
    moments = np.column_stack([counts - 1, within, counts, counts * mean, square])[repeated]

    def icc(total: Floats) -> Floats:
        spread = total[:, 4] / total[:, 2] - (total[:, 3] / total[:, 2]) ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(spread > 1e-12, 1 - total[:, 1] / total[:, 0] / spread, np.nan)

    return cluster_jackknife(
        sums_by_prompt(moments, prompt_of[repeated]), icc, n=n, level=level, what="test-retest"
    )
