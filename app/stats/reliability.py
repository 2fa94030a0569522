"""Whether scores mean what they say: human grades by bins of the score, and the line through them.

For a score f and mean human grades Y, calibrated means E[Y | f] = f. Told are E[Y | f in bin] with a
prompt-clustered interval, the gap E[Y - f] (0) and the slope of Y on f (1): a slope below 1 says that high
scores are too high and low ones too low. People's noise in Y widens intervals and biases none of them, since
Y stands on the left. (DeGroot and Fienberg 1983 for the diagram; Cox 1958 for the line.)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

MIN_UNITS = 30
MOST_BINS = 10
_UNITS_A_BIN = 25  # of scores that differ freely


@dataclass(frozen=True, slots=True)
class Bin:
    """Units with scores from ``low`` to ``high``, on average ``score``; ``rows`` are theirs."""

    low: float
    high: float
    score: float
    rows: NDArray[np.int64]


def bins_of(score: Floats) -> tuple[Bin, ...]:
    """Bins of scores (n,), ascending: one per value where there are few values, else equally many units."""
    if not len(score):
        return ()
    order = np.argsort(score, kind="stable")
    values = np.unique(np.round(score, 6))
    if len(values) <= MOST_BINS:
        code = np.searchsorted(values, np.round(score[order], 6))
        parts = [order[code == k] for k in range(len(values))]
    else:
        parts = np.array_split(order, int(np.clip(len(score) // _UNITS_A_BIN, 1, MOST_BINS)))
    return tuple(
        Bin(float(score[rows].min()), float(score[rows].max()), float(score[rows].mean()), rows)
        for rows in parts
    )


def clustered_mean(value: Floats, prompt: Ints, *, what: str, level: float = 0.95) -> Effect:
    """The mean of ``value`` (n,), with an interval clustered by prompt.

    Raises
    ------
    InsufficientData
        With too few prompts.
    NotIdentified
        If all values are the same: how far they spread is then not known, however many there are.
    """
    if len(value) and np.ptp(value) < 1e-12:
        raise NotIdentified(what, f"all {len(value)} are the same, which tells nothing of their spread")
    return cluster_jackknife(
        sums_by_prompt(np.column_stack([np.ones_like(value), value]), prompt),
        lambda total: total[:, 1] / total[:, 0],
        n=len(value),
        level=level,
        what=f"prompts of {what}",
    )


def line(score: Floats, human: Floats, prompt: Ints, *, signed: bool, level: float = 0.95) -> Effect:
    """The slope of ``human`` on ``score`` (n,); pairs (``signed``) have no intercept.

    Raises
    ------
    InsufficientData
        With fewer than `MIN_UNITS` units or too few prompts.
    NotIdentified
        If the scores do not differ.
    """
    if len(score) < MIN_UNITS:
        raise InsufficientData("answers with such a score and human grades", len(score), MIN_UNITS)
    moments = np.column_stack([np.ones_like(score), score, human, score**2, score * human])

    def slope(total: Floats) -> Floats:
        n, f, y, ff, fy = total.T
        if signed:
            f, y = np.zeros_like(f), np.zeros_like(y)
        varies = ff - f * f / n
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(varies > 1e-12, (fy - f * y / n) / varies, np.nan)

    return cluster_jackknife(
        sums_by_prompt(moments, prompt), slope, n=len(score), level=level, what="prompts of such answers"
    )
