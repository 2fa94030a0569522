r"""How wide intervals will be after more human grades: the planner's promise, and how far it may be off.

A group has n effective prompts and will have n' = n + m e, with m more prompts and e = n / prompts so far.
What its interval will be is put into the very formula that reports use (`fab`), with what each part is
*expected* to be by then:

*Dispersion.* Groups with hardly any anchors are given more than they show today (`variances`), which ends
when more of their grades differ. The chance of that is binomial, with each group's share of grades off its
commonest one, drawn to the share of all. Between, the group's own variance is expected to come nearer to its
moderated one, and degrees of freedom grow as the very moderation says.

*Estimate.* A FAB interval is shorter the nearer the estimate is to its prior. The coming grades have the mean
that prior and today's grades together expect, so

    y' ~ N( (n y + m e E[theta | y]) / n',  (m e / n')^2 (var(theta | y) + phi / m e) ),

over which the width is averaged by three-point Gauss-Hermite quadrature.

*The rest.* The slope part falls with the group's grades and with all grades together, n / n' N / (N + M). No
grade lowers the traffic's own variance; its covariance with the anchors is chance, and falls as n / n'.
Today's width enters by its ratio to the formula's, so that what the formula leaves out (shared prompts) is
left out on both sides.

*Range.* A variance s^2 with d degrees of freedom becomes, with d' more, s^2 (d + d' F(d', d)) / (d + d'),
where degrees count for less if residuals have heavy tails. Its quantiles, with the spread of the quadrature
and of the binomial chance in quadrature, give the range that holds the width to come with probability
`RANGE`. The variance is common to all groups as far as they were pooled, so the mean of widths has a range of
its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, fdtri, ndtri

from app.stats.fab import fab_intervals
from app.stats.group_quality import MINIMUMS, Basis, GroupQuality
from app.stats.grouped import sum_by
from app.stats.rectifier import RectifiedMeans
from app.stats.variances import (
    SATURATED,
    UNANIMOUS,
    Dispersions,
    moderated_dispersions,
    unanimous_dispersion,
    unit_variance,
)

Floats = NDArray[np.float64]

GUESSED_SPREAD = 0.28
"""Standard deviation of human grades on the unit scale, where there are none to measure it by."""
RANGE = 0.9
"""Probability with which the range of a planned width holds the width that comes."""

_NODES = np.array([-np.sqrt(3.0), 0.0, np.sqrt(3.0)])
_WEIGHTS = np.array([1.0, 4.0, 1.0]) / 6.0
_NORMAL_RESIDUALS = 20.0
_SHARED_GRADES = 4.0  # grades that the share off the commonest grade of all groups counts for
_STEPS = 18  # halvings: to a hundred-thousandth of the scale


@dataclass(frozen=True, slots=True)
class PlannedWidths:
    """Half-widths of G intervals after more grades, on the unit scale; K plans at once.

    Attributes
    ----------
    half, low, high : (K, G) expected, and the ends of its range; NaN where there will be no interval, today's
        where it comes from other groups still.
    mean, mean_low, mean_high : (K,) the same of the mean over groups that have an interval today.
    """

    half: Floats
    low: Floats
    high: Floats
    mean: Floats
    mean_low: Floats
    mean_high: Floats


def planned_widths(
    quality: GroupQuality, more: Floats, level: float = 0.95, *, each_alone: bool = False
) -> PlannedWidths:
    """Half of every group's interval with ``more`` grades in it, on other prompts than before.

    Parameters
    ----------
    quality : GroupQuality
        What is known now, at the same ``level``.
    more : (K, G)
        Further graded prompts per group, in each of K plans.
    each_alone : bool
        Every group's width as if only its own grades came.
    """
    start = _Start.of(quality)
    gained = more * start.efficiency
    grown = start.n + gained
    then = _dispersions(quality, start, gained)
    estimate = _estimates(start, gained, then)
    all_now = float(quality.means.n_anchors.sum())
    all_more = more if each_alone else more.sum(1, keepdims=True)
    left = np.where(grown > 0, start.n / np.maximum(grown, 1e-12), 0.0)
    flat = quality.means.slope_variance * left * all_now / np.maximum(all_now + all_more, 1e-12)
    flat = flat + _traffic(quality.means, left)
    curve = _finite(quality, more) / np.maximum(grown, 1e-12)
    halves = np.stack(
        [_half(start, estimate.at(node), flat, curve * then.dispersion, then.df, level) for node in _NODES]
    )
    half = np.tensordot(_WEIGHTS, halves, 1)
    spread = np.sqrt(np.tensordot(_WEIGHTS, (halves - half) ** 2, 1)) / np.maximum(half, 1e-12)
    now = 0.5 * (quality.upper - quality.lower)
    own = _will_show(quality, more)
    half = np.where(own, half * _correction(quality, start, level), now)
    uncertain = np.where(own, np.hypot(spread, then.uncertain), 0.0)
    worth = _worth_of_df(quality.means)
    low, high = _range(worth * start.df, worth * np.where(own, then.df - start.df, 0.0), uncertain)
    mean, together = _mean(half[:, np.isfinite(now)], uncertain[:, np.isfinite(now)])
    pooled = np.full(mean.shape, worth * start.pooled_df)
    mean_low, mean_high = _range(pooled, worth * gained.sum(1), together)
    return PlannedWidths(half, half * low, half * high, mean, mean * mean_low, mean * mean_high)


def grades_for(width: Floats, counts: Floats, target: float) -> int | None:
    """Fewest grades with which a half-width is ``target``, read off between ``counts``.

    ``width`` (K,) falls with the ascending ``counts`` (K,); NaN where there is none yet. None if the last is
    still wider: part of the variance is the traffic's, which no grade lowers.
    """
    wide = np.where(np.isfinite(width), width, np.inf)
    reached = np.flatnonzero(wide <= target)
    if not reached.size:
        return None
    k = int(reached[0])
    if k == 0 or not np.isfinite(wide[k - 1]):
        return int(np.ceil(counts[k]))
    between = np.log(wide[k - 1] / target) / np.log(wide[k - 1] / wide[k])
    return int(np.ceil(np.exp(np.interp(between, (0, 1), np.log1p(counts[k - 1 : k + 1]))) - 1 - 1e-9))


def guessed_grades(
    *, target: float, spread: float = GUESSED_SPREAD, correlation: float = 0.6, level: float = 0.95
) -> int:
    """Grades of one group for a half-width before there are any: (z s / w)^2 (1 - rho^2).

    ``spread`` is of human grades, ``correlation`` of the panel with them, both guesses; many answers are
    taken to have panel scores.
    """
    z = float(ndtri(0.5 + level / 2))
    return int(np.ceil((z * spread / target) ** 2 * (1.0 - correlation**2)))


@dataclass(frozen=True, slots=True)
class _Start:
    """What is known of G groups today; ``estimate`` and ``mode`` are the prior's of a group without anchors.

    ``variance`` own residual variance per prompt, ``moderated`` the same lent from the others, both without
    what hardly any anchors are charged; ``df`` of the latter, ``own_df`` of the former; ``off_share`` of
    grades off the group's commonest.
    """

    n: Floats
    efficiency: Floats
    estimate: Floats
    mode: Floats
    prior_mean: Floats
    prior_variance: Floats
    variance: Floats
    own_df: Floats
    moderated: Floats
    df: Floats
    pooled_df: float
    off_share: Floats

    @staticmethod
    def of(quality: GroupQuality) -> "_Start":
        means, n = quality.means, quality.means.effective_prompts
        some = means.n_prompts > 0
        prior = quality.shrunk
        prior_mean = prior.prior_mean if prior else np.full(n.size, 0.5)
        estimate = np.where(some, np.nan_to_num(means.estimate, nan=0.5), prior_mean)
        bare = _moderated(quality, means.residual_variance, means.degrees_of_freedom, estimate, n)
        grades, off = means.n_anchors, quality.off_mode
        of_all = off.sum() / max(int(grades.sum()), 1)
        moderated, df = np.zeros(n.size), np.ones(n.size)
        if bare is not None:
            lent = np.where(quality.pools | (bare.degrees_of_freedom > 0), bare.dispersion, bare.common)
            moderated, df = lent * unit_variance(estimate, n), np.maximum(bare.degrees_of_freedom, 1.0)
        return _Start(
            n=n,
            efficiency=np.where(some, n / np.maximum(means.n_prompts, 1), 1.0),
            estimate=estimate,
            mode=np.where(some, quality.mode, prior_mean),
            prior_mean=prior_mean,
            prior_variance=prior.prior_variance if prior else np.full(n.size, np.inf),
            variance=np.nan_to_num(means.residual_variance),
            own_df=means.degrees_of_freedom,
            moderated=moderated,
            df=df,
            pooled_df=1.0 if bare is None else max(bare.pooled_df, 1.0),
            off_share=(off + _SHARED_GRADES * of_all) / (grades + _SHARED_GRADES),
        )


@dataclass(frozen=True, slots=True)
class _Then:
    """(K, G) dispersions and degrees of freedom as expected; ``uncertain``: relative standard deviation of
    the root of the dispersion, for what is charged to hardly any anchors or not."""

    dispersion: Floats
    df: Floats
    uncertain: Floats


@dataclass(frozen=True, slots=True)
class _Estimates:
    """(K, G) mean and standard deviation of the estimates to come."""

    mean: Floats
    deviation: Floats

    def at(self, node: float) -> Floats:
        return np.clip(self.mean + node * self.deviation, 0.0, 1.0)


def _moderated(
    quality: GroupQuality, variance: Floats, df: Floats, mean: Floats, n: Floats
) -> Dispersions | None:
    """Moderated dispersions without what hardly any anchors are charged."""
    return moderated_dispersions(
        variance=np.where(df > 0, variance, np.nan), degrees_of_freedom=df, mean=mean, effective_n=n,
        off_mode=np.full(n.size, SATURATED), mode=mean, pool=quality.pools,
    )  # fmt: skip


def _dispersions(quality: GroupQuality, start: _Start, gained: Floats) -> _Then:
    grown = start.n + gained
    df = np.where(start.n > 0, start.own_df + gained, np.maximum(gained - 1.0, 0.0))
    variance = start.own_df * start.variance + (df - start.own_df) * start.moderated
    variance = np.where(df > 0, variance / np.maximum(df, 1e-12), 0.0)
    found = [_moderated(quality, variance[k], df[k], start.estimate, grown[k]) for k in range(len(gained))]
    nothing = np.ones(start.n.size)
    free = np.array([nothing if one is None else one.dispersion for one in found])
    total = np.array([nothing if one is None else one.degrees_of_freedom for one in found])
    common = np.array([1.0 if one is None else one.common for one in found])[:, None]
    unit = unit_variance(start.estimate, grown)
    charged = np.maximum(free, common) if quality.pools else free
    states = [  # by how many grades are off the commonest: 0, 1, fewer than a variance needs, enough
        *(
            np.maximum(
                charged, unanimous_dispersion(off_mode=off, effective_n=grown, mode=start.mode, unit=unit)
            )
            for off in range(UNANIMOUS)
        ),
        charged,
        free,
    ]
    below = [
        _chance_below(least, quality.off_mode, gained, start.off_share)
        for least in (*range(UNANIMOUS + 1), SATURATED)
    ]
    chance = np.diff(np.stack([*below, np.ones(gained.shape)]), axis=0)
    dispersion = (chance * states).sum(0)
    deviation = np.sqrt((chance * (states - dispersion) ** 2).sum(0))
    return _Then(dispersion, np.maximum(total, 1.0), 0.5 * deviation / np.maximum(dispersion, 1e-12))


def _chance_below(least: int, off: NDArray[np.int64], gained: Floats, share: Floats) -> Floats:
    """(K, G) chance that fewer than ``least`` grades are off the commonest still; binomial, continuous."""
    room = least - 1.0 - off
    chance = betainc(np.maximum(gained - room, 1e-9), np.maximum(room + 1.0, 1e-9), 1.0 - share)
    return np.where(room < 0, 0.0, np.where(gained > room, chance, 1.0))


def _estimates(start: _Start, gained: Floats, then: _Then) -> _Estimates:
    m = np.clip(start.estimate, 0.02, 0.98)
    one = then.dispersion * m * (1.0 - m)  # variance of one prompt's residual
    posterior = 1.0 / np.maximum(1.0 / start.prior_variance + start.n / one, 1e-12)
    expected = start.prior_mean / start.prior_variance + start.n / one * start.estimate
    expected = np.where(
        np.isfinite(start.prior_variance) | (start.n > 0), expected * posterior, start.estimate
    )
    new = gained / np.maximum(start.n + gained, 1e-12)
    deviation = new * np.sqrt(np.minimum(posterior, 0.25) + one / np.maximum(gained, 1e-12))
    return _Estimates((1.0 - new) * start.estimate + new * expected, np.where(gained > 0, deviation, 0.0))


def _half(start: _Start, estimate: Floats, flat: Floats, curve: Floats, df: Floats, level: float) -> Floats:
    shape = estimate.shape
    lower, upper = fab_intervals(
        estimate=estimate.ravel(), flat_variance=flat.ravel(), curve=curve.ravel(),
        degrees_of_freedom=df.ravel(),
        prior_mean=np.broadcast_to(start.prior_mean, shape).ravel(),
        prior_variance=np.broadcast_to(start.prior_variance, shape).ravel(),
        level=level, steps=_STEPS,
    )  # fmt: skip
    return np.asarray(0.5 * (upper - lower)).reshape(shape)


def _traffic(means: RectifiedMeans, left: Floats) -> Floats:
    """(K, G) the traffic's own variance, and what is ``left`` of its chance covariance with the anchors."""
    own = sum_by(means.traffic_group, means.traffic_influence**2, means.n_units.size)
    return np.maximum(own + (means.traffic_variance - own) * left, 0.0)


