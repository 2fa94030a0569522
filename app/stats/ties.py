"""Win, tie and loss from one signed preference: a probit model with symmetric cutpoints.

With eta the latent advantage and k half the width of a tie, P(win) = Phi(eta - k) and
P(loss) = Phi(-eta - k); a signed preference is P(win) - P(loss).
"""

from math import erf, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_WIDEST = 4.0


def _phi(x: float) -> float:
    return 0.5 * (1.0 + erf(x / sqrt(2.0)))


def tie_probability(preference: float, width: float) -> float:
    """P(tie) of a pair with expected signed verdict ``preference`` in [-1, 1] and cutpoints +-``width``."""
    if width <= 0.0:
        return 0.0
    target, low, high = min(abs(preference), 1.0), 0.0, 12.0
    for _ in range(40):
        middle = (low + high) / 2
        if _phi(middle - width) - _phi(-middle - width) < target:
            low = middle
        else:
            high = middle
    return max(0.0, 1.0 - _phi(low - width) - _phi(-low - width))


def fit_tie_width(*, preference: Floats, tie_share: float) -> float:
    """The width whose mean tie probability over anchored pairs' ``preference`` (k,) is ``tie_share``."""
    if tie_share <= 0.0:
        return 0.0
    grid = np.quantile(np.abs(preference), (np.arange(41) + 0.5) / 41)
    low, high = 0.0, _WIDEST
    for _ in range(30):
        middle = (low + high) / 2
        if float(np.mean([tie_probability(float(p), middle) for p in grid])) < tie_share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
