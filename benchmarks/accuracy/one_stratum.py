"""Anchors from one stratum for traffic from all: how often does the test of GET /quality object?

It is told no strata: it sees panel scores, disagreement and lengths. Beside it anchors drawn at random, where
it should object in as many draws as its level says.
"""

from dataclasses import replace

import numpy as np

from app.reporting.anchor_shift import DAMNING, SUSPICIOUS
from app.reporting.graded_units import graded_units
from benchmarks.accuracy.panel import anchored, judge
from benchmarks.accuracy.recorded import Recorded

_COUNTS = (30, 50, 80)
_SEED = 5


def p_value(
    data: Recorded, anchors: int, copies: int, allowed: np.ndarray, rng: np.random.Generator
) -> float:
    """Of one draw of ``copies`` units with replacement, the first ``anchors`` of them from ``allowed``."""
    rows = np.concatenate([rng.choice(allowed, anchors), rng.integers(0, data.units, copies - anchors)])
    drawn = replace(data.take(rows), strata=())
    found = graded_units(anchored(judge(drawn).frame, drawn, np.arange(anchors))).anchoring.p_value
    return 1.0 if found is None else found


def one_stratum_table(data: Recorded, stratum: str, copies: int, draws: int) -> str:
    own = np.flatnonzero(data.stratum == data.strata.index(stratum))
    lines = [
        f"| anchors | from {stratum} only: p < {SUSPICIOUS} | p < {DAMNING} | at random: p < {SUSPICIOUS} "
        f"| p < {DAMNING} |\n" + "|---" * 5 + "|\n"
    ]
    for anchors in _COUNTS:
        shares = []
        for allowed in (own, np.arange(data.units)):
            chance = (np.random.default_rng([_SEED, k]) for k in range(draws))
            p = np.array([p_value(data, anchors, copies, allowed, rng) for rng in chance])
            shares += [float((p < SUSPICIOUS).mean()), float((p < DAMNING).mean())]
        lines.append(f"| {anchors} | " + " | ".join(f"{share:.3f}" for share in shares) + " |\n")
    return "".join(lines)
