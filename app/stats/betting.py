"""A confidence sequence for the mean of bounded values that come one by one: looked at as often as one likes.

Waudby-Smith & Ramdas (2023), "Estimating means of bounded random variables by betting", JRSS-B. For a
candidate mean m of values x_i in [0, 1] two gamblers start with 1 and bet against m from either side,

    K+_t(m) = prod_i (1 + l+_i (x_i - m_i)),          K-_t(m) = prod_i (1 - l-_i (x_i - m_i)),

m_i being what m says of the next value: m itself for a stream, and (N m - x_1 - ... - x_{i-1}) / (N - i + 1)
for N values in random order, all of which could be seen. The bets may hang on what was seen before,

    l_i = sqrt(2 log(2 / alpha) / (s2_{i-1} i log(1 + i))),
    l+_i = min(l_i, c / m_i),    l-_i = min(l_i, c / (1 - m_i)),

s2 the regularised running variance. If m is the mean, both are martingales, and so is their mean; by Ville's
inequality it ever reaches 1 / alpha with a chance of alpha at most. The interval at t holds the m for which
the larger half, max(K+, K-) / 2, never reached it. K+ falls and K- rises with m, so this is an interval.

A value that is missing, for whatever reason, counts at its worst for either gambler: as 0 for K+ and as 1 for
K-, in its own factor and in m_i. Then what is computed is at most what the true value would have given, and
the interval holds for the mean of all values, missing ones included.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_GRID = np.linspace(0.0, 1.0, 2001)
_CAP = 0.75  # c: the share of what a gambler has that one value may take


@dataclass(frozen=True, slots=True)
class BettingSequence:
    """What was seen so far.

    Attributes
    ----------
    level : 1 - alpha.
    total : N, if the values are N in random order; None for a stream.
    seen, missing : values so far, and how many of them were missing.
    value_sum, square_sum : of the values that were there, and of squared distances from the running mean.
    log_plus, log_minus : (2001,) log K of either gambler, for every m of a grid on [0, 1].
    low, high : the largest m that K+ ever excluded, and the smallest that K- did.
    """

    level: float
    total: int | None
    seen: int
    missing: int
    value_sum: float
    square_sum: float
    log_plus: Floats
    log_minus: Floats
    low: float
    high: float

    @property
    def mean(self) -> float | None:
        """Of the values that were there; None if none was."""
        known = self.seen - self.missing
        return self.value_sum / known if known else None

    def interval(self) -> tuple[float, float]:
        """The ends, rounded outwards to the grid; (0, 1) before anything was seen."""
        low, high = self.low, self.high
        if self.total is not None:  # what is known of all N values bounds their mean
            unknown = self.total - self.seen + self.missing
            low = max(low, self.value_sum / self.total)
            high = min(high, (self.value_sum + unknown) / self.total)
        return min(low, high), max(low, high)


def begin(*, level: float, total: int | None) -> BettingSequence:
    """Before any value."""
    nothing = np.zeros(_GRID.size)
    return BettingSequence(level, total, 0, 0, 0.0, 0.0, nothing, nothing, 0.0, 1.0)


def see(sequence: BettingSequence, values: Floats) -> BettingSequence:
    """The sequence after ``values`` (k,) in [0, 1], in their order; NaN missing.

    Raises
    ------
    ValueError
        If a value is not in [0, 1], or more come than there are.
    """
    if np.any((values < 0.0) | (values > 1.0)):
        raise ValueError("a value is not between 0 and 1")
    total, alpha = sequence.total, 1.0 - sequence.level
    if total is not None and sequence.seen + values.size > total:
        raise ValueError("more values than there are")
    plus, minus = sequence.log_plus.copy(), sequence.log_minus.copy()
    too_low, too_high = sequence.low, sequence.high
    seen, missing = sequence.seen, sequence.missing
    value_sum, square_sum = sequence.value_sum, sequence.square_sum
    for value in values:
        known = seen - missing
        variance = (0.25 + square_sum) / (known + 1)
        i = seen + 1
        bet = np.sqrt(2.0 * np.log(2.0 / alpha) / (variance * i * np.log(1.0 + i)))
        low = high = _GRID
        if total is not None:  # the next value's mean if what is missing was 0, and if it was 1
            low = (total * _GRID - value_sum - missing) / (total - seen)
            high = (total * _GRID - value_sum) / (total - seen)
        worst, best = (0.0, 1.0) if np.isnan(value) else (value, value)
        with np.errstate(divide="ignore"):
            plus += np.log1p(np.minimum(bet, _CAP / np.maximum(high, 1e-12)) * (worst - high))
            minus += np.log1p(-np.minimum(bet, _CAP / np.maximum(1.0 - low, 1e-12)) * (best - low))
        # below 0 or above 1 no mean is possible any more
        won = (plus >= np.log(2.0 / alpha)) | (high < 0.0), (minus >= np.log(2.0 / alpha)) | (low > 1.0)
        too_low = max(too_low, float(np.where(won[0], _GRID, 0.0).max()))
        too_high = min(too_high, float(np.where(won[1], _GRID, 1.0).min()))
        seen += 1
        if np.isnan(value):
            missing += 1
            continue
        value_sum += float(value)
        middle = (0.5 + value_sum) / (seen - missing + 1)
        square_sum += float((value - middle) ** 2)
    return replace(
        sequence, seen=seen, missing=missing, value_sum=value_sum, square_sum=square_sum, log_plus=plus,
        log_minus=minus, low=too_low, high=too_high,
    )  # fmt: skip
