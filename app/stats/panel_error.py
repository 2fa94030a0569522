"""How far the panel will be from the people on a unit nobody has graded: predicted squared error.

Squared residuals of graded units are regressed on what is known of every unit (a constant, the judges'
disagreement, the fit's own variance) with coefficients that cannot be negative: more disagreement never
means less error. With few graded units the prediction leans on the mean of the features.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]

_HALF_TRUSTED = 40.0  # graded units at which the regression and the plain mean count alike
_LEAST = 0.1  # of the mean: no unit is taken to be sure


def predicted_error(
    *, disagreement: Floats, variance: Floats, residual: Floats | None = None, noise: float = 0.0
) -> Floats:
    """Predicted E[(Y - f)^2] of every unit.

    Parameters
    ----------
    disagreement : (n,)
        Variance among the unit's judges, NaN unknown.
    variance : (n,)
        The fit's own variance of the unit's quality, NaN unknown.
    residual : (n,)
        Human grade less prediction, NaN where there is no grade. Predictions must not have seen the grade.
    noise : float
        Variance of the human grades around their mean, which no choice of units can lower; it is counted in,
        since a grade that is drawn carries it.

    Returns
    -------
    (n,) positive. Without any residual up to a common factor only.
    """
    n = disagreement.size
    columns = [np.ones(n), *(_scaled(column) for column in (disagreement, variance))]
    features = np.stack([column for column in columns if column is not None]).T
    known = np.zeros(n, bool) if residual is None else np.isfinite(residual)
    plain = features.mean(axis=1)
    if known.sum() < 10 or residual is None:
        return np.asarray(plain)
    squares = residual[known] ** 2
    coefficients, _ = nnls(features[known], squares)
    trust = known.sum() / (known.sum() + _HALF_TRUSTED)
    mean = float(squares.mean())
    fitted = trust * (features @ coefficients) + (1 - trust) * mean * plain / max(plain[known].mean(), 1e-12)
    return np.asarray(np.maximum(fitted, max(_LEAST * mean, noise, 1e-9)))


def _scaled(column: Floats) -> Floats | None:
    """Over its mean, with the mean where unknown; None if it says nothing."""
    known = np.isfinite(column)
    if not known.any() or column[known].max() <= 0:
        return None
    mean = float(column[known].mean())
    return np.asarray(np.where(known, column, mean) / mean)
