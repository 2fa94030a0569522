"""The cumulative logit of one row and its derivatives.

With u = alpha_y - eta, l = alpha_{y-1} - eta, F the logistic function, U = F(u) and L = F(l) (McCullagh 1980,
J. R. Stat. Soc. B 42), the logarithm of p = U - L = U (1 - L) (1 - e^(l - u)) has the derivatives used here:

    d/d eta = U + L - 1,    -d2/d eta2 = U(1 - U) + L(1 - L),
    d/d alpha_y = (1 - U) / ((1 - L)(1 - e^(l - u))),    d/d alpha_{y-1} = -L / (U (1 - e^(l - u))),

all free of differences of nearly equal numbers. l - u does not depend on eta, so that e^-|u|, e^-|l| and one
logarithm are all that a row costs.
"""

from dataclasses import dataclass

import numpy as np

from app.stats.lmm_design import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowTerms:
    """Per row (n,): log p, its derivative, curvature D and D's derivative in eta; U and L."""

    log_p: Floats
    first: Floats
    curvature: Floats
    third: Floats
    upper: Floats
    lower: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Edges:
    """Where each row is between its thresholds, (n,) each: u, l, log(1 - e^(l - u)), e^-|u|, e^-|l|."""

    high: Floats
    low: Floats
    log_gap: Floats
    e_high: Floats
    e_low: Floats


def edges(eta: Floats, category: Ints, group: Ints, alpha: Floats) -> Edges:
    """eta (n,), category (n,) 0..K-1, threshold group (n,), alpha (G, K-1) ascending in each row."""
    groups, cuts = alpha.shape
    outside = np.full((groups, 1), np.inf)
    padded = np.concatenate([-outside, alpha, outside], axis=1)
    log_gap = np.log(-np.expm1(-np.diff(padded, axis=1))).ravel()
    at = group * (cuts + 2) + category
    flat = padded.ravel()
    low, high = flat[at] - eta, flat[at + 1] - eta
    return Edges(
        high=high,
        low=low,
        log_gap=log_gap[group * (cuts + 1) + category],
        e_high=np.exp(-np.abs(high)),
        e_low=np.exp(-np.abs(low)),
    )


def row_terms(at: Edges) -> RowTerms:
    """What the search for the mode needs."""
    over_high, over_low = 1 / (1 + at.e_high), 1 / (1 + at.e_low)
    U = np.where(at.high >= 0, over_high, at.e_high * over_high)
    L = np.where(at.low >= 0, over_low, at.e_low * over_low)
    f_u, f_l = at.e_high * over_high**2, at.e_low * over_low**2
    log_p = np.minimum(at.high, 0) - np.maximum(at.low, 0) + np.log(over_high * over_low) + at.log_gap
    return RowTerms(
        log_p=log_p,
        first=U + L - 1,
        curvature=f_u + f_l,
        third=f_u * (2 * U - 1) + f_l * (2 * L - 1),
        upper=U,
        lower=L,
    )


def by_edges(at: Edges) -> tuple[Floats, Floats]:
    """Derivatives of log p in the threshold above and in the one below, (n,) each."""
    ratio = (1 + at.e_low) / (1 + at.e_high)
    above = np.minimum(-at.high, 0) + np.maximum(at.low, 0) - at.log_gap
    below = np.minimum(at.low, 0) - np.minimum(at.high, 0) - at.log_gap
    return np.exp(above) * ratio, -np.exp(below) / ratio


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
