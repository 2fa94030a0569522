"""A stratified random draw: how many of each cell, which ones, and with which chance.

Proportional allocation with a floor: every cell h of N_h units first gets min(least, N_h), then the next unit
goes to the cell with the largest N_h / (2 n_h + 1) that has one left (Webster's rule), until n are given out.
Within a cell units are drawn evenly without replacement, so a unit's chance is pi = n_h / N_h exactly.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StratifiedDraw:
    """``row`` (n,) drawn units, ascending; ``inclusion`` (n,) the chance with which each was drawn."""

    row: Ints
    inclusion: Floats


def allocate(size: Ints, count: int, least: int) -> Ints | None:
    """How many of each cell to draw.

    Parameters
    ----------
    size : (H,)
        Units in each cell.
    count : int
        How many to draw; more than there are means all.
    least : int
        As many of every cell at least, or all of it where it has fewer.

    Returns
    -------
    (H,) adding up to ``count``; None where the floors alone take more than ``count``.
    """
    given = np.minimum(size, least).astype(np.int64)
    left = min(count, int(size.sum())) - int(given.sum())
    if left < 0:
        return None
    for _ in range(left):
        claim = np.where(given < size, size / (2.0 * given + 1.0), -1.0)
        given[int(np.argmax(claim))] += 1
    return given


def draw_stratified(cell: Ints, allocation: Ints, rng: np.random.Generator) -> StratifiedDraw:
    """Draw ``allocation`` (H,) units of every cell; ``cell`` (N,) codes in [0, H)."""
    drawn = [
        rng.choice(np.flatnonzero(cell == h), int(count), replace=False)
        for h, count in enumerate(allocation)
        if count
    ]
    row = np.sort(np.concatenate(drawn)) if drawn else np.zeros(0, np.int64)
    chance = allocation / np.maximum(np.bincount(cell, minlength=len(allocation)), 1)
    return StratifiedDraw(row.astype(np.int64), chance[cell[row]])
