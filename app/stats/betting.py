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
_BLOCK = 64  # values that are worked through at once


@dataclass(frozen=True, slots=True)
class BettingSequence:
    """What was seen so far.

    Attributes
    ----------
    level : 1 - alpha.
    total : N, if the values are N in random order; None for a stream.
    seen, missing : values so far, and how many of them were missing.
    value_sum, square_sum : of the values that were there, and of squared distances from the running mean.
    candidates : (c,) the m that are bet against, ascending.
    log_plus, log_minus : (c,) log K of either gambler.
    low, high : the largest m that K+ ever excluded, and the smallest that K- did.
    """

    level: float
    total: int | None
    seen: int
    missing: int
    value_sum: float
    square_sum: float
    candidates: Floats
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
        """The ends, rounded outwards to candidates; (0, 1) before anything was seen."""
        low, high = self.low, self.high
        if self.total is not None:  # what is known of all N values bounds their mean
            unknown = self.total - self.seen + self.missing
            low = max(low, self.value_sum / self.total)
            high = min(high, (self.value_sum + unknown) / self.total)
        return min(low, high), max(low, high)


def begin(*, level: float, total: int | None, candidates: Floats = _GRID) -> BettingSequence:
    """Before any value."""
    nothing = np.zeros(candidates.size)
    return BettingSequence(level, total, 0, 0, 0.0, 0.0, candidates, nothing, nothing, 0.0, 1.0)


def see(sequence: BettingSequence, values: Floats) -> BettingSequence:
    """The sequence after ``values`` (k,) in [0, 1], in their order; NaN missing.

    Raises
    ------
    ValueError
        If a value is not in [0, 1], or more come than there are.
    """
    if np.any((values < 0.0) | (values > 1.0)):
        raise ValueError("a value is not between 0 and 1")
    if sequence.total is not None and sequence.seen + values.size > sequence.total:
        raise ValueError("more values than there are")
    for start in range(0, values.size, _BLOCK):
        sequence = _see(sequence, values[start : start + _BLOCK])
    return sequence


def _see(sequence: BettingSequence, values: Floats) -> BettingSequence:
    """`see`, all at once: arrays are (k,), or (k, c) with the candidates."""
    m, total, alpha = sequence.candidates, sequence.total, 1.0 - sequence.level
    known = np.isfinite(values)
    x = np.where(known, values, 0.0)
    number = sequence.seen + np.arange(1, values.size + 1)  # i
    there = sequence.seen - sequence.missing + np.cumsum(known)  # values that were there up to i
    sums = sequence.value_sum + np.cumsum(x)
    squares = np.where(known, (x - (0.5 + sums) / (there + 1)) ** 2, 0.0)
    square_sums = sequence.square_sum + np.cumsum(squares)
    variance = (0.25 + square_sums - squares) / (there - known + 1)
    bet = np.sqrt(2.0 * np.log(2.0 / alpha) / (variance * number * np.log(1.0 + number)))[:, None]
    low = high = m[None, :]
    if total is not None:  # the next value's mean if what is missing was 1, and if it was 0
        left, before = (total - number + 1)[:, None], (sums - x)[:, None]
        missing_before = (number - 1 - (there - known))[:, None]
        low, high = (total * m - before - missing_before) / left, (total * m - before) / left
    best = np.where(known, values, 1.0)[:, None]
    plus_bet = np.minimum(bet, _CAP / np.maximum(high, 1e-12))
    minus_bet = np.minimum(bet, _CAP / np.maximum(1.0 - low, 1e-12))
    plus = sequence.log_plus + np.cumsum(np.log1p(plus_bet * (x[:, None] - high)), axis=0)
    minus = sequence.log_minus + np.cumsum(np.log1p(-minus_bet * (best - low)), axis=0)
    enough = np.log(2.0 / alpha)
    # what is below 0 or above 1 cannot be a mean any more
    too_low = ((plus >= enough) | (high < 0.0)).any(axis=0)
    too_high = ((minus >= enough) | (low > 1.0)).any(axis=0)
    return replace(
        sequence,
        seen=int(number[-1]),
        missing=int(number[-1] - there[-1]),
        value_sum=float(sums[-1]),
        square_sum=float(square_sums[-1]),
        log_plus=plus[-1],
        log_minus=minus[-1],
        low=max(sequence.low, float(m[too_low].max(initial=0.0))),
        high=min(sequence.high, float(m[too_high].min(initial=1.0))),
    )
