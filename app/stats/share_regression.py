"""Ridge regression of shares (grades of 0 to 1) on their log odds, for many training sets and penalties.

Quasi-likelihood of a fractional response (Papke & Wooldridge 1996) with a squared penalty, by Newton steps.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_STEPS = 25
_FAR = 30.0  # log odds beyond which a share is 0 or 1
_ENOUGH = 1e-6


def share_of(log_odds: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -_FAR, _FAR))))


def log_odds_of(share: Floats) -> Floats:
    return np.asarray(np.log(share) - np.log1p(-share))


def fit_shares(*, x: Floats, y: Floats, offset: Floats, used: NDArray[np.bool_], ridge: Floats) -> Floats:
    """(K, P, q) coefficients of log odds = offset + x b.

    Parameters
    ----------
    x, y : (m, q), (m,)
        Features (a column of ones for an intercept) and shares in [0, 1].
    offset, used : (K, m)
        Per training set: known part of the log odds, and which rows it holds.
    ridge : (P, q)
        Penalty on the square of every coefficient, in rows; infinite where a coefficient is held at 0.
    """
    sets, penalties, q = used.shape[0], ridge.shape[0], x.shape[1]
    out = np.zeros((sets, penalties, q))
    for p in range(penalties):
        free = np.isfinite(ridge[p])
        columns, penalty = x[:, free], np.diag(2.0 * ridge[p, free])
        b = np.zeros((sets, int(free.sum())))
        for _ in range(_STEPS):
            share = share_of(offset + b @ columns.T)
            curvature = np.where(used, np.maximum(share * (1.0 - share), 1e-4), 0.0)
            gram = columns.T @ (curvature[:, :, None] * columns) + penalty
            slope = np.where(used, y - share, 0.0) @ columns - b @ penalty
            step = np.linalg.solve(gram, slope[:, :, None])[:, :, 0]
            b = b + np.clip(step, -2.0, 2.0)
            if np.abs(step).max(initial=0.0) < _ENOUGH:
                break
        out[:, p][:, free] = b
    return out
