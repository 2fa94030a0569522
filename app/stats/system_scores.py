"""Where systems stand on the panel's factor, and a unit's place within its system.

Latent quality q (variance 1) is a system mean m plus a deviation d. A system's mean of unshrunk
scores G estimates m with little noise when it has many units; a unit's deviation is read from one
noisy G. Both are shrunk by what their own variances say (normal-normal empirical Bayes), so a
system that was never seen is simply one with no units yet.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEAST_WITHIN = 0.05  # of the total variance of q


@dataclass(frozen=True, slots=True)
class SystemScores:
    """S systems on q's scale: ``mean`` (S,) shrunk, ``variance`` (S,) of its error, ``units`` (S,).

    ``within`` and ``between``: variances of d and m (pairs: of one system's m). ``signed``: units are
    pairs, whose mean is the difference of two systems. ``consensus_mean``, ``consensus_slope`` turn
    q into units of the raw panel mean (see `factors.PanelFactor`).
    """

    mean: Floats
    variance: Floats
    units: Floats
    within: float
    between: float
    signed: bool
    consensus_mean: float
    consensus_slope: float


@dataclass(frozen=True, slots=True)
class Placed:
    """Per unit (n,), in units of the raw panel mean, centred at 0 for the average unit.

    ``between`` M: the system's mean; ``deviation`` D: shrunken place within it; ``centre`` = M + D.
    ``error``: variance of the deviation that the panel leaves open; ``between_error``: of M.
    ``own_weight``: share of an error in M that stays in M + D (the unit's own score absorbs the rest).
    """

    between: Floats
    deviation: Floats
    centre: Floats
    error: Floats
    between_error: Floats
    own_weight: Floats


def fit_system_scores(
    *,
    score: Floats,
    reliability: Floats,
    system: Ints,
    other_system: Ints,
    systems: int,
    signed: bool,
    consensus_mean: float,
    consensus_slope: float,
) -> SystemScores:
    """Estimate system means and the two variances from every unit with a score (NaN are left out)."""
    ok = np.isfinite(score) & (reliability > 0)
    score, reliability, system, other_system = score[ok], reliability[ok], system[ok], other_system[ok]
    noise = (1.0 - reliability) / reliability
    design = _gram(system, other_system, systems, signed)
    units = np.diag(design).copy()
    total = _totals(score, system, other_system, systems, signed)
    rank = max(int((units > 0).sum()) - int(signed), 0)
    raw: Floats = np.linalg.lstsq(design, total, rcond=1e-9)[0].astype(np.float64)
    fitted = raw[system] - (raw[other_system] if signed else 0.0)
    left = max(len(score) - rank, 1)
    within = float(((score - fitted) ** 2).sum() / left - noise.mean()) if len(score) else 1.0
    within = float(np.clip(within, _LEAST_WITHIN, 1.0))
    seen = units > 0
    between = (
        _between(raw[seen], (within + float(noise.mean())) / units[seen], signed) if seen.sum() > 1 else 0.0
    )
    spread = within + (float(noise.mean()) if len(noise) else 1.0)
    ratio = spread / max(between, 1e-9)
    shrunk: Floats = np.linalg.solve(design + ratio * np.eye(systems), total).astype(np.float64)
    error = spread * np.diag(np.linalg.inv(design + ratio * np.eye(systems)))
    return SystemScores(shrunk, error, units, within, between, signed, consensus_mean, consensus_slope)


def _gram(system: Ints, other_system: Ints, systems: int, signed: bool) -> Floats:
    gram = np.diag(np.bincount(system, minlength=systems).astype(float))
    if signed:
        gram += np.diag(np.bincount(other_system, minlength=systems).astype(float))
        np.add.at(gram, (system, other_system), -1.0)
        np.add.at(gram, (other_system, system), -1.0)
    return gram


def _totals(score: Floats, system: Ints, other_system: Ints, systems: int, signed: bool) -> Floats:
    total = np.bincount(system, weights=score, minlength=systems)
    if signed:
        total = total - np.bincount(other_system, weights=score, minlength=systems)
    return total.astype(float)


def _between(means: Floats, noise: Floats, signed: bool) -> float:
    """Variance of system means beyond their noise, by moments."""
    centre = 0.0 if signed else float(means.mean())
    return max(float(((means - centre) ** 2).sum() / (len(means) - 1) - noise.mean()), 1e-4)


def place_units(
    panel: SystemScores, *, score: Floats, reliability: Floats, system: Ints, other_system: Ints
) -> Placed:
    """Split scores (n,) into the system's part and the unit's own; a code of -1 is an unseen system."""
    safe = np.clip(reliability, 1e-6, None)
    noise = (1.0 - safe) / safe
    mean, open_mean = _system_part(panel, system)
    if panel.signed:
        other_mean, other_open = _system_part(panel, other_system)
        mean, open_mean = mean - other_mean, open_mean + other_open
    else:
        open_mean = open_mean.copy()
    strange = (system < 0) | (panel.signed & (other_system < 0))
    spread = panel.within + noise
    learn = np.where(strange, open_mean / (open_mean + spread), 0.0)
    mean = mean + learn * (score - mean)
    open_mean = open_mean * (1.0 - learn)
    kept = panel.within / spread
    slope = panel.consensus_slope
    between, deviation = slope * mean, slope * kept * (score - mean)
    return Placed(
        between=between, deviation=deviation, centre=between + deviation,
        error=slope**2 * panel.within * (1.0 - kept), between_error=slope**2 * open_mean,
        own_weight=1.0 - kept,
    )  # fmt: skip


def _system_part(panel: SystemScores, system: Ints) -> tuple[Floats, Floats]:
    seen = system >= 0
    if not len(panel.mean):
        return np.zeros(len(system)), np.full(len(system), panel.between)
    code = np.where(seen, system, 0)
    return np.where(seen, panel.mean[code], 0.0), np.where(seen, panel.variance[code], panel.between)
