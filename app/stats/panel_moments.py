"""Means and covariances of judges who each saw only some of the units.

Panels are drawn at random, so judges are missing by design (missing at random) and the normal
likelihood of what was observed is the right one. Rows enter only through the sums of each
missingness pattern: an EM step costs the same for a thousand units as for a million.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MEAN_CORRELATION_UNKNOWN = 0.5  # used only where no two judges share a unit; callers are told


@dataclass(frozen=True, slots=True)
class Patterns:
    """Units grouped by which judges scored them, each group as its sums.

    ``size[k]`` says how many judges the patterns of block k have; per block with P patterns:
    ``members[k]`` int (P, size), ``count[k]`` float (P,), ``total[k]`` float (P, size) sums of
    scores, ``cross[k]`` float (P, size, size) sums of products. ``judges`` is J.
    """

    judges: int
    members: tuple[Ints, ...]
    count: tuple[Floats, ...]
    total: tuple[Floats, ...]
    cross: tuple[Floats, ...]

    @property
    def units(self) -> float:
        return float(sum(count.sum() for count in self.count))

    def overlaps(self) -> Floats:
        """float (J, J): units that both judges scored; the diagonal has each judge's units."""
        shared = np.zeros((self.judges, self.judges))
        for members, count in zip(self.members, self.count, strict=True):
            rows, columns = members[:, :, None], members[:, None, :]
            np.add.at(
                shared,
                (rows, columns),
                np.broadcast_to(count[:, None, None], (*rows.shape[:2], rows.shape[1])),
            )
        return shared


@dataclass(frozen=True, slots=True)
class Moments:
    """``mean`` (J,), ``covariance`` (J, J) positive definite, and what the iterations did.

    ``overlaps`` (J, J) are shared units; pairs without any have a covariance that rests on the
    mean correlation of the others (``mean_correlation``), never on data of their own.
    ``connected`` is False if no two judges share a unit, so that the mean correlation is a guess.
    """

    mean: Floats
    covariance: Floats
    overlaps: Floats
    mean_correlation: float
    connected: bool
    iterations: int
    converged: bool
    log_likelihood: float


def group_patterns(*, unit: Ints, judge: Ints, value: Floats, judges: int) -> Patterns:
    """Group cells (one per unit and judge, any order, no duplicates) by the unit's set of judges.

    ``unit`` and ``judge`` are codes (c,), ``value`` (c,) scores without NaN.
    """
    order = np.lexsort((judge, unit))
    unit, judge, value = unit[order], judge[order], value[order]
    starts = np.flatnonzero(np.r_[True, unit[1:] != unit[:-1]]) if len(unit) else np.zeros(0, np.int64)
    sizes = np.diff(np.r_[starts, len(unit)])
    members, count, total, cross = [], [], [], []
    for size in np.unique(sizes):
        rows = starts[sizes == size][:, None] + np.arange(size)
        sets, pattern = np.unique(judge[rows], axis=0, return_inverse=True)
        pattern = pattern.ravel()
        by_pattern = np.argsort(pattern, kind="stable")
        scores, edges = (
            value[rows[by_pattern]],
            np.r_[0, np.cumsum(np.bincount(pattern, minlength=len(sets)))],
        )
        members.append(sets.astype(np.int64))
        count.append(np.diff(edges).astype(float))
        total.append(np.add.reduceat(scores, edges[:-1], axis=0))
        products = [scores[a:b].T @ scores[a:b] for a, b in pairwise(edges)]
        cross.append(np.array(products))
    return Patterns(judges, tuple(members), tuple(count), tuple(total), tuple(cross))


