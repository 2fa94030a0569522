"""The bias report where biases are planted and where they are not: recovery, coverage, false alarms."""

from typing import Any

import numpy as np

from app.calibration.design import build_design
from app.calibration.judge_bias import judge_bias
from benchmarks.simulation.bias_worlds import (
    BIASED,
    BIASED_IN_PAIRS,
    BY_STRATUM,
    FAIR,
    FAIR_IN_PAIRS,
    FAMILIES,
    POINTS,
    Biased,
    BiasWorld,
    PairWorld,
    Planted,
    draw,
    draw_pairs,
)
from benchmarks.simulation.tally import Sums, Tally

LEVEL = 0.95
NOISE = 15.0  # of people, where false alarms are counted: one grade repeats 39% of what varies in a system

BIAS_WORLDS: tuple[BiasWorld | PairWorld, ...] = (
    BiasWorld("planted, 240 answers", BIASED, prompts=30),
    BiasWorld("planted, 640 answers", BIASED, prompts=80),
    PairWorld("planted, 480 pairs", BIASED_IN_PAIRS),
    BiasWorld("planted by stratum, 640 answers", BY_STRATUM, prompts=80),
    BiasWorld("no own family, gap of 0.5", FAIR, prompts=60, gap=0.5, noise=NOISE),
    BiasWorld("no own family, gap of 1", FAIR, prompts=60, gap=1.0, noise=NOISE, taste=3.0),
    PairWorld("no own family, pairs", FAIR_IN_PAIRS),
    BiasWorld("nothing planted, 240 answers", FAIR, prompts=30, taste=0.0),
    PairWorld("nothing planted, pairs", FAIR_IN_PAIRS, taste=0.0),
    BiasWorld(
        "no own family, 24 systems on 20 prompts",
        FAIR,
        prompts=20,
        gap=1.0,
        noise=NOISE,
        taste=3.0,
        families=FAMILIES * 3,
    ),
)


def chunk(world: BiasWorld | PairWorld, seed: int, start: int, stop: int) -> Sums:
    tally = Tally()
    for k in range(start, stop):
        rng = np.random.default_rng([seed, k])
        if isinstance(world, PairWorld):
            report = judge_bias(build_design(draw_pairs(world, rng)), level=LEVEL)
            for j, judge in enumerate(report["judges"]):
                for name, truth in _in_pairs(world, j).items():
                    _told(tally, f"{name} {j}", judge["effects"][name], truth)
        else:
            drawn = draw(world, rng)
            report = judge_bias(build_design(drawn.evidence), level=LEVEL)
            for j, judge in enumerate(report["judges"]):
                for name, truth in _about_answers(world, drawn, j).items():
                    _told(tally, f"{name} {j}", judge["effects"][name], truth)
                for s, row in enumerate(judge["systems"]):
                    others = np.delete(drawn.of_system[j], s).mean()
                    _told(tally, f"system {j}", row, drawn.of_system[j, s] - others)
                ((_, hard),) = judge["strata"].values()  # the other stratum's effect is minus this one's
                _told(tally, f"stratum {j}", hard, world.judges[j].hard)
        tally.add("any flag", report["multiplicity"]["flagged"] > 0)
    return tally.sums


def _told(tally: Tally, at: str, told: dict[str, Any], truth: float) -> None:
    given = told["status"] == "identified"
    tally.add(f"{at} given", given)
    if not given:
        return
    low, high = told["interval"]
    tally.add(f"{at} truth", truth)
    tally.add(f"{at} error", told["estimate"] - truth)
    tally.add(f"{at} error2", (told["estimate"] - truth) ** 2)
    tally.add(f"{at} covered", low <= truth <= high)
    tally.add(f"{at} width", high - low)
    tally.add(f"{at} claimed", told["p_value"] <= 1 - LEVEL)
    tally.add(f"{at} flagged", told["flagged"])


def _about_answers(world: BiasWorld, drawn: Biased, j: int) -> dict[str, float]:
    """What the report should say of the ``j``-th judge, by effect."""
    planted: Planted = world.judges[j]
    mean = POINTS * (world.gap * np.mean([f == "red" for f in world.families]) - 0.4 * 0.5)
    mine = planted.level + (planted.slope - 1) * mean + drawn.of_system[j].mean() + 0.5 * planted.hard
    return {
        "severity": -float(mine),
        "discrimination": planted.slope,
        "length": planted.length,
        "layout": planted.layout,
        "own_family": planted.own_family,
        "position": planted.place,
    } | ({"version_level": world.judges[3].level - world.judges[0].level} if j == 3 else {})


def _in_pairs(world: PairWorld, j: int) -> dict[str, float]:
    planted = world.judges[j]
    return {
        "discrimination": planted.slope,
        "length": planted.length,
        "own_family": planted.own_family,
        "position": planted.position,
    }
