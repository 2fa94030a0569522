"""The cumulative logit of one row and its derivatives.

With U = F(alpha_y - eta), L = F(alpha_{y-1} - eta) and F the logistic function (McCullagh 1980, J. R. Stat.
Soc. B 42), the logarithm of p = U - L has the derivatives used here:

    d/d eta = U + L - 1,    -d2/d eta2 = U(1 - U) + L(1 - L),
    d/d alpha_y = (1 - U) / ((1 - L)(1 - e^(l - u))),    d/d alpha_{y-1} = -L / (U (1 - e^(l - u))),

all free of differences of nearly equal numbers.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit

from app.stats.lmm_design import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowTerms:
    """Per row (n,): log p, its derivative, curvature D and D's derivative in eta; U, L and their densities;
    derivatives in the thresholds above and below.
    """

    log_p: Floats
    first: Floats
    curvature: Floats
    third: Floats
    upper: Floats
    lower: Floats
    upper_density: Floats
    lower_density: Floats
    by_upper: Floats
    by_lower: Floats


def row_terms(eta: Floats, category: Ints, group: Ints, alpha: Floats) -> RowTerms:
    """eta (n,), category (n,) 0..K-1, threshold group (n,), alpha (G, K-1) ascending in each row."""
    n_thresholds = alpha.shape[1]
    padded = np.concatenate(
        [np.full((len(alpha), 1), -np.inf), alpha, np.full((len(alpha), 1), np.inf)], axis=1
    ).ravel()
    at = group * (n_thresholds + 2) + category
    low, high = padded[at] - eta, padded[at + 1] - eta
    U, L = expit(high), expit(low)
    with np.errstate(invalid="ignore"):
        gap = -np.expm1(np.where(np.isfinite(low) & np.isfinite(high), low - high, -np.inf))
    f_u, f_l = U * expit(-high), L * expit(-low)
    return RowTerms(
        log_p=log_expit(high) + log_expit(-low) + np.log(gap),
        first=U + L - 1,
        curvature=f_u + f_l,
        third=-(f_u * (1 - 2 * U) + f_l * (1 - 2 * L)),
        upper=U,
        lower=L,
        upper_density=f_u,
        lower_density=f_l,
        by_upper=np.exp(log_expit(-high) - log_expit(-low)) / gap,
        by_lower=-np.exp(log_expit(low) - log_expit(high)) / gap,
    )


def thresholds(tau: Floats) -> Floats:
    """Ascending thresholds (G, K-1) from the first and the logarithms of the increments."""
    return np.cumsum(np.concatenate([tau[:, :1], np.exp(tau[:, 1:])], axis=1), axis=1)


def tau_of(alpha: Floats) -> Floats:
    """Inverse of `thresholds`."""
    return np.concatenate([alpha[:, :1], np.log(np.diff(alpha, axis=1))], axis=1)


def by_tau(tau: Floats, by_alpha: Floats) -> Floats:
    """Gradient in tau from that in the thresholds; both (G, K-1)."""
    tail = np.cumsum(by_alpha[:, ::-1], axis=1)[:, ::-1]
    scale = np.concatenate([np.ones((len(tau), 1)), np.exp(tau[:, 1:])], axis=1)
    return np.asarray(tail * scale)
