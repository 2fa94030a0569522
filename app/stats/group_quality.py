"""Mean human grade of every group, with an interval that holds at few anchors.

Puts together `rectifier` (unbiased means), `variances` (moderated dispersions), `eblup` (shrinkage across
groups) and `fab` (intervals). Which of them a group gets hangs on how many anchors there are, never on what
they say of the group's mean (a switch on the estimate breaks coverage):

    pooled       enough groups have anchors: EBLUP inside a FAB interval, its prior from the other groups
    alone        too few groups, enough anchors of its own: rectified mean, score interval with the t
    labels_only  too few of the rarer grades to trust a variance: no panel, the largest dispersion there
                 is, 1 (for binary grades exactly Wilson's interval)
    others       no anchors of its own, enough other groups with some: predicted, declared exchangeable
    none         nothing can be said on the human scale
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from app.stats.difference import shared_prompt_correlation
from app.stats.eblup import Shrunk, shrink
from app.stats.fab import fab_intervals
from app.stats.grouped import coded, sum_by
from app.stats.rectifier import Population, RectifiedMeans, rectified_means
from app.stats.variances import Dispersions, moderated_dispersions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SLOPE_SD = (0.25, 0.03)  # between groups: of the panel's slope around the units' one; of length
_IDENTITY_SD = 0.3  # of the units' slope around 1: panel and people grade on one scale
_LEVEL_SD = (0.02, 0.1, 0.5)  # of people's level around the panel's: the same, another, anything
_LENGTH_SD = 0.03  # of length's effect around 0, per standard deviation of log length (0.12 of 1 to 5)


class Basis(StrEnum):
    """What a group's estimate stands on."""

    POOLED = "pooled"
    ALONE = "alone"
    LABELS_ONLY = "labels_only"
    OTHERS = "others"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Minimums:
    """Labelled prompts and groups below which an estimator's interval was seen not to hold (simulations)."""

    prompts_alone: int = 20
    prompts_alone_binary: int = 30
    off_mode: int = 5
    groups_pooled: int = 4
    prompts_in_all: int = 20
    pooled_df: float = 15.0
    groups_unanchored: int = 5
    prompts_unanchored: int = 10


MINIMUMS = Minimums()


@dataclass(frozen=True, slots=True)
class GroupQuality:
    """Estimates of S groups on the unit scale; arrays (S,), NaN where ``basis`` is none.

    Attributes
    ----------
    estimate, lower, upper : mean human grade with its interval.
    basis : (S,) what each stands on.
    effective_sample_size : human grades that would have given the same width without a panel or other groups.
    mode, off_mode : the group's commonest grade (NaN without anchors), and how many anchors have another.
    binary : whether every human grade is 0 or 1.
    means, dispersions, shrunk : the parts; None where they could not be had.
    correlation : of two groups' residuals on a shared prompt.
    own_share : how much of ``estimate`` is the group's own rectified mean, the rest is what the others and
        its panel scores say; NaN where it rests on labels alone.
    score_slope : how far that rest follows the mean panel score.
    """

    estimate: Floats
    lower: Floats
    upper: Floats
    basis: tuple[Basis, ...]
    effective_sample_size: Floats
    mode: Floats
    off_mode: Ints
    binary: bool
    means: RectifiedMeans
    dispersions: Dispersions | None
    shrunk: Shrunk | None
    correlation: float
    own_share: Floats
    score_slope: float

    @property
    def pools(self) -> bool:
        """Whether groups lent each other their variance and their mean."""
        return self.shrunk is not None


