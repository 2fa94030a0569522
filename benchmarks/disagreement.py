"""What a cold regrade tells, in worlds of known truth: shares of real disagreements, alpha, noise, verdicts.

    python -m benchmarks.disagreement [worlds]

A set holds one grade from 1 to 5 of each answer, by two systems of which the second has a third of the
answers. Some anchors are drawn as the service draws them and graded once more by a person with as much noise.
Grades are rounded, so the truth is read from a large world.
"""

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.auditing.disagreement_measures import ALARM, LINE
from app.stats.pair_agreement import GradePairs, alpha_of_pairs, mean_of_pairs, share_of_pairs
from app.stats.stratified_draw import allocate, draw_stratified

Floats = NDArray[np.float64]

_LARGE = 1_000_000
CELLS = tuple(
    (n, size, noise) for n, size in ((50, 100), (50, 500), (110, 2_000)) for noise in (0.65, 0.77, 0.98)
)


@dataclass(frozen=True, slots=True)
class Study:
    """``share`` and ``alpha`` are the truth. Shares of worlds in which the 95% interval ``held`` the share of
    its set, alpha and the noise of a grade; in which the share was ``above`` the line with its interval; and
    what the audit said. ``width`` of the share's interval."""

    share: float
    held: float
    width: float
    above: float
    failed: float
    passed: float
    alpha: float
    alpha_held: float
    noise_held: float


def grades(rng: np.random.Generator, answers: int, noise: float) -> tuple[Floats, Floats]:
    """Two people's grades of the same answers."""
    truth = 3 + rng.normal(size=answers)
    first, second = (np.clip(np.round(truth + noise * rng.normal(size=answers)), 1, 5) for _ in range(2))
    return first, second


def study(rng: np.random.Generator, count: int, size: int, noise: float, worlds: int) -> Study:
    """What is told in so many worlds, beside the truth."""
    first, second = grades(rng, _LARGE, noise)
    everything = GradePairs(first, second, np.ones(_LARGE), np.arange(_LARGE), np.zeros(_LARGE))
    alpha, square = alpha_of_pairs(everything).estimate, float(np.mean((first - second) ** 2) / 2)
    cell = (np.arange(size) < size // 3).astype(np.int64)
    allocation = allocate(np.bincount(cell), count, 2)
    assert allocation is not None
    told = np.empty((worlds, 7))
    for k in range(worlds):
        stood, cold = grades(rng, size, noise)
        drawn = draw_stratified(cell, allocation, rng)
        row, chance = drawn.row, drawn.inclusion
        pairs = GradePairs(stood[row], cold[row], 1 / chance, row, chance)
        apart = np.abs(stood - cold) > 1
        share = share_of_pairs(apart[row], pairs)
        a, s = alpha_of_pairs(pairs), mean_of_pairs((pairs.first - pairs.second) ** 2 / 2, pairs)
        told[k] = (
            share.low <= apart.mean() <= share.high, share.high - share.low, share.low > LINE,
            share.low > LINE and share.estimate > ALARM, share.high <= ALARM and share.estimate <= LINE,
            a.low <= alpha <= a.high, s.low <= square <= s.high,
        )  # fmt: skip
    held, width, above, failed, passed, alpha_held, noise_held = told.mean(axis=0).tolist()
    true = float(np.mean(np.abs(first - second) > 1))
    return Study(true, held, width, above, failed, passed, alpha, alpha_held, noise_held)


def main(worlds: int = 4_000) -> None:
    """Print the table of docs/statistics.md."""
    rng = np.random.default_rng(20261127)
    print("| drawn | of | differ | held | width | above | failed | passed | alpha | held | noise held |")
    print("|" + "---|" * 11)
    for count, size, noise in CELLS:
        one = study(rng, count, size, noise, worlds)
        print(
            f"| {count} | {size:,} | {one.share:.1%} | {one.held:.1%} | {one.width:.3f} | {one.above:.1%} "
            f"| {one.failed:.1%} | {one.passed:.1%} | {one.alpha:.2f} | {one.alpha_held:.1%} "
            f"| {one.noise_held:.1%} |"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
