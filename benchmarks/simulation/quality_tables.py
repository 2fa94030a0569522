"""The sums of `quality_cells` as tables."""

from collections.abc import Mapping

import numpy as np

from benchmarks.simulation.quality_cells import ANCHORS
from benchmarks.simulation.tally import Sums, counted, mean, pooled

_HEAD = """# Do the intervals hold, on the service's own path?

95% intervals in simulated worlds whose truth is known, {worlds} worlds per row, seed {seed}; made by
`python -m benchmarks.simulation --worlds {worlds} --write docs/simulation.md`, which goes through the
service's own functions from recorded verdicts to quality rows and comparisons, the test of representative
anchors and its weights included. What a world is stands in `benchmarks/simulation/worlds.py`. *anchors*:
graded prompts per system. The standard error of one system's coverage is {se:.1%}, so the worst of eight lies
about {worst:.1%} under the mean by chance.

"""

_LEGEND = """
*worst*: the lowest coverage of a system (with an outlier: the outlier's). *width*, *RMSE*: over those of
human grades alone. *gain*: the realised (labels-only width / width)^2 over 1 / (1 - rho^2 N / (n + N)).
*bias*: the largest |mean error| of a system over the standard deviation of its estimates; *slope*: of the
error on the truth over systems (0 leaves differences as they are). *wrong*: share of "better" and "worse"
claimed of a pair of systems that were wrong. *flagged*: share of worlds whose anchors, all representative,
were said not to be.

The estimates of quality rows are drawn to each other and to the panel, so they compress differences where
anchors are few (*slope*): the price of their error. Comparisons use the means that are not shrunk.
"""


_COVERAGE = (
    "coverage", "worst", "pairs", "strata", "system in stratum", "answered", "flagged", "labels t", "PPI++ z",
)  # fmt: skip


def head(worlds: int, seed: int) -> str:
    se = float(np.sqrt(0.95 * 0.05 / worlds))
    return _HEAD.format(worlds=f"{worlds}", seed=seed, se=se, worst=1.4 * se)


def tables(found: Mapping[str, Sums]) -> str:
    return (
        "## Coverage\n\n"
        + _table(
            (
                "coverage",
                "worst",
                "pairs",
                "strata",
                "system in stratum",
                "answered",
                "flagged",
                "labels t",
                "PPI++ z",
            ),
            found,
            _coverage,
        )
        + "\n## Width, error, ranks\n\n"
        + _table(
            ("width", "RMSE", "gain", "bias", "slope", "Spearman", "Kendall", "pairs in order", "wrong"),
            found,
            _accuracy,
        )
        + _LEGEND
    )


def _table(names: tuple[str, ...], found: Mapping[str, Sums], row) -> str:  # type: ignore[no-untyped-def]
    lines = ["| world | anchors | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for world, sums in found.items():
        for n in ANCHORS:
            cells = row(world, sums, f"{n}:")
            lines.append(f"| {world} | {n} | " + " | ".join(_shown(x) for x in cells) + " |")
    return "\n".join(lines) + "\n"


def _shown(x: float) -> str:
    return f"{x:.3f}" if np.isfinite(x) else "-"


def _coverage(world: str, sums: Sums, at: str) -> list[float]:
    by_system = mean(sums, f"{at}covered")
    known = by_system[np.isfinite(by_system)]
    worst = by_system[0] if world.startswith("outlier") else known.min() if known.size else np.nan
    # a handful of rows tells no coverage
    cell = pooled(sums, f"{at}cell covered") if counted(sums, f"{at}cell covered") >= 400 else np.nan
    return [
        pooled(sums, f"{at}covered"), float(worst), pooled(sums, f"{at}pair covered"),
        pooled(sums, f"{at}stratum covered"), cell, pooled(sums, f"{at}answered"),
        pooled(sums, f"{at}flagged"), pooled(sums, f"{at}labels covered"), pooled(sums, f"{at}ppi covered"),
    ]  # fmt: skip


def _accuracy(world: str, sums: Sums, at: str) -> list[float]:
    width, labels = pooled(sums, f"{at}width"), pooled(sums, f"{at}labels width")
    error = mean(sums, f"{at}error")
    spread = np.sqrt(np.maximum(mean(sums, f"{at}error2") - error**2, 1e-12))
    bias = np.abs(error) / spread
    return [
        width / labels, float(np.sqrt(pooled(sums, f"{at}error2") / pooled(sums, f"{at}labels error2"))),
        (labels / width) ** 2 / pooled(sums, f"{at}bound"),
        float(np.nanmax(bias)) if np.isfinite(bias).any() else np.nan,
        pooled(sums, f"{at}slope"), pooled(sums, f"{at}spearman"), pooled(sums, f"{at}kendall"),
        pooled(sums, f"{at}ordered"), pooled(sums, f"{at}claim wrong"),
    ]  # fmt: skip