def group_quality(
    *,
    group: NDArray[np.integer],
    prompt: NDArray[np.integer],
    prediction: Floats,
    human: Floats,
    groups: int,
    panel_score: Floats | None = None,
    reliability: Floats | None = None,
    length: Floats | None = None,
    inclusion: Floats | None = None,
    level: float = 0.95,
    population: Population = "stream",
    lam_max: float = 1.0,
    minimums: Minimums = MINIMUMS,
) -> GroupQuality:
    """Estimate every group's mean human grade.

    Parameters
    ----------
    group, prompt, prediction, human, groups, inclusion, population, lam_max
        As in `rectifier.rectified_means`; grades and predictions on the unit scale.
    panel_score : (n,)
        The panel's score of every unit on any scale, made without any human grade: what groups are compared
        by. ``prediction`` by default, which is right only if no human grade of the group entered it.
    reliability : (n,)
        Share of ``panel_score``'s variance within groups that is signal; 1 by default.
    length : (n,)
        Length of the answer in words, NaN where unknown.
    level : float
        Coverage of the intervals.
    """
    means = rectified_means(
        group=group, prompt=prompt, prediction=prediction, human=human, groups=groups,
        inclusion=inclusion, population=population, lam_max=lam_max,
    )  # fmt: skip
    graded = human[(group >= 0) & ~np.isnan(human)]
    binary = bool(graded.size and np.isin(graded, (0.0, 1.0)).all())
    off_mode, mode = _modes(group, human, groups)
    anchored = means.n_prompts >= 1
    total_prompts = np.unique(means.pair_prompt).size
    pools = bool(
        (means.n_prompts >= 2).sum() >= minimums.groups_pooled
        and total_prompts >= minimums.prompts_in_all
        and np.nansum(means.degrees_of_freedom) >= minimums.pooled_df
    )
    dispersions = moderated_dispersions(
        variance=means.residual_variance,
        degrees_of_freedom=means.degrees_of_freedom,
        mean=means.estimate,
        effective_n=means.effective_prompts,
        off_mode=off_mode,
        mode=mode,
        pool=pools,
    )
    basis = _bases(means, off_mode, binary, pools and dispersions is not None, minimums)
    rho = shared_prompt_correlation(means)
    shrunk, slope = None, 0.0
    own_share = np.where([one is Basis.ALONE for one in basis], 1.0, np.nan)
    if pools and dispersions is not None:
        covariates, x, line, slope = _group_covariates(
            group, panel_score, prediction, reliability, length, human, groups
        )
        variance = _sampling_variance(means, dispersions)
        shared = _shared_covariance(means, dispersions, rho)
        shrunk = shrink(
            estimate=np.where(anchored, means.estimate, np.nan),
            variance=np.where(anchored, variance, np.nan),
            prediction=x,
            covariates=covariates,
            slope_sd=np.array(_SLOPE_SD[: covariates.shape[1]]),
            shared_covariance=float(shared[anchored].mean()),
            level_sd=_LEVEL_SD,
        )
        with_prior = shared * shrunk.prior_response + _shared_with_own_prediction(
            means, line, group, prompt, population
        )
        kappa = np.where(anchored, with_prior / np.maximum(variance, 1e-12), 0.0)
        own_share = np.where(anchored, shrunk.prior_variance / (shrunk.prior_variance + variance), 0.0)
        estimate, lower, upper = _pooled(means, dispersions, shrunk, kappa, basis, level, int(anchored.sum()))
    else:
        estimate, lower, upper = _alone(means, dispersions, basis, level)
    return GroupQuality(
        estimate=estimate,
        lower=lower,
        upper=upper,
        basis=basis,
        effective_sample_size=_effective_size(means, lower, upper, level, pools),
        mode=mode,
        off_mode=off_mode,
        binary=binary,
        means=means,
        dispersions=dispersions,
        shrunk=shrunk,
        correlation=rho,
        own_share=own_share,
        score_slope=slope,
    )


def pooled_difference_variance(
    quality: GroupQuality, a: int, b: int, overlap: float, traffic: float
) -> float:
    """Variance of theta_b - theta_a with moderated variances.

    ``overlap`` is sum_p w_pa w_pb (`difference.anchor_overlap`), ``traffic`` the covariance of the traffic
    parts.
    """
    assert quality.dispersions is not None
    variance = _sampling_variance(quality.means, quality.dispersions)
    s = np.sqrt(_prompt_variance(quality.means, quality.dispersions))
    covariance = quality.correlation * float(s[a] * s[b]) * overlap + traffic
    floor = 1e-3 * float(variance[a] + variance[b])
    return max(float(variance[a] + variance[b]) - 2.0 * covariance, floor)


