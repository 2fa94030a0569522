"""Intervals for one new human grade that hold without believing the model's variances."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def conformal_quantile(*, residual: Floats, unit: NDArray[np.int64], level: float) -> float | None:
    """How many predicted standard deviations reach a new grade with probability ``level``.

    ``residual`` (k,) are absolute out-of-fold residuals of single grades over their predicted standard
    deviation, ``unit`` (k,) codes of the m units graded: a unit counts once however many grades
    it has. Returns None where m units are too few for a finite interval (m + 1 < 1 / (1 - level), so 19
    units are the least at 95%).

    Source: Vovk, Gammerman and Shafer (2005); the new unit is the (m + 1)-th, with an infinite residual.
    """
    _, code, counts = np.unique(unit, return_inverse=True, return_counts=True)
    m = len(counts)
    if m == 0 or m / (m + 1) < level - 1e-12:
        return None
    order = np.argsort(residual, kind="stable")
    mass = np.cumsum((1.0 / counts[code.ravel()])[order]) / (m + 1)
    return float(residual[order][min(int(np.searchsorted(mass, level - 1e-12)), len(order) - 1)])
