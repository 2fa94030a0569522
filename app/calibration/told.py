"""Effects as JSON-ready values, or the reason that stands in their place; and which stand out among all.

An effect is ``{status, estimate, interval, std_error, n, prompts, unit, why, no_effect, p_value, p_adjusted,
flagged}``. Without an estimate the numbers are None and ``why`` says what is missing.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from app.domain.calibration import EffectStatus
from app.stats.errors import InsufficientData, NotIdentified
from app.stats.jackknife import Effect
from app.stats.multiplicity import benjamini_hochberg

Report = dict[str, Any]


def tell(
    compute: Callable[[], Effect], unit: str, scale: float = 1.0, *, no_effect: float | None = None
) -> Report:
    """Compute an effect and turn it into ``unit`` by ``scale``; ``no_effect`` (before scaling) is the value
    of a judge without the bias, None where there is none."""
    try:
        effect = compute()
    except InsufficientData as reason:
        return nothing(EffectStatus.INSUFFICIENT_DATA, str(reason), n=reason.have)
    except NotIdentified as reason:
        return nothing(EffectStatus.NOT_IDENTIFIED, str(reason))
    told = asdict(effect)
    return {
        "status": EffectStatus.IDENTIFIED.value,
        "estimate": told["estimate"] * scale,
        "interval": [told["low"] * scale, told["high"] * scale],
        "std_error": told["std_error"] * abs(scale),
        "n": told["n"],
        "prompts": told["prompts"],
        "unit": unit,
        "why": None,
        "no_effect": None if no_effect is None else no_effect * scale,
        "p_value": None if no_effect is None else effect.p_value(no_effect),
        "p_adjusted": None,
        "flagged": None,
    }


def nothing(status: EffectStatus, why: str, n: int = 0) -> Report:
    """What stands in the place of an effect that cannot be told."""
    empty = dict.fromkeys(("estimate", "interval", "std_error"))
    tests = dict.fromkeys(("no_effect", "p_value", "p_adjusted", "flagged"))
    return {"status": status.value, **empty, "n": n, "prompts": 0, "unit": None, "why": why, **tests}


def flag(judges: list[Report], level: float) -> Report:
    """Adjust every p-value of the judges' biases for all the others; see `adjust`."""
    return adjust((one for judge in judges for one in _effects(judge)), level)


def adjust(effects: Iterable[Report], level: float) -> Report:
    """Adjust p-values for each other, by Benjamini and Hochberg, and flag what stands out.

    Among the flagged effects at most 1 - ``level`` are expected to be there by chance alone. Changes the
    effects in place and returns how it was done.
    """
    tested = [one for one in effects if one["p_value"] is not None]
    adjusted = benjamini_hochberg(np.array([one["p_value"] for one in tested], dtype=np.float64))
    for one, p in zip(tested, adjusted.tolist(), strict=True):
        one["p_adjusted"], one["flagged"] = p, p <= 1 - level + 1e-12
    return {
        "method": "benjamini-hochberg",
        "effects": len(tested),
        "flagged": sum(one["flagged"] for one in tested),
    }


def _effects(judge: Report) -> Iterator[Report]:
    yield from judge["effects"].values()
    for table in (judge["systems"], *judge["strata"].values()):
        yield from table
