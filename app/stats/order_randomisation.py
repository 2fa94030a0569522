"""A randomisation test of position: would the order matter this much if it did not matter at all?

Orders were drawn at random, so under the hypothesis that no verdict hangs on its order, every other draw of
the orders would have left the same verdicts. The p-value compares the observed statistic with those of
redrawn orders (Fisher 1935; Rosenbaum 2002, ch. 2): no model, no large sample, any dependence between
verdicts.

Pairs: T = sum over pairs of (order x verdict). A pair read in both orders keeps its two verdicts and swaps
which was read first; single readings exchange orders within (system, other system), so that orders
that were not evenly drawn between systems do no harm. Lists: places are shuffled within each list.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

DRAWS = 1_999
_ENTRIES = 2_000_000  # of one block of redrawn orders
_MANY = 5_000  # verdicts, from which on T is normal to far beyond the error of so many draws


def randomisation_p_pairs(
    *, value: Floats, first_shown: NDArray[np.bool_], pair: Ints, contrast: Ints, seed: int = 0
) -> float:
    """Two-sided p of no effect of order on one judge's verdicts of pairs; all arguments (m,), as in
    `order_effects.position_effect_pairs`."""
    _, row = np.unique(pair, return_inverse=True)
    order = np.where(first_shown, 1.0, -1.0)
    count = np.stack([np.bincount(row, weights=order == sign) for sign in (1.0, -1.0)])
    total = np.stack([np.bincount(row, weights=value * (order == sign)) for sign in (1.0, -1.0)])
    both = np.asarray((count > 0).all(axis=0))
    # what a swap of a pair's two readings turns round, on the scale of one reading
    swapped = (total[0] / np.maximum(count[0], 1) - total[1] / np.maximum(count[1], 1))[both]
    single = ~both[row]
    groups = _groups(value[single], order[single], contrast[single])
    observed = float(swapped.sum()) + sum(float(v @ o) for v, o in groups)
    rng = np.random.default_rng(seed)
    if len(swapped) + sum(len(v) for v, _ in groups) > _MANY:
        variance = float((swapped**2).sum()) + sum(_variance(v, o) for v, o in groups)
        return _normal(observed, variance)
    redrawn = np.zeros(DRAWS)
    for start in range(0, len(swapped), max(_ENTRIES // DRAWS, 1)):
        part = swapped[start : start + max(_ENTRIES // DRAWS, 1)]
        redrawn += rng.choice((-1.0, 1.0), (DRAWS, len(part))) @ part
    for v, o in groups:
        redrawn += rng.permuted(np.tile(o, (DRAWS, 1)), axis=1) @ v
    return _share(observed, redrawn)


def randomisation_p_lists(*, value: Floats, place: Ints, seating: Ints, seed: int = 0) -> float:
    """Two-sided p of no effect of places within lists; all arguments (m,), ``seating`` codes a read list."""
    groups = _groups(value, place.astype(float), seating)
    observed = sum(float(v @ p) for v, p in groups)
    if sum(len(v) for v, _ in groups) > _MANY:
        return _normal(observed, sum(_variance(v, p) for v, p in groups))
    rng = np.random.default_rng(seed)
    redrawn = np.zeros(DRAWS)
    for v, p in groups:
        redrawn += rng.permuted(np.tile(p, (DRAWS, 1)), axis=1) @ v
    return _share(observed, redrawn)


def _groups(value: Floats, label: Floats, group: Ints) -> list[tuple[Floats, Floats]]:
    """Per group its values and labels, both centred, so that T has mean 0 under shuffling."""
    order = np.argsort(group, kind="stable")
    cuts = np.flatnonzero(np.diff(np.asarray(group)[order])) + 1
    parts = zip(np.split(value[order], cuts), np.split(label[order], cuts), strict=True)
    return [(v - v.mean(), x - x.mean()) for v, x in parts if len(v) > 1]


def _variance(v: Floats, x: Floats) -> float:
    """Of v'x over all shuffles of x (Hoeffding 1951)."""
    return float((v @ v) * (x @ x)) / (len(v) - 1)


def _normal(observed: float, variance: float) -> float:
    return 1.0 if variance <= 0 else float(2 * norm.sf(abs(observed) / np.sqrt(variance)))


def _share(observed: float, redrawn: Floats) -> float:
    # a hair of slack: equal statistics are equal whatever order they were added up in
    extreme = np.abs(redrawn) >= abs(observed) * (1 - 1e-9) - 1e-12
    return float((1 + extreme.sum()) / (1 + len(redrawn)))
