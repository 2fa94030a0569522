"""Level, power and coverage of what is told of missing verdicts, in worlds of known truth.

    python -m benchmarks.missing_verdicts [worlds]
    python -m benchmarks.missing_verdicts --corrected [worlds]

Four answers to a prompt by one system, three judges with noise and severities. Verdicts go missing with a
chance that differs from prompt to prompt, and with the quality q of an answer as e^(slope q).
"""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.stats.group_quality import group_quality
from app.stats.missing_predictions import Verdicts, corrected_moves
from app.stats.missingness import others_score, related_to_quality
from app.stats.shares import shares_by

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ANSWERS, JUDGES = 4, 3
_LARGE = 60_000  # prompts of the world that the truth is read from
CELLS = (
    (15, 0.3, 0.0), (20, 0.1, 0.0), (40, 0.05, 0.0), (40, 0.3, 0.0), (60, 0.01, 0.0), (100, 0.05, 0.0),
    (300, 0.02, 0.0), (40, 0.3, -0.5), (100, 0.1, -0.5), (300, 0.02, -0.5),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Study:
    """``told``: share of worlds in which the relation is identified; among those ``rejected`` at .05 and
    ``covered`` by the 95% interval. ``rate_covered``: of all worlds, by the rate's. ``freedom``: median."""

    truth: float
    told: float
    rejected: float
    covered: float
    rate_covered: float
    freedom: float


def world(rng: np.random.Generator, prompts: int, rate: float, slope: float) -> dict[str, Any]:
    """The arguments of `related_to_quality` for one world."""
    rows = ANSWERS * prompts
    prompt = np.arange(rows) // ANSWERS
    quality = 0.7 * rng.normal(size=prompts)[prompt] + 0.7 * rng.normal(size=rows)
    value = quality[:, None] + np.array([0.3, 0.0, -0.5]) + 0.8 * rng.normal(size=(rows, JUDGES))
    # whole prompts go missing more easily than others, whatever their quality: clusters matter
    ease = np.log(rate) + rng.normal(size=prompts)[prompt] - 0.5
    silent = rng.random((rows, JUDGES)) < np.exp(np.minimum(ease + slope * quality, -0.1))[:, None]
    row, judge = (index.ravel() for index in np.indices(value.shape))
    said = np.where(silent, np.nan, value).ravel()
    return {
        "judge": judge, "cluster": prompt[row], "cluster_group": np.zeros(prompts, np.int64),
        "missing": silent.ravel(), "groups": 1, "judges": JUDGES,
        "others": others_score(row=row, judge=judge, value=said, rows=rows, judges=JUDGES),
    }  # fmt: skip


def study(rng: np.random.Generator, prompts: int, rate: float, *, slope: float, worlds: int) -> Study:
    """What is told in so many worlds, beside the truth."""
    large = world(rng, _LARGE, rate, slope)
    truth = float(related_to_quality(**large).difference[0]) if slope else 0.0
    true_rate = float(large["missing"].mean())
    p, low, high, freedom = np.empty((4, worlds))
    held = np.empty(worlds, bool)
    for k in range(worlds):
        made = world(rng, prompts, rate, slope)
        found = related_to_quality(**made)
        p[k], low[k], high[k] = found.p_value[0], found.low[0], found.high[0]
        freedom[k] = found.freedom[0]
        hits = np.bincount(made["cluster"], made["missing"], prompts)
        size = np.full(prompts, ANSWERS * JUDGES)
        share = shares_by(hits=hits, size=size, group=made["cluster_group"], groups=1)
        held[k] = share.low[0] <= true_rate <= share.high[0]
    told = np.isfinite(p)
    return Study(
        truth, float(told.mean()), float((p[told] < 0.05).mean()),
        float(((low <= truth) & (truth <= high))[told].mean()), float(held.mean()),
        float(np.median(freedom)),
    )  # fmt: skip


SYSTEMS, GRADED = 5, 30
ANCHORS = ("at random", "judged by all", "judged by any")
CORRECTED = tuple(
    (who, rate, slope) for who in ANCHORS for rate, slope in ((0.1, -1.0), (0.3, -1.0), (0.5, -1.5))
)


@dataclass(frozen=True, slots=True)
class CorrectedStudy:
    """Of all intervals of corrected means, those that hold the truth.

    ``held``: as they are; ``within``: over missing verdicts within a standard deviation; ``at_worst``.
    ``error``: mean error as it is; ``width``, ``worst``: widths as it is and at worst; ``missing``: share of
    missing verdicts.
    """

    missing: float
    error: float
    held: float
    within: float
    at_worst: float
    width: float
    worst: float


def corrected_study(
    rng: np.random.Generator, who: str, rate: float, slope: float, worlds: int
) -> CorrectedStudy:
    """Systems of 150 answers, 30 of them graded: at random, or of those that all, or any, judges scored."""
    truth = np.linspace(0.35, 0.65, SYSTEMS)
    rows, found = SYSTEMS * 150, []
    group, prompt = np.repeat(np.arange(SYSTEMS), 150), np.tile(np.arange(150), SYSTEMS)
    for _ in range(worlds):
        quality = truth[group] + 0.12 * rng.standard_normal(150)[prompt] + 0.12 * rng.standard_normal(rows)
        human = np.clip(quality + 0.1 * rng.standard_normal(rows), 0, 1)
        said = np.clip(
            quality[:, None] + [0.05, 0.0, -0.1] + 0.15 * rng.standard_normal((rows, JUDGES)), 0, 1
        )
        # the worse an answer, the sooner all judges fall silent on it, each for itself
        chance = np.minimum(rate * np.exp(slope * (quality - 0.5) / 0.17), 0.9)
        said[rng.random((rows, JUDGES)) < chance[:, None]] = np.nan
        silent = np.isnan(said)
        able = {
            "at random": np.ones(rows, bool),
            "judged by all": ~silent.any(1),
            "judged by any": ~silent.all(1),
        }
        graded = np.zeros(rows, bool)
        for g in range(SYSTEMS):
            able_here = np.flatnonzero(able[who] & (group == g))
            graded[rng.choice(able_here, min(GRADED, able_here.size), replace=False)] = True
        found.append(_corrected(group, prompt, said, np.where(graded, human, np.nan), truth))
    share, error, held, within, at_worst, width, worst = np.mean(found, axis=0)
    return CorrectedStudy(share, error, held, within, at_worst, width, worst)


def _corrected(group: Ints, prompt: Ints, said: Floats, human: Floats, truth: Floats) -> list[float]:
    told = np.isfinite(said).any(1)
    score = np.full(said.shape[0], np.nan)
    score[told] = np.nanmean(said[told] - np.nanmean(said, axis=0), axis=1) + 0.5
    about: dict[str, Any] = {
        "group": group, "prompt": prompt, "human": human, "groups": SYSTEMS, "lam_max": np.inf,
        "reliability": np.full(group.size, 0.7),
    }  # fmt: skip
    quality = group_quality(prediction=score, panel_score=score, **about)

    row, judge = np.nonzero(np.isnan(said))
    known, by = np.nonzero(np.isfinite(said))
    moves = corrected_moves(
        verdicts=Verdicts(
            known, by, said[known, by], row, judge, np.nanstd(said, axis=0)[judge], said.shape[1]
        ),
        group=group, prediction=score, score=score, anchor_weight=np.isfinite(human).astype(float),
        lam=quality.means.power.lam, own_share=quality.own_share, score_slope=quality.score_slope,
        shifts=(-1.0, 1.0),
    )  # fmt: skip
    ends = quality.lower, quality.upper
    sd = ends[0] + moves.shifted.min(0).clip(max=0), ends[1] + moves.shifted.max(0).clip(min=0)
    far = ends[0] + moves.low, ends[1] + moves.high
    held = [((low <= truth) & (truth <= high)).mean() for low, high in (ends, sd, far)]
    widths = [float((high - low).mean()) for low, high in (ends, far)]
    return [float(np.isnan(said).mean()), float((quality.estimate - truth).mean()), *held, *widths]


def _print_corrected(worlds: int) -> None:
    print(
        "| graded | missing | slope | mean error | held | within 1 SD | at worst | width | width at worst |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for who, rate, slope in CORRECTED:
        one = corrected_study(np.random.default_rng(7), who, rate, slope, worlds)
        print(
            f"| {who} | {one.missing:.0%} | {slope:g} | {one.error:+.3f} | {one.held:.1%} | "
            f"{one.within:.1%} | {one.at_worst:.1%} | {one.width:.3f} | {one.worst:.3f} |",
            flush=True,
        )


def main() -> None:
    if "--corrected" in sys.argv:
        _print_corrected(int(sys.argv[2]) if len(sys.argv) > 2 else 1_000)
        return
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else 4_000
    print(
        "| prompts | missing | slope | true difference | told | rejected | covered | rate covered | freedom |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for prompts, rate, slope in CELLS:
        found = study(np.random.default_rng(11), prompts, rate, slope=slope, worlds=worlds)
        print(
            f"| {prompts} | {rate:.0%} | {slope:g} | {found.truth:.2f} | {found.told:.1%} | "
            f"{found.rejected:.1%} | {found.covered:.1%} | {found.rate_covered:.1%} | {found.freedom:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
