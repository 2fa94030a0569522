"""Is one group better than another? Paired differences of rectified means, with a verdict.

delta = theta_b - theta_a of the *unshrunk* rectified means (shrinkage pulls differences towards 0, which a
gate must not). Groups that share prompts are paired: with psi from `rectifier`,

    var(delta) = sum_p (psi_pb - psi_pa)^2                                       own variances, t on G - 1
               = v_a + v_b - 2 c_ab,   c_ab = rho s_a s_b sum_p w_pa w_pb + traffic      pooled variances

with rho the correlation of two groups' residuals on the same prompt, pooled over all pairs of groups.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import stdtr, stdtrit

from app.stats.grouped import coded, sum_by
from app.stats.rectifier import RectifiedMeans

Floats = NDArray[np.float64]


class Finding(StrEnum):
    """What a comparison may claim."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Difference:
    """theta_candidate - theta_baseline, in the unit of the grades; positive: the candidate is better."""

    estimate: float
    variance: float
    degrees_of_freedom: float

    def interval(self, level: float) -> tuple[float, float]:
        half = float(stdtrit(self.degrees_of_freedom, 0.5 + level / 2)) * float(np.sqrt(self.variance))
        return self.estimate - half, self.estimate + half

    def p_different(self) -> float:
        """Two-sided p of no difference."""
        return min(1.0, 2.0 * self._tail(abs(self.estimate)))

    def p_equivalent(self, margin: float) -> float:
        """p of a difference of at least ``margin`` (two one-sided tests); 1 for no margin."""
        return 1.0 if margin <= 0 else self._tail(margin - abs(self.estimate))

    def _tail(self, distance: float) -> float:
        if self.variance <= 0:
            return 0.0 if distance > 0 else 1.0
        return float(stdtr(self.degrees_of_freedom, -distance / np.sqrt(self.variance)))


def shared_prompt_correlation(means: RectifiedMeans) -> float:
    """rho: correlation of two groups' residuals on the same prompt, in [-0.95, 0.95]; 0 if none is shared.

    From sum over prompts of (sum_g u_pg)^2 - sum_g u_pg^2 with u = psi / (w s), s the group's own residual
    standard deviation: the moment estimator over all pairs of groups.
    """
    s2 = means.residual_variance[means.pair_group]
    usable = np.isfinite(s2) & (s2 > 0) & (means.pair_weight > 0)
    if not usable.any():
        return 0.0
    u = means.pair_influence[usable] * (1.0 - means.pair_weight[usable])
    u = u / (means.pair_weight[usable] * np.sqrt(s2[usable]))
    row = np.unique(means.pair_prompt[usable], return_inverse=True)[1]
    count = np.bincount(row)
    pairs = float((count * (count - 1)).sum())
    if pairs == 0:
        return 0.0
    products = float((sum_by(row, u) ** 2 - sum_by(row, u**2)).sum())
    return float(np.clip(products / pairs, -0.95, 0.95))


def anchor_overlap(means: RectifiedMeans, groups: int) -> Floats:
    """(S, S) sum_p w_pa w_pb: how much of two groups' anchor weight lies on the same prompts."""
    row = np.unique(means.pair_prompt, return_inverse=True)[1]
    weights = csr_matrix(
        (means.pair_weight, (row, means.pair_group)), shape=(int(row.size and row.max()) + 1, groups)
    )
    return np.asarray((weights.T @ weights).toarray())


def own_difference(means: RectifiedMeans, baseline: int, candidate: int) -> Difference:
    """The difference with its own variance: at least two labelled prompts in each group."""
    prompts = np.concatenate([means.pair_prompt, means.traffic_prompt])
    groups = np.concatenate([means.pair_group, means.traffic_group])
    scale = np.sqrt(
        means.anchor_variance
        / np.maximum(sum_by(means.pair_group, means.pair_influence**2, means.estimate.size), 1e-300)
    )
    psi = np.concatenate([means.pair_influence * scale[means.pair_group], means.traffic_influence])
    sign = (groups == candidate).astype(float) - (groups == baseline)
    used = sign != 0
    row = coded(prompts[used])[1]
    variance = float((sum_by(row, sign[used] * psi[used]) ** 2).sum())
    anchored = np.isin(means.pair_group, [baseline, candidate])
    df = float(np.unique(means.pair_prompt[anchored]).size - 1)
    df = min(df, float(means.degrees_of_freedom[[baseline, candidate]].sum()))
    return Difference(float(means.estimate[candidate] - means.estimate[baseline]), variance, max(df, 1.0))


def traffic_covariance(means: RectifiedMeans, baseline: int, candidate: int) -> float:
    """Covariance of two groups' errors from the finite traffic that they share."""
    n = means.traffic_prompt.max() + 1 if means.traffic_prompt.size else 0
    a, b = (
        sum_by(
            means.traffic_prompt[means.traffic_group == g],
            means.traffic_influence[means.traffic_group == g],
            n,
        )
        for g in (baseline, candidate)
    )
    return float(a @ b)


def decide(*, p_different: float, p_equivalent: float, estimate: float, level: float) -> Finding:
    """The verdict at ``level``: adjusted p-values may be given.

    A difference shown to be smaller than the margin is `equivalent` even if it is shown to be there.
    """
    alpha = 1.0 - level
    if p_equivalent <= alpha / 2:
        return Finding.EQUIVALENT
    if p_different <= alpha and estimate != 0:
        return Finding.BETTER if estimate > 0 else Finding.WORSE
    return Finding.INCONCLUSIVE
