r"""Many systems ranked by strength on the human scale (`rectified_strengths`), with win rates and ranks.

Win rates have their intervals on the log odds, by the delta method; ranks by `rank_intervals`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from app.stats.davidson import outcomes
from app.stats.rank_intervals import rank_intervals, ranks
from app.stats.rectified_strengths import Errors, PairedUnits, check, solve, tune
from app.stats.rectifier import PowerTuning

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ranking:
    """S systems; arrays (S,) unless they say otherwise. Intervals are pairs of arrays, low and high.

    Attributes
    ----------
    strength, strength_interval : log odds of winning against an average system; they sum to 0.
    win_rate, win_rate_interval : chance of winning against another system drawn at random, ties half.
    rank, rank_interval : 1 is the strongest.
    pair_rate, pair_interval : (S, S) chance that the row's system wins against the column's, ties half; NaN
        on the diagonal.
    tie_rate : share of ties over the graded units, by the model.
    log_ties : gamma; -inf if nobody tied.
    power : how far the panel is trusted.
    prompts : (S,) graded prompts.
    covariance : (S, S) of the strengths.
    """

    strength: Floats
    strength_interval: tuple[Floats, Floats]
    win_rate: Floats
    win_rate_interval: tuple[Floats, Floats]
    rank: Ints
    rank_interval: tuple[Ints, Ints]
    pair_rate: Floats
    pair_interval: tuple[Floats, Floats]
    tie_rate: float
    log_ties: float
    power: PowerTuning
    prompts: Ints
    covariance: Floats


def rank_systems(
    *,
    first: NDArray[np.integer],
    second: NDArray[np.integer],
    prompt: NDArray[np.integer],
    prediction: Floats,
    preference: Floats,
    ties: Floats,
    systems: int,
    inclusion: Floats | None = None,
    level: float = 0.95,
    rng: np.random.Generator | None = None,
) -> Ranking:
    """Rank systems that comparisons connect, none of them never beaten (`comparison_graph`).

    Parameters
    ----------
    first, second : (n,)
        Codes of the systems of every unit.
    prompt : (n,)
        What units are clustered by.
    prediction : (n,)
        The panel's prediction of ``preference``, by a fit without the unit's prompt, 1/2 for neither; NaN
        where no judge scored.
    preference, ties : (n,)
        People's mean of 1 (``first`` wins), 1/2, 0, and their share of ties; NaN where nobody graded.
    inclusion : (n,)
        Probability with which a graded unit was drawn, up to a factor; all alike by default.
    rng
        For the quantile behind the intervals of ranks; seeded by default.

    Raises
    ------
    InsufficientData
        If too few prompts have human grades, in all, of a system, or of all that connects two parts; if
        everything is tied; if strengths are not finite.
    """
    units = PairedUnits(first, second, prompt, prediction, preference, ties, systems, inclusion)
    check(units)
    power = PowerTuning(0.0, 0.0, 0.0, 0.0)
    for _ in range(2):  # the slope is found beside strengths, which are then fitted with it
        theta, gamma = solve(units, power.lam)
        power = tune(units, theta, gamma)
    theta, gamma = solve(units, power.lam)
    error = Errors(units, theta, gamma, power)
    return _ranking(units, theta, gamma, power, error, level, rng or np.random.default_rng(0))


def _ranking(
    units: PairedUnits, theta: Floats, gamma: float, power: PowerTuning, error: Errors, level: float,
    rng: np.random.Generator,
) -> Ranking:  # fmt: skip
    s = units.systems
    half = 0.5 + level / 2
    centre = np.column_stack([np.eye(s) - 1.0 / s, np.zeros(s)])
    reach = stdtrit(error.freedom(centre), half) * error.se(centre)
    row, column = np.triu_indices(s, 1)
    chance = outcomes(theta[row] - theta[column], gamma)
    ee, eg, _ = chance.information
    step = np.zeros((row.size, s + 1))  # of a pair's win rate by strengths and gamma
    step[np.arange(row.size), row], step[np.arange(row.size), column], step[:, s] = ee, -ee, eg
    rate = chance.win_rate
    low, high = _share_interval(rate, step, error, half)
    against = np.zeros((s, row.size))  # each system's win rate is the mean over its pairs, turned its way
    against[row, np.arange(row.size)], against[column, np.arange(row.size)] = 1.0, -1.0
    against /= max(s - 1, 1)
    mean = against @ rate + (against < 0).sum(1) / max(s - 1, 1)

    def freedom(contrasts: Floats) -> Floats:
        return error.freedom(np.column_stack([contrasts, np.zeros(len(contrasts))]))

    rank_low, rank_high = rank_intervals(theta, error.covariance[:s, :s], freedom, level=level, rng=rng)
    graded = outcomes((units.z @ theta), gamma)
    return Ranking(
        strength=theta, strength_interval=(theta - reach, theta + reach),
        win_rate=mean, win_rate_interval=_share_interval(mean, against @ step, error, half),
        rank=ranks(theta), rank_interval=(rank_low, rank_high),
        pair_rate=_square(s, row, column, rate, 1.0 - rate),
        pair_interval=(_square(s, row, column, low, 1.0 - high), _square(s, row, column, high, 1.0 - low)),
        tie_rate=float(units.m @ graded.tie) / float(units.m.sum()), log_ties=gamma, power=power,
        prompts=units.prompts_of_systems(), covariance=error.covariance[:s, :s],
    )  # fmt: skip


def _share_interval(rate: Floats, step: Floats, error: Errors, half: float) -> tuple[Floats, Floats]:
    """On the log odds, whose slope is 1 / (rate (1 - rate))."""
    reach = stdtrit(error.freedom(step), half) * error.se(step) / np.maximum(rate * (1.0 - rate), 1e-12)
    return np.asarray(expit(logit(rate) - reach)), np.asarray(expit(logit(rate) + reach))


def _square(s: int, row: Ints, column: Ints, above: Floats, below: Floats) -> Floats:
    out = np.full((s, s), np.nan)
    out[row, column], out[column, row] = above, below
    return out
