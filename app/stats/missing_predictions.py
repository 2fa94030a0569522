r"""What missing verdicts could have done to a corrected mean, where the panel's predictions rest on verdicts.

The prediction f_i of a row follows its verdicts v_ij by a line, fitted within groups (b_j >= 0),

    f_i = c_g + sum_j b_j w_ij,     w_ij = v_ij, or, where j said nothing, the mean r_i of what was said,

so a missing verdict that would have been e moves w_ij to e, and r_i with it. The rectified mean (`rectifier`)
of group g of N rows, graded ones A,

    theta_g = sum_A a_i (y_i - lam (f_i - f_g)) / sum_A a_i,    f_g = sum f_i / N,

is linear in f with the weight lam (1/N - a_i / sum a) on graded rows, never positive while anchors are a part
of the traffic, and lam / N on others. With every e in [0, 1] and lam as it is, it is largest with e = 1 on
rows that nobody graded and e = 0 on graded ones, least the other way round. An estimate that leans on the
panel's mean too need not follow: all four corners are tried (`extremes`). Where missing verdicts would have
been d standard deviations better than what was said, graded or not (`shifted`), theta_g moves only as far
as graded rows have more or fewer of them than the others: anchors that are a fair sample guard against it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.grouped import sum_by

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]
Estimate = Callable[[Floats, Floats], Floats]

_CORNERS = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0))  # on rows nobody graded, on graded rows
_RIDGE = 1e-6  # per row: judges who always say the same share their weight


@dataclass(frozen=True, slots=True)
class Moves:
    """How far the estimates of G groups move: ``low``, ``high`` (G,) at the corners, 0 included; ``shifted``
    (shifts, G)."""

    low: Floats
    high: Floats
    shifted: Floats


def corrected_moves(
    *,
    estimate: Estimate,
    prediction: Floats,
    score: Floats,
    values: Floats,
    group: Ints,
    graded: NDArray[np.bool_],
    missing_row: Ints,
    missing_judge: Ints,
    missing_sd: Floats,
    shifts: Sequence[float],
) -> Moves:
    """Move predictions and panel scores as missing verdicts could have, and estimate again.

    Parameters
    ----------
    estimate
        Predictions and scores (n,) to the estimates (G,), at a fixed power tuning.
    prediction, score : (n,)
        As they are; NaN where no judge said anything.
    values : (n, J)
        Verdicts on 0 to 1, NaN where there is none.
    group : (n,) in [0, G)
    graded : (n,)
    missing_row, missing_judge, missing_sd : (u,)
        The missing seats, and the standard deviations of their judges' verdicts.
    shifts
        In such standard deviations.
    """
    groups = int(group.max(initial=-1)) + 1
    told = np.isfinite(values).any(axis=1)
    said = np.full(len(values), np.nan)
    said[told] = np.nanmean(values[told], axis=1)
    base = np.where(told, said, _mean_of(said, group, groups)[group])
    slopes = [_line(one, values, base, group, groups) for one in (prediction, score)]
    filled = [
        np.where(np.isnan(one), _mean_of(one, group, groups)[group], one) for one in (prediction, score)
    ]
    as_it_is = estimate(filled[0], filled[1])

    def move(said_of_missing: Floats) -> Floats:
        step = _step(values, base, missing_row, missing_judge, said_of_missing)
        return estimate(*(one + step @ b for one, b in zip(filled, slopes, strict=True))) - as_it_is

    on_graded = graded[missing_row]
    corners = np.array([move(np.where(on_graded, yes, no)) for no, yes in _CORNERS])
    moved = [move(np.clip(base[missing_row] + shift * missing_sd, 0.0, 1.0)) for shift in shifts]
    none = np.zeros((1, groups))
    return Moves(
        low=np.concatenate([corners, none]).min(axis=0), high=np.concatenate([corners, none]).max(axis=0),
        shifted=np.array(moved).reshape(len(shifts), groups),
    )  # fmt: skip


def _line(target: Floats, values: Floats, base: Floats, group: Ints, groups: int) -> Floats:
    """(J,) slopes of ``target`` on what the judges said, within groups; none is negative."""
    used = np.isfinite(target) & np.isfinite(values).any(axis=1)
    if not used.any():
        return np.zeros(values.shape[1])
    x = np.where(np.isnan(values[used]), base[used, None], values[used])
    g, count = group[used], np.maximum(np.bincount(group[used], minlength=groups), 1)
    dx = np.column_stack([column - (sum_by(g, column, groups) / count)[g] for column in x.T])
    dy = target[used] - (sum_by(g, target[used], groups) / count)[g]
    free = np.arange(values.shape[1])
    while free.size:  # drop what would be negative, and fit the rest again
        gram = dx[:, free].T @ dx[:, free] + _RIDGE * len(dy) * np.eye(free.size)
        b = np.linalg.solve(gram, dx[:, free].T @ dy)
        if (b >= 0).all():
            break
        free = free[b > 0]
    slopes = np.zeros(values.shape[1])
    if free.size:
        slopes[free] = b
    return slopes


def _step(values: Floats, base: Floats, row: Ints, judge: Ints, said: Floats) -> Floats:
    """(n, J) how w moves when the missing verdicts are ``said``."""
    rows, place = np.unique(row, return_inverse=True)
    was = values[rows]
    now = was.copy()
    now[place, judge] = said
    mean = np.nanmean(now, axis=1)
    out = np.zeros_like(values)
    out[rows] = np.where(np.isnan(now), mean[:, None], now) - np.where(np.isnan(was), base[rows, None], was)
    return out


def _mean_of(values: Floats, group: Ints, groups: int) -> Floats:
    """(G,) means of what is known; the mean of all where a group has nothing."""
    known = np.isfinite(values)
    count = np.bincount(group[known], minlength=groups)
    every = float(values[known].mean()) if known.any() else 0.5
    return np.where(count > 0, sum_by(group[known], values[known], groups) / np.maximum(count, 1), every)
