"""Position: what a judge adds to an answer for the place in which it was shown. No human grade is needed.

Pairs. V is +1 when the canonical first answer wins, 0 a tie, -1; o = +1 if it was shown first, else -1.
The share of first picks is (1 + o V) / 2, so with o random or balanced within the pair

    pi = E[o V] / 2      (P(first wins) + P(tie) / 2 - 1/2, in probability).

Where the same pair was shown in both orders its mean is taken over the two. Otherwise o must not go along
with which answer is better; its correlation with the systems is removed by centring V and o within
(system, other system).

Lists. Slope of the value on the place within the judge's list, from the first to the last place.
"""

import numpy as np
from numpy.typing import NDArray

from app.stats.errors import InsufficientData, NotIdentified
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

MIN_VERDICTS = 100
_LEAST_SHARE = 0.05  # of verdicts in the rarer order


def position_effect_pairs(
    *,
    value: Floats,
    first_shown: NDArray[np.bool_],
    pair: Ints,
    prompt: Ints,
    contrast: Ints,
    level: float = 0.95,
) -> Effect:
    """pi in probability: at +0.05 a pair of equals goes to the first answer 55% of the time.

    Parameters
    ----------
    value : (m,)
        Signed verdicts, ties 0.
    first_shown : (m,)
        Whether the canonical first answer was shown first.
    pair, prompt : (m,)
        Unit and prompt codes.
    contrast : (m,)
        Code of (system, other system).

    Raises
    ------
    InsufficientData
        With fewer than `MIN_VERDICTS` verdicts.
    NotIdentified
        If nearly all verdicts have one order.
    """
    if len(value) < MIN_VERDICTS:
        raise InsufficientData("scored verdicts on pairs", len(value), MIN_VERDICTS)
    order = np.where(first_shown, 1.0, -1.0)
    if min(first_shown.mean(), 1 - first_shown.mean()) < _LEAST_SHARE:
        raise NotIdentified("position", "nearly every pair was shown in one order only")
    _, row = np.unique(contrast, return_inverse=True)
    counts = np.bincount(row).astype(float)
    centred_order = order - (np.bincount(row, weights=order) / counts)[row]
    centred_value = value - (np.bincount(row, weights=value) / counts)[row]
    if (centred_order**2).mean() < _LEAST_SHARE:
        raise NotIdentified("position", "each pair of systems was shown in one order only")
    moments = np.column_stack([centred_order * centred_value, centred_order**2])
    return cluster_jackknife(
        sums_by_prompt(moments, prompt),
        lambda total: total[:, 0] / total[:, 1] / 2,
        n=len(np.unique(pair)),
        level=level,
        what="position",
    )


def order_flips(
    *, value: Floats, first_shown: NDArray[np.bool_], pair: Ints, prompt: Ints, level: float = 0.95
) -> Effect:
    """Share of pairs, seen in both orders, where the judge's preference is not the same in both."""
    codes, row = np.unique(pair, return_inverse=True)
    sums = np.zeros((2, len(codes)))
    counts = np.zeros((2, len(codes)))
    np.add.at(sums, (first_shown.astype(int), row), value)
    np.add.at(counts, (first_shown.astype(int), row), 1.0)
    both = (counts > 0).all(axis=0)
    n = int(both.sum())
    if n < 20:
        raise InsufficientData("pairs seen in both orders", n, 20)
    flipped = np.sign(sums[0, both]) != np.sign(sums[1, both])
    prompt_of = np.zeros(len(codes), dtype=np.int64)
    prompt_of[row] = prompt
    moments = np.column_stack([np.ones(n), flipped.astype(float)])
    return cluster_jackknife(
        sums_by_prompt(moments, prompt_of[both]),
        lambda total: total[:, 1] / total[:, 0],
        n=n,
        level=level,
        what="order flips",
    )


def position_effect_lists(
    *, value: Floats, place: Ints, seating: Ints, prompt: Ints, level: float = 0.95
) -> Effect:
    """What the judge adds from the first to the last place of a list, in units of the value.

    ``seating`` (m,) codes one judge's reading of one list; ``place`` counts from 0. Values and places are
    centred within the seating, so that neither the list's quality nor its length matters.
    """
    if len(value) < MIN_VERDICTS:
        raise InsufficientData("scored verdicts in lists", len(value), MIN_VERDICTS)
    codes, row = np.unique(seating, return_inverse=True)
    counts = np.bincount(row).astype(float)
    last = np.zeros(len(codes))
    np.maximum.at(last, row, place)
    share = place / np.maximum(last[row], 1)
    share = share - (np.bincount(row, weights=share) / counts)[row]
    centred = value - (np.bincount(row, weights=value) / counts)[row]
    if (share**2).sum() < 1e-9:
        raise NotIdentified("position", "answers were shown alone")
    moments = np.column_stack([share * centred, share**2])
    return cluster_jackknife(
        sums_by_prompt(moments, prompt),
        lambda total: total[:, 0] / total[:, 1],
        n=len(value),
        level=level,
        what="position",
    )