def _finite(quality: GroupQuality, more: Floats) -> Floats:
    """Where the units are all there is, what is graded leaves nothing to be estimated."""
    drawn = (quality.means.n_anchors + more) / np.maximum(quality.means.n_units, 1)
    return np.where(quality.means.finite_factor < 1.0, np.maximum(1.0 - drawn, 0.0), 1.0)


def _correction(quality: GroupQuality, start: _Start, level: float) -> Floats:
    """(G,) today's half-width over what the formula would have it be; 1 where it rests on something else."""
    own = np.array([one in (Basis.POOLED, Basis.ALONE) for one in quality.basis], bool)
    if quality.dispersions is None:
        return np.ones(own.size)
    flat = quality.means.slope_variance + quality.means.traffic_variance
    curve = _finite(quality, np.zeros(own.size)) / np.maximum(start.n, 1e-12) * quality.dispersions.dispersion
    df = np.maximum(quality.dispersions.degrees_of_freedom, 1.0)
    formula = _half(start, start.estimate, flat, curve, df, level)
    return np.where(own, 0.5 * (quality.upper - quality.lower) / np.maximum(formula, 1e-12), 1.0)


def _will_show(quality: GroupQuality, more: Floats) -> NDArray[np.bool_]:
    """(K, G) whether there will be an interval that rests on the group's own grades."""
    alone = MINIMUMS.prompts_alone_binary if quality.binary else MINIMUMS.prompts_alone
    enough = quality.means.n_prompts + more >= (1 if quality.pools else alone)
    return np.asarray(enough & (quality.means.n_units > 0) & (quality.dispersions is not None))


