r"""Seats without a verdict: whether they are on better or worse answers, and what they may have hidden.

A *seat* is a judge that was asked about a unit; it is missing if none of its draws was scored. How many are
missing is a share (`shares`). Rows are units as a table counts them: a pair once for each of its systems.

**Related to quality.** What a missing verdict would have said is unknown, but other judges scored the same
unit. With v_ik the verdict of judge k on row i and mu_k its mean,

    o_ij = mean over k != j of (v_ik - mu_k)                                    (`others_score`)

is what the others say of the row, their severities removed. Within group g, for each judge against itself,

    o_ij = alpha_gj + beta_g m_ij + e_ij,        m_ij = 1 if j's verdict is missing,

so beta_g is how much better the others find rows where a judge is silent than rows where the same judge
spoke: 0 if verdicts go missing without regard to quality. By least squares, with dots for deviations from
means over (g, j),

    beta = sum m. o. / B,   B = sum m.^2,   V = sum_p (s_p / (1 - a_p / B))^2 / B^2,

s_p and a_p being the sums of m. (o. - beta m.) and m.^2 over the seats of prompt p: the variance is clustered
by prompt and corrected for each prompt's leverage (CR3, Bell & McCaffrey 2002). t has (sum a_p)^2 / sum
a_p^2 - 1 degrees of freedom, the effective number of clusters (Carter, Schnepel & Steigerwald 2017) less
one; where few verdicts are missing that is nearly the number of prompts where any is, less one.

**Bounds.** With r_i the mean of the k_i verdicts of a row and m_i missing ones, all on 0 to 1, the mean that
the group would have had lies (Manski 1989) between those with e = 0 and e = 1 in

    mean over rows with k_i + m_i > 0 of (k_i r_i + m_i e) / (k_i + m_i)         (`worst_case`).

Between these extremes, each missing verdict of judge j may have been d standard deviations of that judge's
verdicts away from what the others said (a pattern mixture with a sensitivity parameter, Rubin 1977):

    e_ij = min(1, max(0, r_i + d sd_j)),   with the group's mean for r_i where nobody scored   (`shifted`),

so that d = 0 leaves the group's mean of verdicts as it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from app.stats.grouped import sum_by

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]

LEAST_FREEDOM = 5.0  # below it the t interval of a handful of prompts says little and is not given
_NO_SPREAD = 1e-9  # of a standard error, on 0 to 1: the others say the same of every row


@dataclass(frozen=True, slots=True)
class Related:
    """How missing verdicts go along with quality; all (groups,), on the scale of the verdicts.

    ``difference``: beta. ``low``, ``high``: its interval; ``p_value``: two-sided, of 0. ``n``: missing seats
    on rows that another judge scored; ``freedom``: of t. NaN in all but ``n`` and ``freedom`` where the
    latter is below `LEAST_FREEDOM`, and in ``low``, ``high``, ``p_value`` where ``constant``: the others
    say the same of every row.
    """

    difference: Floats
    low: Floats
    high: Floats
    p_value: Floats
    n: NDArray[np.int64]
    freedom: Floats
    constant: Bools


def others_score(*, row: Ints, judge: Ints, value: Floats, rows: int, judges: int) -> Floats:
    """(s,): what the other judges say of a seat's row, NaN if none does.

    ``row``, ``judge``, ``value`` (s,) are of all seats, one per judge and row; a missing one's value is NaN.
    """
    scored = np.isfinite(value)
    count = np.bincount(judge, weights=scored, minlength=judges)
    mean = np.bincount(judge, weights=np.where(scored, value, 0.0), minlength=judges) / np.maximum(count, 1)
    centred = np.where(scored, value - mean[judge], 0.0)
    others = np.bincount(row, weights=scored, minlength=rows)[row] - scored
    total = np.bincount(row, weights=centred, minlength=rows)[row] - centred
    return np.where(others > 0, total / np.maximum(others, 1), np.nan)


def related_to_quality(
    *, judge: Ints, cluster: Ints, cluster_group: Ints, missing: Bools, others: Floats,
    groups: int, judges: int, level: float = 0.95,
) -> Related:  # fmt: skip
    """beta of every group with its interval.

    ``judge``, ``cluster``, ``missing``, ``others`` (s,) are of all seats; ``cluster`` codes a prompt within a
    group, and ``cluster_group`` (clusters,) says which group that is.
    """
    known = np.isfinite(others)
    if not known.all():
        judge, cluster, missing, others = judge[known], cluster[known], missing[known], others[known]
    clusters = len(cluster_group)
    cell = cluster_group[cluster] * judges + judge
    cells = groups * judges
    size = np.maximum(np.bincount(cell, minlength=cells), 1)
    silent = np.bincount(cell[missing], minlength=cells)
    m = missing - (silent / size)[cell]
    o = others - (sum_by(cell, others, cells) / size)[cell]
    leverage = sum_by(cluster, m * m, clusters)
    product = sum_by(cluster, m * o, clusters)
    spread = sum_by(cluster_group, leverage, groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        beta = sum_by(cluster_group, product, groups) / spread
        freedom = np.nan_to_num(spread**2 / sum_by(cluster_group, leverage**2, groups) - 1)
        enough = freedom >= LEAST_FREEDOM
        beta[~enough] = np.nan
        score = product - beta[cluster_group] * leverage
        corrected = score / (1 - leverage / spread[cluster_group])
        se = np.sqrt(sum_by(cluster_group, corrected**2, groups)) / spread
        constant = enough & (se < _NO_SPREAD)
        se[constant] = np.nan
        half = stats.t.ppf(0.5 + level / 2, freedom) * se
        p = np.asarray(2 * stats.t.sf(np.abs(beta / se), freedom))
    n = silent.reshape(groups, judges).sum(axis=1)
    return Related(beta, beta - half, beta + half, p, n, np.maximum(freedom, 0.0), constant)


def worst_case(
    *, group: Ints, raw: Floats, scored: Ints, missing: Ints, groups: int
) -> tuple[Floats, Floats, Floats]:
    """Each group's mean as it is, and the least and the most it could have been; (groups,), NaN if empty.

    All of 0 to 1 and (rows,): ``raw`` mean of the ``scored`` verdicts (NaN without), ``missing`` ones.
    """
    asked = scored + missing
    told = scored > 0
    rows = np.maximum(asked, 1)
    least = np.where(told, scored * np.nan_to_num(raw), 0.0) / rows
    as_it_is = _means(group[told], raw[told], groups)
    low = _means(group[asked > 0], least[asked > 0], groups)
    high = low + _means(group[asked > 0], (missing / rows)[asked > 0], groups)
    return as_it_is, low, np.minimum(high, 1.0)


def shifted(
    *, group: Ints, raw: Floats, scored: Ints, missing_row: Ints, missing_sd: Floats, groups: int,
    shift: float,
) -> Floats:  # fmt: skip
    """(groups,): each group's mean had every missing verdict been ``shift`` standard deviations better.

    ``group``, ``raw``, ``scored`` (rows,) as in `worst_case`. ``missing_row`` (u,): the rows of missing
    seats, ``missing_sd`` (u,): the standard deviations of their judges' verdicts.
    """
    told = scored > 0
    base = np.where(told, raw, _means(group[told], raw[told], groups)[group])
    said = np.clip(base[missing_row] + shift * missing_sd, 0.0, 1.0)
    asked = scored + np.bincount(missing_row, minlength=len(group))
    total = scored * np.where(told, raw, 0.0) + sum_by(missing_row, said, len(group))
    rows = asked > 0
    return _means(group[rows], total[rows] / asked[rows], groups)


def _means(group: Ints, value: Floats, groups: int) -> Floats:
    count = np.bincount(group, minlength=groups)
    return np.where(count > 0, sum_by(group, value, groups) / np.maximum(count, 1), np.nan)
