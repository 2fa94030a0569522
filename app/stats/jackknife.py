"""Delete-one-prompt jackknife: one inference device for every smooth function of sums over prompts.

An estimate is written as theta = g(sum_p m_p), where m_p is a vector of moments of prompt p. With G
prompts and theta_(-p) = g(sum - m_p),

    V = (G - 1)/G * sum_p (theta_(-p) - mean theta_(-p))^2 ,   interval: theta +- t_{G-1} sqrt(V).

The rows of a prompt may depend on each other in any way; what is estimated inside g (a noise
variance, a slope) carries its own uncertainty into V. Efron & Stein (1981): V is biased upwards, never down.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from app.stats.errors import InsufficientData, NotIdentified

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

MIN_PROMPTS = 10  # fewer leave t intervals that hold but say nothing, and g often fails without one prompt
_MAX_BLOCKS = (
    500  # more prompts are put into so many blocks at random: the same V up to noise of 1/sqrt(1000)
)


@dataclass(frozen=True, slots=True)
class Effect:
    """An estimate with its interval.

    ``estimate``, ``low``, ``high``, ``std_error`` are in the unit of what was estimated; ``n`` counts the
    units (answers or pairs) behind it, ``prompts`` the prompts, ``freedom`` the t's degrees of freedom.
    """

    estimate: float
    low: float
    high: float
    std_error: float
    n: int
    prompts: int
    freedom: float

    def p_value(self, null: float) -> float:
        """Two-sided p of the estimate being ``null``; 1 where it is exactly that without any error."""
        distance = abs(self.estimate - null)
        if self.std_error <= 0:
            return 0.0 if distance > 0 else 1.0
        return float(2 * stats.t.sf(distance / self.std_error, self.freedom))


def sums_by_prompt(moments: Floats, prompt: Ints) -> Floats:
    """Sum the rows of ``moments`` (n, k) within prompts (n,): float64 (G, k), only prompts that occur."""
    order = np.argsort(prompt, kind="stable")
    ordered = np.asarray(prompt)[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])
    if not len(starts):
        return np.zeros((0, moments.shape[1]))
    return np.asarray(np.add.reduceat(moments[order], starts, axis=0), dtype=np.float64)


def in_blocks(sums: Floats, seed: int = 0) -> Floats:
    """Sums by prompt (G, k) as they are, or added up in `_MAX_BLOCKS` random blocks of prompts."""
    if len(sums) <= _MAX_BLOCKS:
        return sums
    return sums_by_prompt(sums, np.random.default_rng(seed).permutation(len(sums)) % _MAX_BLOCKS)


def cluster_jackknife(
    sums: Floats,
    function: Callable[[Floats], Floats],
    *,
    n: int,
    level: float = 0.95,
    what: str = "prompts",
    seed: int = 0,
) -> Effect:
    """Estimate ``function`` of summed moments with a prompt-clustered t interval.

    Parameters
    ----------
    sums : (G, k)
        Moments summed within each prompt.
    function : (b, k) -> (b,)
        Vectorised over rows; NaN where it does not exist.
    n : units behind the estimate, only passed on.
    seed : of the random blocks that large G are put into.

    Raises
    ------
    InsufficientData
        With fewer than `MIN_PROMPTS` prompts.
    NotIdentified
        If the function does not exist on all prompts, or hangs on a single one of them.
    """
    prompts = len(sums)
    if prompts < MIN_PROMPTS:
        raise InsufficientData(what, prompts, MIN_PROMPTS)
    sums = in_blocks(sums, seed)
    total = sums.sum(axis=0)
    estimate = float(function(total[None, :])[0])
    left_out = function(total[None, :] - sums)
    if not np.isfinite(estimate):
        raise NotIdentified(what, "the data do not determine it")
    if not np.isfinite(left_out).all():
        raise NotIdentified(what, "it hangs on a single prompt")
    count = len(sums)
    variance = (count - 1) / count * float(((left_out - left_out.mean()) ** 2).sum())
    std_error = float(np.sqrt(variance))
    half = float(stats.t.ppf(0.5 + level / 2, count - 1)) * std_error
    return Effect(estimate, estimate - half, estimate + half, std_error, n, prompts, float(count - 1))
