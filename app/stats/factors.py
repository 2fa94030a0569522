"""One common factor behind the judges: what any subset of a panel says, on one scale.

Scores follow S_j = mu_j + b_j q + e_j with Var(q) = 1 and errors that may be correlated (judges of
one family err together). For an observed subset o the regression factor score is
F = b_o' Sigma_oo^-1 (S_o - mu_o), its reliability r = b_o' Sigma_oo^-1 b_o, and G = F / r is the
unshrunk (Bartlett-type) score with error variance (1 - r) / r on q's scale.

Source: Thurstone (1935) and Bartlett (1937) factor scores; loadings by weighted least squares on
correlations (a minres fit) over pairs of different families, so that what a family shares is not
taken for quality.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.errors import InsufficientData
from app.stats.panel_moments import Moments, estimate_moments, group_patterns

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_RELIABILITY = 0.98  # a subset is never taken to be free of error
_LEAST_REPEATS = 5  # degrees of freedom for a judge's own repeat variance
_WEAK_CORRELATION = 0.02
_EQUAL_PULL = 0.05  # weight (in pairs) of "all judges load alike" in the loadings


@dataclass(frozen=True, slots=True)
class PanelFactor:
    """The fitted factor over J judges; arrays by judge code.

    ``used`` bool (J,): judges that carry weight; others (too few units, constant) have ``reason``.
    ``mean`` mu, ``sd``, ``loading`` b = sd times the standardised loading, ``covariance`` Sigma (for
    unused judges 0 and identity). ``repeat_variance`` (J,): of one draw around the judge's own mean on a
    unit, NaN where nothing was repeated; ``mean_inverse_draws`` (J,): mean of 1 / draws in the data,
    so that a mean of d draws has variance Sigma_jj + repeat_variance * (1/d - mean_inverse_draws).
    ``units`` (J,) counts, ``overlaps`` (J, J).
    ``consensus_mean`` and ``consensus_slope``: the raw panel mean is consensus_mean + consensus_slope * q
    on average, so consensus_mean + consensus_slope * G is a score on the judges' common scale.
    ``assumed_reliability`` is True where no two judges ever met and loadings are a convention;
    ``weak`` is True where judges that met hardly correlate (all load alike then).
    """

    mean: Floats
    sd: Floats
    loading: Floats
    covariance: Floats
    used: NDArray[np.bool_]
    reason: tuple[str | None, ...]
    repeat_variance: Floats
    mean_inverse_draws: Floats
    units: Floats
    overlaps: Floats
    consensus_mean: float
    consensus_slope: float
    mean_correlation: float
    assumed_reliability: bool
    weak: bool
    iterations: int
    converged: bool


@dataclass(frozen=True, slots=True)
class FactorScores:
    """Per unit (n,): ``score`` G and ``reliability`` r of the judges that sat; NaN and 0 where none did."""

    score: Floats
    reliability: Floats


def fit_panel_factor(
    *,
    unit: Ints,
    judge: Ints,
    value: Floats,
    draws: Ints,
    within: Floats,
    families: Sequence[str],
    centred: bool = True,
    least_units: int = 5,
) -> PanelFactor:
    """Fit the factor to cells: one per unit and judge, ``value`` its mean over ``draws`` repeats.

    ``within`` (c,) is the sum of squared deviations of the draws around that mean. ``families`` has
    J names. Scores share one scale with higher meaning better. Judges with fewer than
    ``least_units`` units, or always the same score, carry no weight.

    Raises
    ------
    InsufficientData
        If no judge has that many scored units that differ.
    """
    judges = len(families)
    units = np.bincount(judge, minlength=judges).astype(float)
    spread = _variance_by(judge, value, judges, centred)
    used = (units >= least_units) & (spread > 1e-9)
    reason = tuple(
        None if used[j] else f"{int(units[j])} scored units, {least_units} needed" if units[j] < least_units
        else "gives every unit the same score"
        for j in range(judges)
    )  # fmt: skip
    if not used.any():
        raise InsufficientData("judges with scores that differ", have=0, need=1)
    kept = np.flatnonzero(used)
    code = np.full(judges, -1)
    code[kept] = np.arange(len(kept))
    cells = used[judge]
    patterns = group_patterns(
        unit=unit[cells], judge=code[judge[cells]], value=value[cells], judges=len(kept)
    )
    moments = estimate_moments(patterns, centred=centred)
    standard, weak = _standardised_loadings(moments, [families[int(j)] for j in kept])
    sd = np.sqrt(np.diag(moments.covariance))
    share = units[kept] / units[kept].sum()
    repeat, inverse = _repeats(judge, draws, within, judges)
    full_mean, full_sd, loading = np.zeros(judges), np.zeros(judges), np.zeros(judges)
    full_mean[kept], full_sd[kept], loading[kept] = moments.mean, sd, standard * sd
    covariance, overlaps = np.eye(judges), np.zeros((judges, judges))
    covariance[np.ix_(kept, kept)], overlaps[np.ix_(kept, kept)] = moments.covariance, moments.overlaps
    return PanelFactor(
        mean=full_mean, sd=full_sd, loading=loading, covariance=covariance, used=used, reason=reason,
        repeat_variance=repeat, mean_inverse_draws=inverse, units=units, overlaps=overlaps,
        consensus_mean=float(share @ moments.mean), consensus_slope=float(share @ (standard * sd)),
        mean_correlation=moments.mean_correlation, assumed_reliability=not moments.connected, weak=weak,
        iterations=moments.iterations, converged=moments.converged,
    )  # fmt: skip


def _variance_by(judge: Ints, value: Floats, judges: int, centred: bool) -> Floats:
    units = np.maximum(np.bincount(judge, minlength=judges), 1)
    mean = np.bincount(judge, weights=value, minlength=judges) / units
    deviation = value - mean[judge] if centred else value
    result: Floats = np.bincount(judge, weights=deviation**2, minlength=judges) / units
    return result


def _repeats(judge: Ints, draws: Ints, within: Floats, judges: int) -> tuple[Floats, Floats]:
    freedom = np.bincount(judge, weights=draws - 1.0, minlength=judges)
    squares = np.bincount(judge, weights=within, minlength=judges)
    variance = np.where(freedom >= _LEAST_REPEATS, squares / np.maximum(freedom, 1.0), np.nan)
    cells = np.maximum(np.bincount(judge, minlength=judges), 1)
    return variance, np.bincount(judge, weights=1.0 / draws, minlength=judges) / cells


def _standardised_loadings(moments: Moments, families: Sequence[str]) -> tuple[Floats, bool]:
    """Loadings in [0, .98] by alternating weighted least squares on off-diagonal correlations."""
    scale = np.sqrt(np.diag(moments.covariance))
    correlation = moments.covariance / np.outer(scale, scale)
    names = np.asarray(families)
    other = np.not_equal.outer(names, names).astype(float)
    weight = moments.overlaps / (moments.overlaps + 50.0)  # a correlation of few units says little
    np.fill_diagonal(weight, 0.0)
    across = weight * other
    use = across if len(set(families)) >= 3 and (across > 0).any() else weight
    lonely = np.max(use, axis=1) <= 0
    use = np.where(lonely[:, None] | lonely[None, :], weight, use)
    pooled = float((use * correlation).sum() / use.sum()) if use.sum() > 0 else moments.mean_correlation
    weak = moments.connected and pooled < _WEAK_CORRELATION
    start = np.sqrt(max(pooled, _WEAK_CORRELATION))
    loading = np.full(len(scale), start)
    if weak or not moments.connected:
        return loading, weak
    for _ in range(500):
        before = loading
        target = (use * correlation) @ loading + _EQUAL_PULL * start
        fresh = target / ((use @ loading**2) + _EQUAL_PULL)
        loading = np.clip((before + fresh) / 2, 0.0, np.sqrt(MAX_RELIABILITY))
        if np.abs(loading - before).max() < 1e-8:
            break
    return loading, weak


def subset_weights(factor: PanelFactor, judges: Ints, draws: Ints) -> tuple[Floats, float]:
    """Weights of G for one subset of used judges: G = weights @ (S - mean), and the reliability r.

    ``judges`` and ``draws`` (k,) are codes and numbers of repeats behind each score.
    """
    own = factor.covariance[np.ix_(judges, judges)].copy()
    noise = factor.repeat_variance[judges] * (1.0 / draws - factor.mean_inverse_draws[judges])
    own[np.diag_indices(len(judges))] += np.nan_to_num(noise)
    loading = factor.loading[judges]
    pull: Floats = np.linalg.solve(own, loading).astype(np.float64)
    reliability = float(pull @ loading)
    if reliability <= 1e-9:
        return np.zeros(len(judges)), 0.0
    return pull / reliability, min(reliability, MAX_RELIABILITY)


def score_units(
    factor: PanelFactor, *, unit: Ints, judge: Ints, value: Floats, draws: Ints, units: int
) -> FactorScores:
    """Factor scores of ``units`` units from cells (one per unit and judge, any order)."""
    score, reliability = np.full(units, np.nan), np.zeros(units)
    keep = factor.used[judge]
    unit, judge, value, draws = unit[keep], judge[keep], value[keep], draws[keep]
    if not len(unit):
        return FactorScores(score, reliability)
    order = np.lexsort((judge, unit))
    unit, judge, value, draws = unit[order], judge[order], value[order], draws[order]
    starts = np.flatnonzero(np.r_[True, unit[1:] != unit[:-1]])
    sizes = np.diff(np.r_[starts, len(unit)])
    repeated = np.isfinite(factor.repeat_variance[judge])
    kind = judge * (int(draws.max()) + 1) + np.where(repeated, draws, 1)
    for size in np.unique(sizes):
        rows = starts[sizes == size][:, None] + np.arange(size)
        _, first, which = np.unique(kind[rows], axis=0, return_index=True, return_inverse=True)
        solved = [subset_weights(factor, judge[rows[k]], draws[rows[k]]) for k in first]
        weights, reliable = np.array([w for w, _ in solved]), np.array([r for _, r in solved])
        which = which.ravel()
        deviation = value[rows] - factor.mean[judge[rows]]
        good = reliable[which] > 0
        score[unit[rows[:, 0]]] = np.where(good, (weights[which] * deviation).sum(axis=1), np.nan)
        reliability[unit[rows[:, 0]]] = reliable[which]
    return FactorScores(score, reliability)
