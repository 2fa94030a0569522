"""Rectified group means: a panel's predictions for all units, corrected on the few that people graded.

A *group* is a system, or a system within a stratum. With v_i target weights (1 by default), pi_i
inclusion probabilities, a_i = v_i / pi_i, A_g the anchors of group g, f_i a prediction that saw no human
grade of the unit's prompt, and f_g = sum_g v_i f_i / sum_g v_i over *all* units of the group:

    theta_g = sum_{A_g} a_i (y_i - lam x_i) / sum_{A_g} a_i,        x_i = f_i - f_g.

This is the difference estimator of survey sampling with a regression coefficient (GREG, Hajek form); with
equal weights and f_g over all units it is PPI++ (Angelopoulos, Duchi & Zrnic 2023, arXiv:2311.01453), whose
own f_g leaves the anchors out and whose lam therefore carries the factor 1/(1 + n/N). It is centred on
the plain mean of the human grades whatever f is, so a bad panel costs width and never bias.

*Power tuning.* lam is one number for all groups, the within-group regression of y on f,
lam = S_xy / S_xx, with the cluster-robust (by prompt) F = lam^2 / var(lam), and then shrunk,
lam (1 - 1/F)_+ clipped to [0, lam_max]: the factor that minimises the estimated error of a slope known
with variance lam^2 / F. A panel that is noise has F about 1 and ends at the labels-only mean.

*Variance.* psi_pg = theta_g - theta_g(without prompt p) at fixed lam for labelled prompts (the
delete-one-prompt jackknife), lam v_i (f_i - f_g) / sum v summed over the prompt's units for the traffic,
both in the *same* psi where a prompt has both. The jackknife sum is scaled for the slope it spends, and
(xbar_A,g)^2 var(lam) stands for the error of lam itself (the slope term of the exact regression variance).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.stats.errors import InsufficientData
from app.stats.grouped import coded, sum_by

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Population = Literal["stream", "these_units"]


@dataclass(frozen=True, slots=True)
class PowerTuning:
    """How far the panel is trusted.

    Attributes
    ----------
    lam : float
        In [0, lam_max]; 0 ignores the panel.
    slope, slope_variance : float
        The unshrunk within-group slope and its variance, clustered by prompt; 0 and 0 for a constant panel.
    correlation : float
        Within-group correlation of human grades and predictions on the anchors; 0 where undefined.
    """

    lam: float
    slope: float
    slope_variance: float
    correlation: float


@dataclass(frozen=True, slots=True)
class RectifiedMeans:
    """Rectified means of S groups; every array is (S,) unless it says otherwise, in the unit of the grades.

    Attributes
    ----------
    estimate : NaN for a group without anchors.
    prediction_mean : mean prediction over all units of the group; NaN for a group without units.
    human_mean : weighted mean of the anchors' human grades; NaN without anchors.
    anchor_variance : from the anchors (jackknife over prompts, slope term included); NaN below two prompts.
    residual_variance : of one prompt's residual (jackknife); NaN below two prompts. ``anchor_variance`` is
        residual_variance / effective_prompts * finite_factor + slope_variance.
    finite_factor : 1 for a stream; 1 - sampling fraction for ``these_units``.
    human_variance : weighted sample variance of the anchors' human grades; NaN below two anchors.
    slope_variance : the slope term.
    traffic_variance : from the finite traffic, with its covariance with the anchors; 0 for ``these_units``.
    degrees_of_freedom : of ``residual_variance``: effective prompts - 1 - the group's share of the slope.
    n_units, n_anchors, n_prompts : units, anchors, and prompts with anchors.
    effective_prompts : 1 / sum of squared prompt weights; equals ``n_prompts`` for equal weights.
    largest_weight : the largest share one prompt has among the group's anchors; NaN without anchors.
    power : the power tuning.
    pair_prompt, pair_group : (P,) labelled prompt x group pairs.
    pair_weight, pair_influence : (P,) the prompt's share of the group's anchor weight; its psi from anchors.
    traffic_prompt, traffic_group, traffic_influence : (Q,) the same for the traffic part.
    """

    estimate: Floats
    prediction_mean: Floats
    human_mean: Floats
    anchor_variance: Floats
    residual_variance: Floats
    finite_factor: Floats
    human_variance: Floats
    slope_variance: Floats
    traffic_variance: Floats
    degrees_of_freedom: Floats
    n_units: Ints
    n_anchors: Ints
    n_prompts: Ints
    effective_prompts: Floats
    largest_weight: Floats
    power: PowerTuning
    pair_prompt: Ints
    pair_group: Ints
    pair_weight: Floats
    pair_influence: Floats
    traffic_prompt: Ints
    traffic_group: Ints
    traffic_influence: Floats

    @property
    def variance(self) -> Floats:
        """(S,) each group's own variance: anchors and traffic."""
        return self.anchor_variance + self.traffic_variance


