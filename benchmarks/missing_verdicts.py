"""Level, power and coverage of what is told of missing verdicts, in worlds of known truth.

    python -m benchmarks.missing_verdicts [worlds]

Four answers to a prompt by one system, three judges with noise and severities. Verdicts go missing with a
chance that differs from prompt to prompt, and with the quality q of an answer as e^(slope q).
"""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.stats.missingness import others_score, related_to_quality
from app.stats.shares import shares_by

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


def main() -> None:
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