def _bases(
    means: RectifiedMeans, off_mode: Ints, binary: bool, pools: bool, least: Minimums
) -> tuple[Basis, ...]:
    helped = int((means.n_prompts >= least.prompts_unanchored).sum())

    def basis(g: int) -> Basis:
        n = int(means.n_prompts[g])
        if means.n_units[g] == 0:
            return Basis.NONE
        if pools:
            if n >= 1:
                return Basis.POOLED
            return Basis.OTHERS if helped >= least.groups_unanchored else Basis.NONE
        if n < least.prompts_alone:
            return Basis.NONE
        few = off_mode[g] < least.off_mode or (binary and n < least.prompts_alone_binary)
        return Basis.LABELS_ONLY if few else Basis.ALONE

    return tuple(basis(g) for g in range(means.estimate.size))


def _pooled(
    means: RectifiedMeans,
    dispersions: Dispersions,
    shrunk: Shrunk,
    kappa: Floats,
    basis: tuple[Basis, ...],
    level: float,
    anchored: int,
) -> tuple[Floats, Floats, Floats]:
    curve = _per_prompt(means) * dispersions.dispersion
    lower, upper = fab_intervals(
        estimate=np.nan_to_num(means.estimate, nan=0.5),
        flat_variance=means.slope_variance + means.traffic_variance,
        curve=curve,
        degrees_of_freedom=np.maximum(dispersions.degrees_of_freedom, 1.0),
        prior_mean=shrunk.prior_mean,
        prior_variance=shrunk.prior_variance,
        shared=kappa,
        level=level,
    )
    others = np.array([b is Basis.OTHERS for b in basis])
    half = float(stdtrit(max(anchored - 2, 1), 0.5 + level / 2)) * np.sqrt(
        shrunk.prior_variance + means.traffic_variance
    )
    lower = np.where(others, np.maximum(shrunk.prior_mean - half, 0.0), lower)
    upper = np.where(others, np.minimum(shrunk.prior_mean + half, 1.0), upper)
    missing = np.array([b is Basis.NONE for b in basis])
    lower, upper = np.where(missing, np.nan, lower), np.where(missing, np.nan, upper)
    return np.where(missing, np.nan, np.clip(shrunk.estimate, lower, upper)), lower, upper


def _alone(
    means: RectifiedMeans, dispersions: Dispersions | None, basis: tuple[Basis, ...], level: float
) -> tuple[Floats, Floats, Floats]:
    """Score intervals without a prior; labels alone where the panel's variance cannot be trusted."""
    labels = np.array([b is Basis.LABELS_ONLY for b in basis])
    missing = np.array([b is Basis.NONE for b in basis])
    own = np.ones(labels.size) if dispersions is None else dispersions.dispersion
    df = np.full(labels.size, np.inf) if dispersions is None else dispersions.degrees_of_freedom
    centre = np.where(labels, means.human_mean, means.estimate)
    lower, upper = fab_intervals(
        estimate=np.nan_to_num(centre, nan=0.5),
        flat_variance=np.where(labels, 0.0, means.slope_variance + means.traffic_variance),
        curve=_per_prompt(means) * np.where(labels, 1.0, own),
        degrees_of_freedom=np.where(labels, np.inf, np.maximum(df, 1.0)),
        prior_mean=np.full(labels.size, 0.5),
        prior_variance=np.full(labels.size, np.inf),
        level=level,
    )
    lower, upper = np.where(missing, np.nan, lower), np.where(missing, np.nan, upper)
    return np.where(missing, np.nan, np.clip(centre, lower, upper)), lower, upper


def _per_prompt(means: RectifiedMeans) -> Floats:
    return np.where(
        means.effective_prompts > 0, means.finite_factor / np.maximum(means.effective_prompts, 1e-12), 0.0
    )


def _prompt_variance(means: RectifiedMeans, dispersions: Dispersions) -> Floats:
    """(S,) variance of one prompt's residual, at a mean that is drawn a little to the middle of all groups.

    A group whose anchors all agree would otherwise have a variance of 0 and could not be shrunk.
    """
    n = means.effective_prompts
    grand = float(np.nanmean(means.estimate))
    m = np.clip((n * np.nan_to_num(means.estimate, nan=grand) + 2.0 * grand) / (n + 2.0), 0.01, 0.99)
    return np.asarray(dispersions.dispersion * m * (1.0 - m))


def _sampling_variance(means: RectifiedMeans, dispersions: Dispersions) -> Floats:
    return (
        _prompt_variance(means, dispersions) * _per_prompt(means)
        + means.slope_variance
        + means.traffic_variance
    )