def _worth_of_df(means: RectifiedMeans) -> float:
    """What a degree of freedom is worth to the variance of residuals of kurtosis k: 2 / (k - 1), at most 1.

    k is drawn to that of the normal law, 3, by `_NORMAL_RESIDUALS` residuals.
    """
    variance = means.residual_variance[means.pair_group]
    used = np.isfinite(variance) & (variance > 0) & (means.pair_weight > 0)
    u = means.pair_influence[used] * (1.0 - means.pair_weight[used]) / means.pair_weight[used]
    square = u**2 / variance[used]
    if not square.size or square.mean() <= 0:
        return 1.0
    fourth = float((square**2).sum() / square.mean() ** 2)
    kurtosis = (fourth + 3.0 * _NORMAL_RESIDUALS) / (square.size + _NORMAL_RESIDUALS)
    return min(1.0, 2.0 / max(kurtosis - 1.0, 1e-9))


def _range(df: Floats, more: Floats, uncertain: Floats) -> tuple[Floats, Floats]:
    """Factors on a half-width between which it comes with probability `RANGE`."""
    before, new = np.maximum(df, 1.0), np.maximum(more, 1e-6)
    z = float(ndtri(0.5 + RANGE / 2))
    ends = []
    for tail, sign in ((0.5 - RANGE / 2, -1.0), (0.5 + RANGE / 2, 1.0)):
        ratio = (before + new * fdtri(new, before, tail)) / (before + new)
        ends.append(np.exp(sign * np.hypot(0.5 * np.log(ratio), z * uncertain)))
    return ends[0], ends[1]


def _mean(half: Floats, uncertain: Floats) -> tuple[Floats, Floats]:
    """(K,) mean over groups, NaN over none, and its relative standard deviation from what is not shared."""
    total, apart = half.sum(1), np.sqrt(((half * uncertain) ** 2).sum(1))
    count = half.shape[1]
    return (total / count, apart / total) if count else (np.full(len(half), np.nan), np.zeros(len(half)))
