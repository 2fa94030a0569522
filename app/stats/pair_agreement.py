"""What pairs of grades of the same answers say, each pair with a weight.

Where answers were drawn with chances pi to be graded once more, a pair weighs 1 / pi over the pairs of its
answer, so that every answer of the set counts once however it was drawn. Weighted sums over pairs go through
the same jackknife over prompts as everything else (`jackknife`); shares have Wilson's interval, since close
to 0 and 1 a jackknife is too sure.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from app.stats.agreement import alpha_of
from app.stats.errors import InsufficientData
from app.stats.grouped import sum_by
from app.stats.jackknife import Effect, cluster_jackknife, sums_by_prompt
from app.stats.shares import MIN_PROMPTS, Share, wilson

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class GradePairs:
    """k pairs of grades: ``first`` and ``second`` (k,) in points, ``weight`` (k,), ``prompt`` (k,) codes.

    ``drawn`` (k,): which share of the answers like this one was drawn, of those that the result is about;
    0 where the pairs stand for more than the answers at hand.
    """

    first: Floats
    second: Floats
    weight: Floats
    prompt: Ints
    drawn: Floats

    def __len__(self) -> int:
        return len(self.first)

    def only(self, mine: Bools) -> "GradePairs":
        """The pairs with ``mine`` (k,)."""
        return GradePairs(
            self.first[mine], self.second[mine], self.weight[mine], self.prompt[mine], self.drawn[mine]
        )


def share_of_pairs(hit: Bools, pairs: GradePairs, level: float = 0.95) -> Share:
    """The weighted share of ``hit`` (k,) among pairs.

    Wilson's interval at n_eff = p (1 - p) / V, with V the cluster-robust variance of the weighted mean (times
    G / (G - 1), t_{G-1} in place of z), and each pair's part of it times 1 - ``drawn``: what was drawn of a
    finite set is known of it. Where all pairs are alike V says nothing: each prompt counts once, by weight.

    Raises
    ------
    InsufficientData
        With pairs of fewer than two prompts.
    """
    _, code = np.unique(pairs.prompt, return_inverse=True)
    prompts = len(np.unique(code))
    if prompts < MIN_PROMPTS:
        raise InsufficientData("prompts of answers that two people graded", prompts, MIN_PROMPTS)
    w = pairs.weight / pairs.weight.sum()
    p, n = float(w @ hit), len(pairs)
    unseen = float(w @ (1.0 - pairs.drawn))
    if unseen <= 1e-12:
        return Share(p, p, p, n, prompts, float("inf"))
    if hit.all() or not hit.any():
        cluster = sum_by(code, w)
        effective = 1.0 / float(cluster @ cluster)
    else:
        parts = sum_by(code, w * (hit - p))
        variance = prompts / (prompts - 1) * float(parts @ parts)
        effective = min(p * (1 - p) / max(variance, 1e-300), float(n))
    low, high = wilson(
        np.array(p), np.array(effective / unseen), np.array(stats.t.ppf(0.5 + level / 2, prompts - 1))
    )
    return Share(
        estimate=p,
        low=float(low) if hit.any() else 0.0,
        high=float(high) if not hit.all() else 1.0,
        n=n,
        prompts=prompts,
        effective=effective / unseen,
    )


def mean_of_pairs(value: Floats, pairs: GradePairs, level: float = 0.95) -> Effect:
    """Weighted mean of values (k,) of pairs."""
    moments = np.column_stack([pairs.weight, pairs.weight * value])
    return _jackknifed(moments, pairs, lambda total: _ratio(total[:, 1], total[:, 0]), level)


def contrast_of_pairs(value: Floats, mine: Bools, pairs: GradePairs, level: float = 0.95) -> Effect:
    """Weighted mean of values (k,) over the pairs with ``mine`` (k,), less that over all others."""
    w, other = pairs.weight * mine, pairs.weight * ~mine
    moments = np.column_stack([w, w * value, other, other * value])

    def difference(total: Floats) -> Floats:
        return _ratio(total[:, 1], total[:, 0]) - _ratio(total[:, 3], total[:, 2])

    return _jackknifed(moments, pairs, difference, level)


def alpha_of_pairs(pairs: GradePairs, *, nominal: bool = False, level: float = 0.95) -> Effect:
    """Krippendorff's alpha between the two sides of the pairs: squared differences, or unequal values."""
    a, b, w = pairs.first, pairs.second, pairs.weight / pairs.weight.mean()
    if nominal:
        values = np.unique(np.concatenate([a, b]))
        seen = (a[:, None] == values).astype(float) + (b[:, None] == values)
        moments = np.column_stack([np.ones(len(pairs)), a == b, seen])
    else:
        moments = np.column_stack([np.ones(len(pairs)), (a - b) ** 2, a + b, a**2 + b**2])
    return _jackknifed(
        moments * w[:, None], pairs, lambda total: np.asarray(alpha_of(total, nominal=nominal)), level
    )


def kappa_of_pairs(pairs: GradePairs, *, sides: bool, level: float = 0.95) -> Effect:
    """Weighted kappa with quadratic weights, 1 - E(a - b)^2 / E'(a - b)^2.

    E' is what independent grades would do. With ``sides`` the two are told apart, each with its own mean and
    variance (Cohen 1968): var(a) + var(b) + (mean a - mean b)^2. Without, whoever graded could stand on
    either (Scott 1955): 2 var of both together.
    """
    a, b, w = pairs.first, pairs.second, pairs.weight
    moments = np.column_stack([np.ones(len(pairs)), (a - b) ** 2, a, b, a**2, b**2]) * w[:, None]

    def kappa(total: Floats) -> Floats:
        n = total[:, 0]
        apart, mean_a, mean_b, square_a, square_b = (total[:, k] / n for k in range(1, 6))
        if sides:
            expected = square_a - mean_a**2 + square_b - mean_b**2 + (mean_a - mean_b) ** 2
        else:
            expected = square_a + square_b - (mean_a + mean_b) ** 2 / 2
        return np.where(expected > 1e-12, 1 - _ratio(apart, expected), np.nan)

    return _jackknifed(moments, pairs, kappa, level)


def _jackknifed(
    moments: Floats, pairs: GradePairs, function: Callable[[Floats], Floats], level: float
) -> Effect:
    return cluster_jackknife(
        sums_by_prompt(moments.astype(np.float64), pairs.prompt),
        function,
        n=len(pairs),
        level=level,
        what="items that two people graded",
    )


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(above / below)