def estimate_moments(
    patterns: Patterns,
    *,
    centred: bool = True,
    prior_units: float = 4.0,
    iterations: int = 200,
    tolerance: float = 1e-5,
) -> Moments:
    """Posterior-mode means and covariances by EM from the pairwise moments.

    The prior is worth ``prior_units`` units of data whose judges have their observed variances and
    all the same correlation (the mean of the observed ones): it decides pairs that never met,
    and vanishes elsewhere. 0 gives maximum likelihood. ``centred=False`` fixes the means at 0, for
    signed scores of pairs whose orientation is arbitrary.

    Every judge needs at least 2 units and a variance above 0.

    Source: Dempster, Laird and Rubin (1977) for a normal sample with missing components; the M step
    is written as Sigma + Sigma A Sigma / N with A the score of the observed data.
    """
    overlaps = patterns.overlaps()
    mean, second = _pairwise_moments(patterns, overlaps, centred)
    scale = np.sqrt(np.diag(second))
    correlation = second / np.outer(scale, scale)
    off = ~np.eye(patterns.judges, dtype=bool)
    weight = np.where(off, overlaps, 0.0)
    connected = bool(weight.sum() > 0)
    rho = float((weight * correlation).sum() / weight.sum()) if connected else _MEAN_CORRELATION_UNKNOWN
    rho = float(np.clip(rho, -0.9 / max(patterns.judges - 1, 1), 0.98))
    shrunk = np.where(
        off, (overlaps * correlation + prior_units * rho) / np.maximum(overlaps + prior_units, 1e-9), 1.0
    )
    shrunk = np.where(off & (overlaps == 0), rho, shrunk)
    prior = np.outer(scale, scale) * np.where(off, rho, 1.0)
    covariance = np.outer(scale, scale) * _positive_definite(shrunk)
    units, done, converged, log_likelihood = patterns.units, 0, False, -np.inf
    for done in range(1, iterations + 1):  # noqa: B007
        gradient, pull, log_likelihood = _score(patterns, mean, covariance)
        step = covariance @ gradient / units if centred else np.zeros_like(mean)
        update = units * covariance + covariance @ pull @ covariance - units * np.outer(step, step)
        update = (update + prior_units * prior) / (units + prior_units)
        change = max(
            float(np.abs((update - covariance) / np.outer(scale, scale)).max()),
            float(np.abs(step / scale).max()),
        )
        mean, covariance = mean + step, (update + update.T) / 2
        if change < tolerance:
            converged = True
            break
    return Moments(mean, covariance, overlaps, rho, connected, done, converged, log_likelihood)


def _pairwise_moments(patterns: Patterns, overlaps: Floats, centred: bool) -> tuple[Floats, Floats]:
    total, cross = np.zeros(patterns.judges), np.zeros((patterns.judges, patterns.judges))
    row_total = np.zeros((patterns.judges, patterns.judges))  # of the row's judge over shared units
    for members, sums, products in zip(patterns.members, patterns.total, patterns.cross, strict=True):
        np.add.at(total, members, sums)
        rows, columns = members[:, :, None], members[:, None, :]
        np.add.at(cross, (rows, columns), products)
        np.add.at(row_total, (rows, columns), np.broadcast_to(sums[:, :, None], products.shape))
    shared = np.maximum(overlaps, 1.0)
    if not centred:
        return np.zeros(patterns.judges), cross / shared
    mean = total / np.diag(shared)
    about_mean = cross - row_total * mean - row_total.T * mean[:, None] + overlaps * np.outer(mean, mean)
    return mean, about_mean / shared


def _positive_definite(correlation: Floats, floor: float = 1e-3) -> Floats:
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    if values[0] >= floor:
        return correlation
    mended = (vectors * np.maximum(values, floor)) @ vectors.T
    scale = np.sqrt(np.diag(mended))
    result: Floats = mended / np.outer(scale, scale)
    return result


def _score(patterns: Patterns, mean: Floats, covariance: Floats) -> tuple[Floats, Floats, float]:
    """Gradient in the mean (J,), A (J, J) of the M step, and the log-likelihood of what was observed."""
    gradient, pull, log_likelihood = np.zeros_like(mean), np.zeros_like(covariance), 0.0
    blocks = zip(patterns.members, patterns.count, patterns.total, patterns.cross, strict=True)
    for members, count, total, cross in blocks:
        own = covariance[members[:, :, None], members[:, None, :]]
        inverse = np.linalg.inv(own)
        centre = mean[members]
        deviation = total - count[:, None] * centre
        shift = total[:, :, None] * centre[:, None, :]
        scatter = cross - shift - shift.transpose(0, 2, 1) + count[:, None, None] * _outer(centre)
        np.add.at(gradient, members, np.einsum("pij,pj->pi", inverse, deviation))
        excess = inverse @ (scatter - count[:, None, None] * own) @ inverse
        np.add.at(pull, (members[:, :, None], members[:, None, :]), excess)
        log_det = np.linalg.slogdet(own)[1] + members.shape[1] * np.log(2 * np.pi)
        log_likelihood -= 0.5 * float((count * log_det).sum() + np.einsum("pij,pji->", inverse, scatter))
    return gradient, pull, log_likelihood


def _outer(rows: Floats) -> Floats:
    product: Floats = rows[:, :, None] * rows[:, None, :]
    return product