def _shared_covariance(means: RectifiedMeans, dispersions: Dispersions, rho: float) -> Floats:
    """(S,) mean covariance of each group's error with the other anchored groups', through shared prompts.

    What anchors share is told by weights and a common correlation; what the traffic shares besides (answers
    to the same prompts, graded or not) by the influences themselves, averaged over all pairs of groups.
    Where one group's gain is another's loss, as with pairs, it is negative.
    """
    by_anchors = _shared_by_anchors(means, dispersions, rho)
    return by_anchors if rho < 0 else np.maximum(by_anchors, _shared_in_all(means))


def _shared_with_own_prediction(
    means: RectifiedMeans,
    line: Floats,
    group: NDArray[np.integer],
    prompt: NDArray[np.integer],
    population: Population,
) -> Floats:
    """(S,) covariance of a group's estimate with the prediction that its prior is built on.

    Both rest on the group's panel scores: when the prompts that came happened to be easy, both are too
    high. Of x_s = sum line_i / n the influence of a prompt is sum (line_i - x_s) / n, so

        cov(y_s, x_s) = sum_p (psi_anchors_ps + psi_traffic_ps) xi_ps .

    Nothing is shared with ``these_units``, whose panel mean is what it is.
    """
    groups = means.estimate.size
    if population == "these_units":
        return np.zeros(groups)
    kept = group >= 0
    g = group[kept].astype(np.int64)
    p = coded(prompt[kept])[1]
    count = np.maximum(np.bincount(g, minlength=groups), 1)
    centre = sum_by(g, line[kept], groups) / count
    code, row = coded(p * groups + g)
    xi = sum_by(row, (line[kept] - centre[g]) / count[g])

    def at(prompts: Ints, of: Ints) -> Floats:
        return np.asarray(xi[np.searchsorted(code, prompts * groups + of)])

    traffic = sum_by(
        means.traffic_group, means.traffic_influence * at(means.traffic_prompt, means.traffic_group), groups
    )
    anchors = sum_by(means.pair_group, means.pair_influence * at(means.pair_prompt, means.pair_group), groups)
    return np.maximum(traffic + anchors, 0.0)


