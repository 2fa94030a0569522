"""How many draws tell a share from a line, and what a number of draws can tell.

The two-sided score test of p = p0 at level a, which is the one that Wilson's interval inverts, against p1. Of
n units drawn without replacement from N (infinitely many where N is None), a share varies as that of

    m = n (N - 1) / (N - n)

independent draws. The test rejects towards p1 with a chance of about

    power = Phi((|p1 - p0| sqrt(m) - z_{1-a/2} sqrt(p0 (1 - p0))) / sqrt(p1 (1 - p1))) ,

so that n with a given power follows from

    m0 = ((z_{1-a/2} sqrt(p0 (1 - p0)) + z_power sqrt(p1 (1 - p1))) / (p1 - p0))^2 ,
    n  = m0 / (1 + (m0 - 1) / N) ,

rounded up (Cochran 1977, "Sampling Techniques", 4.4 and 4.6). Normal throughout: with n below 50 the true
power steps around it by some percent.
"""

from math import ceil, inf, sqrt

from scipy.optimize import brentq
from scipy.special import ndtr, ndtri


def power_of(
    count: int, *, line: float, true: float, population: int | None = None, level: float = 0.05
) -> float:
    """The chance that ``count`` draws tell a share that is ``true`` from the ``line``."""
    draws = _independent(count, population)
    if draws == inf:
        return 1.0
    reach = abs(true - line) * sqrt(draws) - float(ndtri(1 - level / 2)) * _sd(line)
    return float(ndtr(reach / _sd(true)))


def draws_for_power(
    power: float, *, line: float, true: float, population: int | None = None, level: float = 0.05
) -> int:
    """The fewest draws with that power; all of the ``population`` at most."""
    reach = float(ndtri(1 - level / 2)) * _sd(line) + float(ndtri(power)) * _sd(true)
    needed = (reach / (true - line)) ** 2
    if population is None:
        return ceil(needed - 1e-9)
    return min(ceil(needed / (1 + (needed - 1) / population) - 1e-9), population)


def least_told(
    count: int, *, line: float, power: float, population: int | None = None, level: float = 0.05
) -> float | None:
    """The least share above the ``line`` that ``count`` draws tell with that power; None: not even 1."""

    def short(true: float) -> float:
        return power_of(count, line=line, true=true, population=population, level=level) - power

    least, most = line + 1e-9, 1 - 1e-9
    if short(least) >= 0:  # all are drawn: whatever is above the line is seen to be
        return line
    return float(brentq(short, least, most)) if short(most) > 0 else None


def _independent(count: int, population: int | None) -> float:
    if population is None:
        return float(count)
    return inf if count >= population else count * (population - 1) / (population - count)


def _sd(share: float) -> float:
    return sqrt(share * (1 - share))
