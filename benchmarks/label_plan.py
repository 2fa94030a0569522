"""Whether the label planner keeps its promises, in simulated worlds.

    python -m benchmarks.label_plan [worlds]

Six systems answer the same prompts, all alike (250 each) or some of them rarely (600 down to 50). A panel
scores every answer with an error whose size differs from unit to unit (a gamma law) and shows, noisily, in
the judges' disagreement; people grade on five steps. From a pilot of evenly drawn grades the planner
predicts the intervals after more; then these are drawn evenly, or actively (half evenly, half by predicted
error), and the intervals that reports would show are computed.
Printed per cell: realised over predicted half-width (even draws), coverage of the true means by both kinds
of draws, and the share of grades that active draws need for the width of even ones.
"""

import sys

import numpy as np

from app.stats.group_quality import GroupQuality, group_quality
from app.stats.label_choice import draw, draw_chances, shares_of_groups
from app.stats.label_plan import planned_half_widths
from app.stats.panel_error import predicted_error

EVEN, UNEVEN = (250,) * 6, (600, 350, 250, 150, 100, 50)  # answers of each system
SYSTEMS = len(EVEN)


def world(rng: np.random.Generator, shape: float, sizes: tuple[int, ...]):
    """Codes, predictions, everybody's grades, disagreement; ``shape`` small: few units carry the error."""
    system = np.repeat(np.arange(SYSTEMS), sizes)
    prompt = np.concatenate([np.arange(size) for size in sizes])
    quality = 0.55 + 0.1 * rng.standard_normal(SYSTEMS)
    truth = (
        quality[system]
        + 0.1 * rng.standard_normal(max(sizes))[prompt]
        + 0.1 * rng.standard_normal(system.size)
    )
    error = 0.15 * np.sqrt(rng.gamma(shape, 1 / shape, system.size))
    bias = 0.04 * rng.standard_normal(SYSTEMS)
    panel = truth + bias[system] + error * rng.standard_normal(system.size)
    human = np.clip(np.round(4 * (truth + 0.08 * rng.standard_normal(system.size))), 0, 4) / 4
    disagreement = error**2 * rng.chisquare(2, system.size) / 2
    return system, prompt, panel, human, disagreement


def estimate(system, prompt, panel, human, graded, chance=None) -> GroupQuality:
    """What a quality table would say."""
    return group_quality(
        group=system, prompt=prompt, prediction=panel, human=np.where(graded, human, np.nan),
        groups=SYSTEMS, inclusion=chance, population="these_units", lam_max=np.inf,
    )  # fmt: skip


def covers(quality: GroupQuality, system, human) -> float:
    means = np.bincount(system, human) / np.bincount(system)
    return float(np.mean((quality.lower <= means) & (means <= quality.upper)))


def half(quality: GroupQuality) -> float:
    return float(np.mean(quality.upper - quality.lower)) / 2


def cell(
    worlds: int, shape: float, sizes: tuple[int, ...], pilot: int, more: int, seed: int
) -> tuple[float, ...]:
    rows = []
    for k in range(worlds):
        rng = np.random.default_rng([seed, k])
        system, prompt, panel, human, disagreement = world(rng, shape, sizes)
        n = system.size
        graded = np.zeros(n, bool)
        graded[draw(np.full(n, pilot / n), np.lexsort((rng.random(n), system)), rng)] = True
        first = estimate(system, prompt, panel, human, graded)
        have = np.bincount(system, graded, SYSTEMS)
        predicted = planned_half_widths(first, more * np.array(sizes) / n).mean()
        left = np.flatnonzero(~graded)
        order = np.lexsort((rng.random(left.size), system[left]))
        even = graded.copy()
        even[left[draw(np.full(left.size, more / left.size), order, rng)]] = True
        even_quality = estimate(system, prompt, panel, human, even)
        residual = np.where(graded, human - panel, np.nan)
        centred = (
            residual - (np.bincount(system, np.nan_to_num(residual), SYSTEMS) / np.maximum(have, 1))[system]
        )
        error = predicted_error(disagreement=disagreement, variance=np.full(n, np.nan), residual=centred)
        spread = np.sqrt(np.bincount(system, error) / np.bincount(system))
        size = np.bincount(system[left], minlength=SYSTEMS).astype(float)
        share = shares_of_groups(spread=spread, have=have.astype(float), size=size, more=more)
        chance = draw_chances(error=error[left], group=system[left], group_share=share, count=more)
        drawn = draw(chance, order, rng)
        active, weight = graded.copy(), np.ones(n)
        active[left[drawn]] = True
        weight[left[drawn]] = chance[drawn] / chance.mean()
        active_quality = estimate(system, prompt, panel, human, active, weight)
        rows.append((
            half(even_quality) / predicted, covers(even_quality, system, human),
            covers(active_quality, system, human), half(active_quality) / half(even_quality),
        ))  # fmt: skip
    ratio, even_covers, active_covers, widths = np.mean(rows, axis=0)
    return float(ratio), float(even_covers), float(active_covers), float(widths**2)


def main() -> None:
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"{worlds} worlds per row, {SYSTEMS} systems")
    names = ("answers", "error differs", "pilot", "more", "realised / predicted")
    print("|", " | ".join((*names, "even covers", "active covers", "grades active needs")), "|")
    print("|---" * 8 + "|")
    for traffic, sizes in (("alike", EVEN), ("uneven", UNEVEN)):
        for name, shape in (("hardly", 20.0), ("some", 1.0), ("a lot", 0.25)):
            for pilot, more in ((120, 120), (120, 360), (240, 240)):
                ratio, even, active, need = cell(worlds, shape, sizes, pilot, more, seed=7)
                row = f"{traffic} | {name} | {pilot} | {more} | {ratio:.3f} | {even:.1%} | {active:.1%}"
                print(f"| {row} | {need:.0%} |")


if __name__ == "__main__":
    main()