def _shared_in_all(means: RectifiedMeans) -> float:
    """Mean over pairs of anchored groups of sum_p psi_ps psi_pg, psi from anchors and traffic; at least 0."""
    anchored = means.n_prompts >= 1
    count = int(anchored.sum())
    if count < 2:
        return 0.0
    prompt = np.concatenate([means.pair_prompt, means.traffic_prompt])
    group = np.concatenate([means.pair_group, means.traffic_group])
    influence = np.concatenate([means.pair_influence, means.traffic_influence])
    kept = anchored[group]
    code, row = coded(prompt[kept] * anchored.size + group[kept])
    psi = sum_by(row, influence[kept])
    together = sum_by(coded(code // anchored.size)[1], psi)
    return max(float((together**2).sum() - (psi**2).sum()) / (count * (count - 1)), 0.0)


def _shared_by_anchors(means: RectifiedMeans, dispersions: Dispersions, rho: float) -> Floats:
    s = np.sqrt(_prompt_variance(means, dispersions) * means.finite_factor)
    ws = means.pair_weight * s[means.pair_group]
    row = np.unique(means.pair_prompt, return_inverse=True)[1]
    others = sum_by(row, ws)[row] - ws
    total = sum_by(means.pair_group, ws * others, means.estimate.size)
    return rho * total / max(int((means.n_prompts >= 1).sum()) - 1, 1)


def _group_covariates(
    group: NDArray[np.integer],
    panel_score: Floats | None,
    prediction: Floats,
    reliability: Floats | None,
    length: Floats | None,
    human: Floats,
    groups: int,
) -> tuple[Floats, Floats, Floats, float]:
    """(S, 1 or 2) covariates and (S,) prediction of the group means, from panel scores and lengths;
    (n,) the same line at every unit, whose group means the predictions are; and its slope on the score.

    One line for all groups: human grades on score and log length over all anchors, the score's slope divided
    by the panel's reliability (a unit's noise flattens it, a group's mean has none) and drawn to 1, length's
    to 0, as far as the anchors are unsure. It keeps the panel's own level at the anchors' mean score. How
    groups bend the line, and how far people's level is another, is for `eblup` to find.
    """
    score = prediction if panel_score is None else panel_score
    words = np.full(score.size, np.nan) if length is None else np.log1p(length)
    spread = float(np.nanstd(words)) if np.isfinite(words).any() else 0.0
    size = np.nan_to_num((words - np.nanmean(words)) / spread) if spread > 1e-6 else np.zeros(score.size)
    used = (group >= 0) & ~np.isnan(human) & ~np.isnan(score)
    flat = (
        float(np.clip(np.nanmean(reliability[used]), 0.2, 1.0))
        if reliability is not None and used.any()
        else 1.0
    )
    y, s, w = human[used], score[used], size[used]
    slope, length_slope = _line(y, s, w, flat)
    mean, mean_size = _group_mean(score, group, groups), _group_mean(size, group, groups)
    pivot, middle = (s.mean(), w.mean()) if y.size else (0.5, 0.0)
    x = pivot + slope * (mean - pivot) + length_slope * (mean_size - middle)
    columns = [slope * mean] if spread <= 1e-6 else [slope * mean, mean_size]
    line = slope * np.where(np.isnan(score), _at(mean, group), score) + length_slope * size
    return np.column_stack(columns), x, line, slope


def _at(means: Floats, group: NDArray[np.integer]) -> Floats:
    """(n,) the value of every unit's group; 0 where it has none."""
    return np.where(group >= 0, means[np.maximum(group, 0)], 0.0)


def _line(y: Floats, score: Floats, size: Floats, reliability: float) -> tuple[float, float]:
    """Slopes of the grade on score (disattenuated, not negative) and size, each drawn to its prior."""
    if y.size < 5 or score.var() < 1e-12:
        return 0.0, 0.0
    x = np.column_stack([score - score.mean(), size - size.mean()])
    gram = x.T @ x + np.diag([1e-9, 1e-9])
    raw = np.linalg.solve(gram, x.T @ (y - y.mean()))
    residual = y - y.mean() - x @ raw
    noise = max(float(residual @ residual) / (y.size - 3), 1e-8) * np.diag(np.linalg.inv(gram))
    variance = float(noise[0]) / reliability**2
    slope = max(float(raw[0]) / reliability, 0.0)
    slope = (slope / variance + 1.0 / _IDENTITY_SD**2) / (1.0 / variance + 1.0 / _IDENTITY_SD**2)
    return slope, float(raw[1]) * _LENGTH_SD**2 / (_LENGTH_SD**2 + float(noise[1]))


def _group_mean(values: Floats, group: NDArray[np.integer], groups: int) -> Floats:
    """Mean per group over known values; the mean of the other groups where a group has none."""
    known = (group >= 0) & np.isfinite(values)
    count = np.bincount(group[known], minlength=groups)
    mean = sum_by(group[known], values[known], groups) / np.maximum(count, 1)
    rest = float(mean[count > 0].mean()) if (count > 0).any() else 0.0
    return np.where(count > 0, mean, rest)


def _modes(group: NDArray[np.integer], human: Floats, groups: int) -> tuple[Ints, Floats]:
    """(S,) anchors whose grade is not the group's commonest one, and that one (NaN without anchors)."""
    used = (group >= 0) & ~np.isnan(human)
    g = group[used].astype(np.int64)
    grades, value = np.unique(np.round(human[used], 6), return_inverse=True)
    values = max(grades.size, 1)
    code, count = np.unique(g * values + value, return_counts=True)
    top, mode = np.zeros(groups, dtype=np.int64), np.full(groups, np.nan)
    order = np.argsort(count, kind="stable")
    owner = code[order] // values
    top[owner], mode[owner] = count[order], grades[code[order] % values]
    return np.bincount(g, minlength=groups) - top, mode


def _effective_size(means: RectifiedMeans, lower: Floats, upper: Floats, level: float, pools: bool) -> Floats:
    """Labels-only grades worth the same half-width: s_y^2 (z / half-width)^2."""
    variance = means.human_variance
    known = np.isfinite(variance)
    if pools and known.any():
        df = np.maximum(means.n_anchors - 1, 0)
        variance = np.full_like(variance, (df[known] * variance[known]).sum() / max(df[known].sum(), 1))
    half = 0.5 * (upper - lower)
    z = float(stdtrit(1e9, 0.5 + level / 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        size = variance * means.finite_factor * (z / half) ** 2
    return np.where(np.isfinite(size), size, np.nan)
