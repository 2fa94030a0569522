"""Which units people should grade next: chances that pay, and estimates that stay valid under them.

A grade of unit i lowers the variance of its group's rectified mean by as much as the panel errs there. With
u_i = E[(Y - f)^2 | x_i], the variance of a mean of n draws with chances pi_i,

    V = (1/N^2) sum u_i / pi_i ,    sum pi_i = n,

is least for pi_i ~ sqrt(u_i) (Zrnic & Candes 2403.03208; the Neyman allocation of survey sampling). Since
u_i is itself only estimated, a share of the draws stays uniform, and within a group no chance falls below a
fifth of the mean: no grade then weighs more than five times an average one. The chances are what is logged.
"""

import numpy as np
from numpy.typing import NDArray

from app.stats.grouped import sum_by

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_UNIFORM = 0.5
MOST_WEIGHT = 5.0


def shares_of_groups(*, spread: Floats, have: Floats, size: Floats, more: float) -> Floats:
    """How many of ``more`` grades each group should get, so that all groups' means are known alike.

    Equal widths need n_g ~ spread_g^2; the least sum of variances n_g ~ spread_g. This takes the latter
    (Neyman with equal weights) and fills up: groups that have more than their share get nothing until
    the others have caught up.

    Parameters
    ----------
    spread, have, size : (G,)
        Standard deviation of what the panel misses, grades there are, units that can still be graded.
    more : float
        Grades to hand out.

    Returns
    -------
    (G,) adding up to ``more`` or, if that is less, to all of ``size``.
    """
    more = float(min(more, size.sum()))
    low, high = 0.0, float((have.max(initial=0.0) + size.sum() + 1.0) / max(spread.min(initial=1.0), 1e-9))
    for _ in range(200):  # bisection on the level to which groups are filled
        level = 0.5 * (low + high)
        given = np.clip(level * spread - have, 0.0, size)
        low, high = (level, high) if given.sum() < more else (low, level)
    total = given.sum()
    return np.asarray(given * (more / total) if total > 0 else size * (more / max(size.sum(), 1.0)))


def draw_chances(
    *,
    error: Floats,
    group: Ints,
    group_share: Floats,
    count: int,
    uniform_share: float = LEAST_UNIFORM,
    most_weight: float = MOST_WEIGHT,
) -> Floats:
    """Chance of every unit to be drawn.

    Parameters
    ----------
    error : (n,)
        Predicted squared error of the panel, not negative, any unit.
    group : (n,)
        Group codes.
    group_share : (G,)
        How the draws that are not uniform go to the groups (as `shares_of_groups`), up to a factor.
    count : int
        How many to draw, at most n.
    uniform_share : float
        At least `LEAST_UNIFORM`.

    Returns
    -------
    (n,) in (0, 1], adding up to ``count``. Within a group no chance is below the group's mean over
    ``most_weight``, and none is below ``uniform_share`` of the mean of all.
    """
    n = error.size
    if count >= n:
        return np.ones(n)
    uniform = max(uniform_share, LEAST_UNIFORM)
    groups = group_share.size
    size = np.maximum(np.bincount(group, minlength=groups), 1)
    root = np.sqrt(np.maximum(error, 0.0))
    mean = sum_by(group, root, groups) / size
    root = np.where(mean[group] > 0, np.maximum(root, mean[group] / most_weight), 1.0)
    within = root / np.maximum(sum_by(group, root, groups), 1e-300)[group]
    total = group_share.sum()
    share = group_share / total if total > 0 else size / size.sum()
    wish = uniform / n + (1.0 - uniform) * share[group] * within
    return _capped(wish / wish.sum(), count)


def draw(chance: Floats, order: Ints, rng: np.random.Generator) -> Ints:
    """Units drawn without replacement, each with exactly its chance: systematic sampling.

    Along ``order`` (a permutation) chances are laid end to end and cut at every whole step from a random
    start, so what lies side by side is drawn evenly: order by group and, within, at random.

    Returns
    -------
    Indices of the drawn units, as many as the chances add up to.
    """
    ends = np.cumsum(chance[order])
    count = round(float(ends[-1])) if ends.size else 0
    cuts = rng.random() + np.arange(count)
    return np.asarray(order[np.searchsorted(ends, cuts * (ends[-1] / max(count, 1)), side="right")])


def _capped(share: Floats, count: int) -> Floats:
    """``count`` times ``share``, with what exceeds 1 given to the others in proportion."""
    sure = np.zeros(share.size, bool)
    while True:
        left = count - sure.sum()
        chance = np.where(sure, 1.0, share * (left / max(share[~sure].sum(), 1e-300)))
        over = (chance > 1.0) & ~sure
        if not over.any():
            return np.asarray(np.minimum(chance, 1.0))
        sure |= over
