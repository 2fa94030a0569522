"""How much of a change of quality is the new anchors: common-item linking of two sets of anchors.

Before a rotation the mean quality of some answers is estimated from anchors B, afterwards from anchors A.
Both share the overlap O; R was retired, N is new: B = O + R, A = O + N. With the panel's calibrated value f
of every answer T and residuals r = y - f of the anchors (y the mean human grade), the rectified means are

    theta_B = F_b + mean_B(r_b),   theta_A = F_a + mean_A(r_a),   F = mean of f over the answers at that time.

The overlap alone gives theta_O,b = F_b + mean_O(r_b) and theta_O,a = F_a + mean_O(r_a), so exactly

    theta_A - theta_B  =  [theta_O,a - theta_O,b]  +  [w_N (N - O_a) - w_R (R - O_b)],

with O_a, O_b, N, R the mean residuals of these groups, w_N and w_R the weights of N in A and of R in B. The
first part is measured by the same anchors both times: it is change of the answers, or of how people and
judges see the same ones. The second is there because other anchors were asked: it is 0 in expectation if new
and retired anchors are draws from the population of the overlap, graded as it is. This is linking by common
items as test forms are linked (Kolen and Brennan, Test Equating, Scaling, and Linking, 2014, ch. 1), with the
identity written for rectified means (Angelopoulos et al., PPI++, 2023).

Each mean M of a group S with weights u is linear in its members, psi_i = u_i (x_i - M) / sum_S u, enlarged by
the root of k / (k - 1) for k clusters; a part is a sum of such means with fixed coefficients, so its variance
is

    V = sum over clusters (sum of coefficient * psi in the cluster)^2,

which pairs what is the same before and after. F_a - F_b is split likewise into answers of both times, of the
later and of the earlier alone, with their shares as coefficients: which answers came is a fact, not chance.
The groups' shares of V give Satterthwaite's degrees of freedom.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEAST_OVERLAP = 10
"""Clusters of the overlap below which nothing is said: its own noise would be all there is to see."""
LEAST_NEW = 3
"""Clusters of new, and of retired anchors (unless there are none) below which the split is not made."""


class LinkRefusal(StrEnum):
    """Why a change is not told, or not split."""

    INSUFFICIENT_OVERLAP = "insufficient_overlap"
    INSUFFICIENT_NEW = "insufficient_new_anchors"


@dataclass(frozen=True, slots=True)
class Linked:
    """A part of a change: estimate, standard error, degrees of freedom, in the unit of the values."""

    estimate: float
    standard_error: float
    degrees_of_freedom: float

    def interval(self, level: float) -> tuple[float, float]:
        """Two-sided, by Student's t."""
        half = float(stdtrit(self.degrees_of_freedom, 0.5 + level / 2)) * self.standard_error
        return self.estimate - half, self.estimate + half


@dataclass(frozen=True, slots=True)
class AnchorLink:
    """``total`` = ``overlap`` + ``anchors``, exactly. Numbers of anchors by group; ``refusal`` names what is
    missing: with too little overlap all three are None, with too few new ones ``total`` alone stands."""

    n_overlap: int
    n_new: int
    n_retired: int
    total: Linked | None
    overlap: Linked | None
    anchors: Linked | None
    refusal: LinkRefusal | None


@dataclass(frozen=True, slots=True)
class Measured:
    """Answers at one time: n units.

    ``unit`` int64 (n,) ids, each once, the same at both times; ``cluster`` int64 (n,) codes of what they
    share (their prompt), the same at both times; ``panel`` float64 (n,) calibrated values; ``human`` float64
    (n,) mean human grades, NaN for those without; ``weight`` float64 (n,) of each as an anchor (one over its
    chance of being drawn; 1 where that is not known).
    """

    unit: Ints
    cluster: Ints
    panel: Floats
    human: Floats
    weight: Floats


@dataclass(frozen=True, slots=True)
class _Mean:
    """A group's mean with the influence of each of its members on it."""

    value: float
    cluster: Ints
    psi: Floats


