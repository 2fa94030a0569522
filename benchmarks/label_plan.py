"""Whether the label planner keeps its promises, in simulated worlds.

    python -m benchmarks.label_plan [worlds] [processes]

Six systems answer the same prompts, all alike (250 each), some of them rarely (600 down to 50), or hardly
(700 down to 10). A panel scores every answer with an error whose size differs from unit to unit (a gamma law)
and shows, noisily, in how judges disagree; people grade on five steps. From a pilot of evenly drawn grades
the planner predicts the intervals after more; then these are drawn evenly, or actively (half evenly, half by
predicted error), and the intervals that reports would show are computed.

Printed per cell, for the mean half-width over systems after even draws: realised over predicted; how far its
range reaches to either side, and how often it holds the realised one (and so for single systems); how often
the planner promises a number (a range within 10%), and how often the realised one is then within 10% of it.
Then coverage of the true means by both kinds of draws, and the share of grades that active draws need for the
width of even ones.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.stats.group_quality import GroupQuality, group_quality
from app.stats.label_choice import draw, draw_chances, shares_of_groups
from app.stats.label_plan import planned_widths
from app.stats.panel_error import predicted_error

Floats = NDArray[np.float64]
SIZES = {  # answers of each system
    "alike": (250,) * 6,
    "uneven": (600, 350, 250, 150, 100, 50),
    "thin": (700, 400, 250, 100, 40, 10),
}
SYSTEMS = 6
ERRORS = {"hardly": 20.0, "some": 1.0, "a lot": 0.25}
PLANS = ((40, 40), (40, 240), (120, 120), (120, 360), (240, 240))
TOLERANCE = 0.1
HEAD = (
    *("answers", "error differs", "pilot", "more", "realised / predicted", "range", "holds the mean's"),
    *("holds a system's", "promised", "kept", "even covers", "active covers", "grades active needs"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One row: ``pilot`` grades, then ``more``; the laws by their names."""

    answers: str
    error: str
    pilot: int
    more: int


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
    """Of the intervals that there are."""
    means, shown = np.bincount(system, human) / np.bincount(system), np.isfinite(quality.lower)
    return float(np.mean(((quality.lower <= means) & (means <= quality.upper))[shown]))


def half(quality: GroupQuality) -> Floats:
    return np.asarray(quality.upper - quality.lower) / 2


def told(cell: Cell, seed: int, k: int) -> tuple[float, ...]:
    """One world: all that the columns are averages of; NaN where a plan promises nothing."""
    rng = np.random.default_rng([seed, k])
    sizes, more = SIZES[cell.answers], cell.more
    system, prompt, panel, human, disagreement = world(rng, ERRORS[cell.error], sizes)
    n = system.size
    graded = np.zeros(n, bool)
    graded[draw(np.full(n, cell.pilot / n), np.lexsort((rng.random(n), system)), rng)] = True
    first = estimate(system, prompt, panel, human, graded)
    have = np.bincount(system, graded, SYSTEMS)
    left = np.flatnonzero(~graded)
    size = np.bincount(system[left], minlength=SYSTEMS).astype(float)
    plan = planned_widths(first, more * size[None] / left.size)
    order = np.lexsort((rng.random(left.size), system[left]))
    even = graded.copy()
    even[left[draw(np.full(left.size, more / left.size), order, rng)]] = True
    even_quality = estimate(system, prompt, panel, human, even)
    came = half(even_quality)
    known, shown = np.isfinite(half(first)), np.isfinite(plan.half[0]) & np.isfinite(came)
    ratio = came[known].mean() / plan.mean[0]
    low, high = plan.mean_low[0] / plan.mean[0], plan.mean_high[0] / plan.mean[0]
    promised = low >= 1 - TOLERANCE and high <= 1 + TOLERANCE
    held = (plan.low[0] <= came) & (came <= plan.high[0])
    residual = np.where(graded, human - panel, np.nan)
    centred = residual - (np.bincount(system, np.nan_to_num(residual), SYSTEMS) / np.maximum(have, 1))[system]
    error = predicted_error(disagreement=disagreement, variance=np.full(n, np.nan), residual=centred)
    spread = np.sqrt(np.bincount(system, error) / np.bincount(system))
    share = shares_of_groups(spread=spread, have=have.astype(float), size=size, more=more)
    chance = draw_chances(error=error[left], group=system[left], group_share=share, count=more)
    drawn = draw(chance, order, rng)
    active, weight = graded.copy(), np.ones(n)
    active[left[drawn]] = True
    weight[left[drawn]] = chance[drawn] / chance.mean()
    active_quality = estimate(system, prompt, panel, human, active, weight)
    return (
        ratio, 0.5 * (high - low), low <= ratio <= high,
        float(held[shown].mean()), promised,
        abs(ratio - 1) <= TOLERANCE if promised else np.nan, covers(even_quality, system, human),
        covers(active_quality, system, human), np.nanmean(half(active_quality)) / np.nanmean(came),
    )  # fmt: skip


def row(cell: Cell, worlds: int, seed: int = 7) -> str:
    found = np.array([told(cell, seed, k) for k in range(worlds)], float)
    promises = int(found[:, 4].sum())
    kept = f"{np.nanmean(found[:, 5]):.0%}" if promises else "-"
    ratio, reach, mean_held, one_held, promised, _, even, active, widths = (
        float(np.nanmean(column)) if not np.isnan(column).all() else np.nan for column in found.T
    )
    cells = (
        *(cell.answers, cell.error, str(cell.pilot), str(cell.more), f"{ratio:.3f}", f"±{reach:.0%}"),
        *(f"{mean_held:.0%}", f"{one_held:.0%}", f"{promised:.0%}", kept),
        *(f"{even:.1%}", f"{active:.1%}", f"{widths**2:.0%}"),
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    processes = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    print(f"{worlds} worlds per row, {SYSTEMS} systems")
    print(f"| {' | '.join(HEAD)} |")
    print("|---" * len(HEAD) + "|")
    cells = [Cell(answers, error, *plan) for answers in SIZES for error in ERRORS for plan in PLANS]
    with ProcessPoolExecutor(processes) as pool:
        for line in pool.map(row, cells, [worlds] * len(cells)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
