"""How much a judge gains the answer it was shown first.

Read in the order shown, a verdict is y = position + (quality of the first - quality of the
second): its mean is the position effect, once the systems' own differences are taken out. Where
orders were drawn at random they hardly matter; where every pair stood in one order only they do. A unit
judged in both orders cancels its quality exactly.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_VERDICTS = 20


@dataclass(frozen=True, slots=True)
class PositionEffect:
    """``effect`` on the signed scale (-1 to 1; 0.2 is 10 points more first picks than second ones),
    its cluster-robust ``se``, over ``verdicts`` of ``units``. ``identified`` is False, with effect 0 and
    an infinite se, where ``why`` says so."""

    effect: float
    se: float
    verdicts: int
    units: int
    identified: bool
    why: str | None = None


def estimate_position(
    *, shown: Floats, unit: Ints, first: Ints, second: Ints, systems: int
) -> PositionEffect:
    """Estimate one judge's effect from verdicts (m,) in the order shown: +1 the first wins, 0, -1.

    ``unit`` are codes of pairs (both orders share one), ``first`` and ``second`` codes of the systems shown.
    """
    m, units = len(shown), len(np.unique(unit))
    if m < LEAST_VERDICTS:
        return PositionEffect(0.0, np.inf, m, units, False, f"{m} verdicts, {LEAST_VERDICTS} needed")
    design = np.zeros((m, systems))
    np.add.at(design, (np.arange(m), first), 1.0)
    np.add.at(design, (np.arange(m), second), -1.0)
    x = np.column_stack([np.ones(m), design])
    gram = x.T @ x
    inverse = np.linalg.pinv(gram, rcond=1e-9)
    if abs((inverse @ gram)[0, 0] - 1.0) > 1e-6:
        why = "every pair of systems was shown in one order only, so position and quality are one"
        return PositionEffect(0.0, np.inf, m, units, False, why)
    coefficients = inverse @ (x.T @ shown)
    residual = shown - x @ coefficients
    code = np.unique(unit, return_inverse=True)[1].ravel()
    influence = np.bincount(code, weights=(x @ inverse[:, 0]) * residual, minlength=units)
    small = units / max(units - 1, 1)
    se = float(np.sqrt(small * (influence**2).sum()))
    return PositionEffect(float(coefficients[0]), max(se, 1e-6), m, units, True)


def shrink_positions(effects: Floats, ses: Floats) -> Floats:
    """Effects (J,) pulled to 0 by their own noise (normal prior, variance by moments), for correcting."""
    known = np.isfinite(ses)
    if not known.any():
        return np.zeros_like(effects)
    spread = max(float(np.mean(effects[known] ** 2 - ses[known] ** 2)), 1e-4)
    return np.where(known, effects * spread / (spread + np.where(known, ses, 0.0) ** 2), 0.0)
