"""How far a judge's verdicts move when the form of a question changes and its meaning does not.

Of a question in its first form (value y), asked again (y'), and in another form (z):

    swing = E|z - y| - E|y' - y| ,   form variance = (E(z - y)^2 - E(y' - y)^2) / 2 ,   shift = E(z - y) .

A repeat costs the same noise twice, so what it moves is taken off; half the rest of the square is the
variance that a form drawn at random adds to one verdict. With several forms on record and no repeats, pairs
of forms of the same question stand for (y, z), and the noise of a repeat is still inside.
"""

import numpy as np
from numpy.typing import NDArray

from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]


def shift_of(change: Floats, prompt: Ints, *, level: float = 0.95) -> Effect:
    """Mean of changes (n,), clustered by prompt (n,)."""
    moments = np.column_stack([np.ones(len(change)), change])
    return _ratio(moments, prompt, len(change), level, "changed questions")


def swing_of(change: Floats, repeat: Floats | None, prompt: Ints, *, level: float = 0.95) -> Effect:
    """E|change| - E|repeat|, both (n,) per question; ``repeat`` None or NaN where it was not asked again."""
    return _beyond(np.abs(change), None if repeat is None else np.abs(repeat), prompt, level)


def form_variance_of(change: Floats, repeat: Floats | None, prompt: Ints, *, level: float = 0.95) -> Effect:
    """(E change^2 - E repeat^2) / 2, as `swing_of`; below 0 it is 0 up to noise."""
    return _beyond(change**2 / 2, None if repeat is None else repeat**2 / 2, prompt, level)


def pairs_of_forms(value: Floats) -> tuple[Floats, Floats, Floats]:
    """Per question: pairs of forms with a value, mean absolute and mean squared difference within them.

    ``value`` (questions, forms), NaN where there is no verdict; questions with fewer than two are NaN.
    """
    known = np.isfinite(value)
    pairs, apart, square = np.zeros(len(value)), np.zeros(len(value)), np.zeros(len(value))
    for one in range(value.shape[1]):
        for other in range(one + 1, value.shape[1]):
            both = known[:, one] & known[:, other]
            difference = np.where(both, value[:, one] - value[:, other], 0.0)
            pairs += both
            apart += np.abs(difference)
            square += difference**2
    with np.errstate(invalid="ignore"):
        return pairs, apart / pairs, square / pairs


def mean_over_pairs(pairs: Floats, mean: Floats, prompt: Ints, *, level: float = 0.95) -> Effect:
    """The mean over all pairs of forms, of `pairs_of_forms`; every pair counts once."""
    some = pairs > 0
    moments = np.column_stack([pairs[some], (pairs * mean)[some]])
    return _ratio(moments, prompt[some], int(some.sum()), level, "questions in two forms")


def _beyond(change: Floats, repeat: Floats | None, prompt: Ints, level: float) -> Effect:
    n = len(change)
    if repeat is None or not np.isfinite(repeat).any():
        return _ratio(np.column_stack([np.ones(n), change]), prompt, n, level, "changed questions")
    known = np.isfinite(repeat)
    moments = np.column_stack([np.ones(n), change, known, np.where(known, repeat, 0.0)])

    def beyond(total: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(total[:, 1] / total[:, 0] - total[:, 3] / total[:, 2])

    return cluster_jackknife(
        sums_by_prompt(moments, prompt), beyond, n=n, level=level, what="changed questions"
    )


def _ratio(moments: Floats, prompt: Ints, n: int, level: float, what: str) -> Effect:
    def ratio(total: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(total[:, 1] / total[:, 0])

    return cluster_jackknife(sums_by_prompt(moments, prompt), ratio, n=n, level=level, what=what)