def rectified_means(
    *,
    group: NDArray[np.integer],
    prompt: NDArray[np.integer],
    prediction: Floats,
    human: Floats,
    groups: int,
    target_weight: Floats | None = None,
    inclusion: Floats | None = None,
    lam: float | None = None,
    lam_max: float = 1.0,
    population: Population = "stream",
) -> RectifiedMeans:
    """Estimate the mean human grade of every group.

    Parameters
    ----------
    group : (n,)
        Codes in [0, groups); negative codes are left out.
    prompt : (n,)
        What anchors are clustered by; any integers.
    prediction : (n,)
        The panel's prediction of the human grade, out of fold where the unit's prompt has grades. NaN where
        no judge scored: the unit then counts with its group's mean prediction.
    human : (n,)
        Mean human grade, NaN where nobody graded.
    target_weight : (n,)
        How much a unit counts in its group's mean; 1 by default.
    inclusion : (n,)
        Probability with which an anchor was drawn, up to a common factor; 1 by default.
    lam : float
        Fixed power tuning (0 = labels only, 1 = plain difference estimator); estimated by default.
    population : "stream" | "these_units"
        Whether the units stand for a stream of prompts like them, or are themselves all that is asked about.

    Raises
    ------
    InsufficientData
        If there are no units at all.
    """
    kept = group >= 0
    if not kept.any():
        raise InsufficientData("units", 0, 1)
    g = group[kept].astype(np.int64)
    y, f = human[kept], _filled(prediction[kept], g, groups)
    v = np.ones(g.size) if target_weight is None else target_weight[kept]
    p = coded(prompt[kept])[1]
    labelled = ~np.isnan(y)
    a = v[labelled] if inclusion is None else v[labelled] / inclusion[kept][labelled]

    n_units = np.bincount(g, minlength=groups)
    v_sum = sum_by(g, v, groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        f_mean = sum_by(g, v * f, groups) / v_sum
    anchors = _AnchorSums(g[labelled], p[labelled], a, y[labelled], f[labelled] - f_mean[g[labelled]], groups)
    power = anchors.power(lam, lam_max)
    estimate, share, theta_psi = anchors.jackknife(power.lam)

    traffic = _traffic(g, p, v, f, f_mean, v_sum, power.lam, groups)
    finite = population == "these_units"
    if finite:
        traffic = (traffic[0], traffic[1], np.zeros_like(traffic[2]))
    with np.errstate(invalid="ignore", divide="ignore"):
        fraction = np.where(n_units > 0, anchors.n_anchors / n_units, 0.0)
    kept_share = 1.0 - fraction if finite else np.ones(groups)
    pair_g = anchors.pair_group
    effective = _inverse(sum_by(pair_g, share**2, groups))
    prompts = np.bincount(pair_g, minlength=groups)
    spread = sum_by(pair_g, theta_psi**2, groups) * (1.0 - _inverse(prompts.astype(float)))
    df = _satterthwaite(share, pair_g, groups) - anchors.slope_share()
    scale = np.where(df > 0, (df + anchors.slope_share()) / np.where(df > 0, df, 1.0), np.nan)
    scale = np.where(prompts >= 2, scale, np.nan)
    residual = spread * scale * effective
    slope_term = anchors.x_mean**2 * power.slope_variance if power.lam > 0 else np.zeros(groups)
    with np.errstate(invalid="ignore"):
        anchor_variance = (residual / np.where(effective > 0, effective, np.nan)) * kept_share + slope_term
    return RectifiedMeans(
        estimate=estimate,
        prediction_mean=f_mean,
        human_mean=anchors.y_mean,
        anchor_variance=anchor_variance,
        residual_variance=residual,
        finite_factor=kept_share,
        human_variance=anchors.human_variance(),
        slope_variance=slope_term,
        traffic_variance=_traffic_variance(anchors, theta_psi, traffic, groups),
        degrees_of_freedom=np.maximum(df, 0.0),
        n_units=n_units,
        n_anchors=anchors.n_anchors,
        n_prompts=prompts,
        effective_prompts=effective,
        largest_weight=_largest(share, pair_g, groups),
        power=power,
        pair_prompt=anchors.pair_prompt,
        pair_group=pair_g,
        pair_weight=share,
        pair_influence=theta_psi,
        traffic_prompt=traffic[0],
        traffic_group=traffic[1],
        traffic_influence=traffic[2],
    )


class _AnchorSums:
    """Weighted sums of the anchors per (prompt, group) pair and per group; x is centred on the traffic."""

    def __init__(self, g: Ints, p: Ints, a: Floats, y: Floats, x: Floats, groups: int) -> None:
        self.groups = groups
        self.n_anchors = np.bincount(g, minlength=groups)
        total = sum_by(g, a, groups)
        a = a * _inverse(total)[g] * self.n_anchors[g]  # weights of a group sum to its number of anchors
        code, self.row = coded(p * groups + g)
        self.pair_prompt, self.pair_group = code // groups, code % groups
        self.cluster = coded(self.pair_prompt)[1]
        self.g, self.a, self.y, self.x = g, a, y, x
        self.t1 = sum_by(g, a, groups)
        inverse = _inverse(self.t1)
        self.y_mean = np.where(self.t1 > 0, sum_by(g, a * y, groups) * inverse, np.nan)
        self.x_mean = sum_by(g, a * x, groups) * inverse
        self.dx, self.dy = x - self.x_mean[g], y - self.y_mean[g]
        self.sxx = sum_by(g, a * self.dx**2, groups)

    def power(self, fixed: float | None, lam_max: float) -> PowerTuning:
        sxx = float(self.sxx.sum())
        syy = float((self.a * self.dy**2).sum())
        sxy = float((self.a * self.dx * self.dy).sum())
        correlation = sxy / np.sqrt(sxx * syy) if sxx * syy > 0 else 0.0
        if fixed is not None:
            return PowerTuning(fixed, fixed, 0.0, float(correlation))
        if sxx <= 1e-12 * max(self.x.size, 1):  # a panel that never varies carries no information
            return PowerTuning(0.0, 0.0, 0.0, 0.0)
        slope = sxy / sxx
        score = sum_by(self.cluster[self.row], self.a * self.dx * (self.dy - slope * self.dx))
        # as many means as groups and one slope were fitted: the usual CR1 correction
        m, k, clusters = self.x.size, int((self.t1 > 0).sum()) + 1, score.size
        if clusters < 3 or m <= k:
            return PowerTuning(0.0, slope, 0.0, float(correlation))
        correction = clusters / (clusters - 1) * (m - 1) / (m - k)
        variance = float((score**2).sum()) / sxx**2 * correction
        shrink = max(0.0, 1.0 - variance / slope**2) if slope != 0 else 0.0
        return PowerTuning(float(np.clip(slope * shrink, 0.0, lam_max)), slope, variance, float(correlation))

    def jackknife(self, lam: float) -> tuple[Floats, Floats, Floats]:
        """Estimates (S,), pair shares (P,) and pair influences theta - theta(without the prompt) (P,)."""
        estimate = self.y_mean - lam * self.x_mean
        residual = self.dy - lam * self.dx
        share = sum_by(self.row, self.a) * _inverse(self.t1)[self.pair_group]
        moved = sum_by(self.row, self.a * residual) * _inverse(self.t1)[self.pair_group]
        with np.errstate(invalid="ignore", divide="ignore"):
            psi = np.where(share < 1.0 - 1e-12, moved / (1.0 - share), 0.0)
        return estimate, share, psi

    def human_variance(self) -> Floats:
        """(S,) sum a (y - ybar)^2 / (sum a - sum a^2 / sum a)."""
        free = self.t1 - sum_by(self.g, self.a**2, self.groups) * _inverse(self.t1)
        total = sum_by(self.g, self.a * self.dy**2, self.groups)
        return np.where(free > 1e-9, total * _inverse(free), np.nan)

    def slope_share(self) -> Floats:
        """(S,) what each group pays for the common slope, summing to 1."""
        total = self.sxx.sum()
        return self.sxx / total if total > 0 else np.zeros(self.groups)


def _traffic(
    g: Ints, p: Ints, v: Floats, f: Floats, f_mean: Floats, v_sum: Floats, lam: float, groups: int
) -> tuple[Ints, Ints, Floats]:
    part = lam * v * (f - f_mean[g]) * _inverse(v_sum)[g]
    code, row = coded(p * groups + g)
    return code // groups, code % groups, sum_by(row, part)


def _traffic_variance(
    anchors: _AnchorSums, psi: Floats, traffic: tuple[Ints, Ints, Floats], groups: int
) -> Floats:
    """Sum of squared traffic influences plus twice their product with the anchors' of the same prompt."""
    prompt, group, part = traffic
    count = np.bincount(group, minlength=groups)
    own = sum_by(group, part**2, groups) * np.where(count > 1, count / np.maximum(count - 1, 1), 1.0)
    where = np.searchsorted(prompt * groups + group, anchors.pair_prompt * groups + anchors.pair_group)
    cross = sum_by(anchors.pair_group, psi * part[where], groups) if psi.size else np.zeros(groups)
    return np.maximum(own + 2.0 * cross, 0.0)


def _satterthwaite(share: Floats, group: Ints, groups: int) -> Floats:
    """Degrees of freedom of a weighted residual variance: (sum w^2)^2 / sum w^4 - 1."""
    return sum_by(group, share**2, groups) ** 2 * _inverse(sum_by(group, share**4, groups)) - 1.0


def _filled(prediction: Floats, g: Ints, groups: int) -> Floats:
    missing = np.isnan(prediction)
    if not missing.any():
        return prediction
    known = ~missing
    mean = sum_by(g[known], prediction[known], groups) * _inverse(
        np.bincount(g[known], minlength=groups).astype(float)
    )
    return np.where(missing, mean[g], prediction)


def _inverse(x: Floats) -> Floats:
    """1 / x, and 0 where x is 0."""
    return np.divide(1.0, x, out=np.zeros_like(x, dtype=np.float64), where=x != 0)


def _largest(share: Floats, group: Ints, groups: int) -> Floats:
    largest = np.full(groups, np.nan)
    order = np.argsort(share)
    largest[group[order]] = share[order]
    return largest
