r"""What missing verdicts could have done to a corrected mean, where the panel's predictions rest on verdicts.

The prediction f_i of a row follows its verdicts v_ij by a line, fitted within groups (b_j >= 0),

    f_i = c_g + sum_j b_j w_ij,     w_ij = v_ij, or, where j said nothing, the mean r_i of what was said,

so a missing verdict that would have been e moves w_ij to e, and r_i with it. The rectified mean (`rectifier`)
of group g of N rows, graded ones A,

    theta_g = sum_A a_i (y_i - lam (f_i - f_g)) / sum_A a_i,    f_g = sum f_i / N,

is linear in f, with the weight lam / N, less lam a_i / sum a on graded rows (which leaves no more than 0
where anchors are part of the traffic). With lam as it is and every e in [0, 1] it is largest with e = 1 on
rows that nobody graded and e = 0 on graded ones, and least the other way round. A pooled estimate (`eblup`)
is theta_g by its ``own_share`` q_g only; the rest is what the other groups say, d_h being theta_h less the
line of h on the mean panel score s_h with slope beta, which moves likewise:

    move_g = q_g dtheta_g + (1 - q_g) (beta ds_g + mean over other groups h of (dtheta_h - beta ds_h)).

So the other two corners, every row alike, are tried too. Where missing verdicts would have been some
standard deviations better than what was said, graded or not (``shifts``), theta_g moves only as far as graded
rows have more or fewer of them than the others: anchors that are a fair sample guard against it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.grouped import sum_by

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

_CORNERS = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0))  # on rows nobody graded, on graded rows
_MOST_ROWS = 5_000  # that the line is fitted to: its slopes are then known to some hundredths
_RIDGE = 1e-6  # per row: judges who always say the same share their weight


@dataclass(frozen=True, slots=True)
class Moves:
    """How far the estimates of G groups move: ``low``, ``high`` (G,) at the corners, 0 included; ``shifted``
    (shifts, G)."""

    low: Floats
    high: Floats
    shifted: Floats


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Verdicts on 0 to 1 by row and judge, (c,), and the missing ones, (u,), with the standard deviations of
    their judges' verdicts. ``judges`` is J."""

    row: Ints
    judge: Ints
    value: Floats
    missing_row: Ints
    missing_judge: Ints
    missing_sd: Floats
    judges: int

    def matrix(self, rows: Ints, size: int) -> Floats:
        """(rows, J), NaN where there is none; ``size`` rows there are in all."""
        place = np.full(size, -1)
        place[rows] = np.arange(rows.size)
        own = place[self.row] >= 0
        out = np.full((rows.size, self.judges), np.nan)
        out[place[self.row[own]], self.judge[own]] = self.value[own]
        return out


def corrected_moves(
    *,
    verdicts: Verdicts,
    group: Ints,
    prediction: Floats,
    score: Floats,
    anchor_weight: Floats,
    lam: float,
    own_share: Floats,
    score_slope: float,
    shifts: Sequence[float],
) -> Moves:
    """Move predictions and panel scores as missing verdicts could have, and the estimates with them.

    Parameters
    ----------
    group : (n,) in [0, G)
    prediction, score : (n,)
        What the corrected means were made from; NaN where no judge said anything.
    anchor_weight : (n,)
        a, 0 where nobody graded.
    lam, own_share, score_slope
        Of the estimate: `rectifier.PowerTuning`, and (G,) and beta of `group_quality.GroupQuality`; a share
        of NaN: the panel has no say.
    shifts
        In standard deviations of the judges.
    """
    groups, n = own_share.size, group.size
    rows, place = np.unique(verdicts.missing_row, return_inverse=True)
    was = verdicts.matrix(rows, n)
    base = _said(was, group[rows], verdicts, group, groups)
    before = np.where(np.isnan(was), base[:, None], was)
    slopes = _slopes(verdicts, group, groups, prediction, score)
    of, weight = group[rows], anchor_weight[rows]
    size = np.maximum(np.bincount(group, minlength=groups), 1)
    total = sum_by(group.astype(np.int64), anchor_weight, groups)
    anchored = total > 0
    others = max(int(anchored.sum()) - 1, 1)

    def move(said: Floats) -> Floats:
        now = was.copy()
        now[place, verdicts.missing_judge] = said
        mean = np.nanmean(now, axis=1)
        step = np.where(np.isnan(now), mean[:, None], now) - before
        f, s = (step @ b for b in slopes)
        graded = np.where(anchored, sum_by(of, weight * f, groups) / np.where(anchored, total, 1.0), 0.0)
        own = np.where(anchored, lam * (sum_by(of, f, groups) / size - graded), 0.0)
        line = score_slope * sum_by(of, s, groups) / size
        lead = np.where(anchored, own - line, 0.0)
        rest = line + (lead.sum() - lead) / others
        return np.asarray(np.nan_to_num(own_share * own + (1.0 - own_share) * rest))

    on_graded = anchor_weight[verdicts.missing_row] > 0
    corners = np.array([np.zeros(groups), *(move(np.where(on_graded, yes, no)) for no, yes in _CORNERS)])
    at = base[place]
    shifted = [move(np.clip(at + shift * verdicts.missing_sd, 0.0, 1.0)) for shift in shifts]
    return Moves(corners.min(axis=0), corners.max(axis=0), np.array(shifted).reshape(len(shifts), groups))


def _said(values: Floats, own: Ints, verdicts: Verdicts, group: Ints, groups: int) -> Floats:
    """(rows,) mean of what was said of each row; where nothing was, the mean of its group."""
    told = np.isfinite(values).any(axis=1)
    of = group[verdicts.row]
    count = np.bincount(of, minlength=groups)
    every = float(verdicts.value.mean()) if verdicts.value.size else 0.5
    mean = np.where(count > 0, sum_by(of, verdicts.value, groups) / np.maximum(count, 1), every)
    out = mean[own]
    out[told] = np.nanmean(values[told], axis=1)
    return out


def _slopes(
    verdicts: Verdicts, group: Ints, groups: int, prediction: Floats, score: Floats
) -> tuple[Floats, Floats]:
    """(J,) slopes of predictions and of scores on what the judges said, within groups."""
    told = np.bincount(verdicts.row, minlength=group.size) > 0
    known = np.flatnonzero(told & np.isfinite(prediction) & np.isfinite(score))
    known = known[:: -(-known.size // _MOST_ROWS)] if known.size else known
    if not known.size:
        return np.zeros(verdicts.judges), np.zeros(verdicts.judges)
    values = verdicts.matrix(known, group.size)
    x = np.where(np.isnan(values), np.nanmean(values, axis=1)[:, None], values)
    g = group[known].astype(np.int64)
    count = np.maximum(np.bincount(g, minlength=groups), 1)

    def within(column: Floats) -> Floats:
        return np.asarray(column - (sum_by(g, column, groups) / count)[g])

    dx = np.column_stack([within(column) for column in x.T])
    return _line(dx, within(prediction[known])), _line(dx, within(score[known]))


def _line(dx: Floats, dy: Floats) -> Floats:
    """(J,) least squares of dy on dx, none negative."""
    free = np.arange(dx.shape[1])
    slopes = np.zeros(dx.shape[1])
    while free.size:  # drop what would be negative, and fit the rest again
        gram = dx[:, free].T @ dx[:, free] + _RIDGE * len(dy) * np.eye(free.size)
        b = np.linalg.solve(gram, dx[:, free].T @ dy)
        if (b >= 0).all():
            slopes[free] = b
            break
        free = free[b > 0]
    return slopes