def link_anchors(before: Measured, after: Measured) -> AnchorLink:
    """Split the change of the rectified mean from ``before`` to ``after``.

    Units graded at both times are the overlap. Values keep their unit and their direction.
    """
    graded_b, graded_a = np.isfinite(before.human), np.isfinite(after.human)
    common = np.intersect1d(before.unit[graded_b], after.unit[graded_a])
    in_b, in_a = np.isin(before.unit, common), np.isin(after.unit, common)
    retired, new = graded_b & ~in_b, graded_a & ~in_a
    counts = (int(common.size), int(new.sum()), int(retired.sum()))
    if np.unique(after.cluster[in_a]).size < LEAST_OVERLAP:
        return AnchorLink(*counts, None, None, None, LinkRefusal.INSUFFICIENT_OVERLAP)
    w_n = _share(after, new, graded_a)
    w_r = _share(before, retired, graded_b)
    panels = _panels(before, after)
    kept_a = _mean(after, after.human - after.panel, in_a)
    kept_b = _mean(before, before.human - before.panel, in_b)
    overlap = [(1.0, kept_a), (-1.0, kept_b)]
    change: list[tuple[float, _Mean]] = [(-w_n, kept_a), (w_r, kept_b)]
    groups = []
    if new.any():
        groups.append([(w_n, _mean(after, after.human - after.panel, new))])
    if retired.any():
        groups.append([(-w_r, _mean(before, before.human - before.panel, retired))])
    total = _linked([*panels, overlap + change, *groups])
    few = [m for m, w in ((new, after), (retired, before)) if 0 < np.unique(w.cluster[m]).size < LEAST_NEW]
    if few:
        return AnchorLink(*counts, total, None, None, LinkRefusal.INSUFFICIENT_NEW)
    return AnchorLink(*counts, total, _linked([*panels, overlap]), _linked([change, *groups]), None)


def _panels(before: Measured, after: Measured) -> list[list[tuple[float, _Mean]]]:
    """F_a - F_b by answers of both times (paired), of the later time, of the earlier time."""
    in_b, in_a = np.isin(before.unit, after.unit), np.isin(after.unit, before.unit)
    n_b, n_a = before.unit.size, after.unit.size
    parts = [
        [(1.0, after, in_a, n_a), (-1.0, before, in_b, n_b)],
        [(1.0, after, ~in_a, n_a)],
        [(-1.0, before, ~in_b, n_b)],
    ]
    return [
        [(sign * float(some.sum()) / n, _mean(one, one.panel, some)) for sign, one, some, n in part]
        for part in parts
        if part[0][2].any()
    ]


def _share(one: Measured, some: Bools, graded: Bools) -> float:
    return float(one.weight[some].sum() / one.weight[graded].sum())


def _mean(one: Measured, values: Floats, some: Bools) -> _Mean:
    """The mean of some units; the panel's over all counts each answer once."""
    weight = np.ones(one.unit.size) if values is one.panel else one.weight
    x, u, cluster = values[some], weight[some], one.cluster[some]
    mean = float(np.average(x, weights=u))
    k = np.unique(cluster).size
    psi = u * (x - mean) / u.sum() * np.sqrt(k / max(k - 1, 1))
    return _Mean(mean, cluster, psi)


def _linked(groups: list[list[tuple[float, _Mean]]]) -> Linked:
    """The sum of coefficient times mean over all groups; members of a group are measured together."""
    estimate = sum(c * mean.value for group in groups for c, mean in group)
    every = [(mean.cluster, c * mean.psi) for group in groups for c, mean in group]
    variance, _ = _variance(every)
    if variance <= 0:
        return Linked(estimate, 0.0, np.inf)
    own = [_variance([(mean.cluster, c * mean.psi) for c, mean in group]) for group in groups]
    spread = sum(v for v, _ in own)
    freedom = spread**2 / max(sum(v**2 / max(k - 1, 1) for v, k in own), 1e-300)
    return Linked(estimate, float(np.sqrt(variance)), float(freedom))


def _variance(parts: list[tuple[Ints, Floats]]) -> tuple[float, int]:
    """Sum over clusters of the squared sum of influences, and the number of clusters."""
    cluster, psi = (np.concatenate(many) for many in zip(*parts, strict=True))
    _, code = np.unique(cluster, return_inverse=True)
    sums = np.bincount(code, psi)
    return float((sums**2).sum()), int(sums.size)
